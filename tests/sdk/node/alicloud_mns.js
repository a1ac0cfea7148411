// The vendor's Node SDK. It knows no subscriptions; its client sends any request all the same.
"use strict";

const Client = require("@alicloud/mns");

const [endpoint, subscriber, topic] = process.argv.slice(2);

async function main() {
  const client = new Client("1269128356620446", { endpoint, accessKeyID: "emulator", accessKeySecret: "emulator" });
  const told = {};
  told.created = await client.createTopic(topic, { MaximumMessageSize: 1024 });
  const subscription = `/topics/${topic}/subscriptions/S`;
  const body =
    '<?xml version="1.0" encoding="UTF-8"?><Subscription xmlns="http://mns.aliyuncs.com/doc/v1/">' +
    `<Endpoint>${subscriber}</Endpoint><NotifyContentFormat>JSON</NotifyContentFormat></Subscription>`;
  told.subscribed = await client.put(subscription, "Subscription", Buffer.from(body), ["location"]);
  told.subscription = await client.get(subscription, "Subscription");
  told.listed = await client.listTopic(undefined, 1000, topic);
  told.changed = await client.setTopicAttributes(topic, { MaximumMessageSize: 2048 });
  told.topic = await client.getTopicAttributes(topic);
  told.published = await client.publishMessage(topic, { MessageBody: "from Node &lt;&amp;&gt; 重要", MessageTag: "t" });
  told.refused = await client.getTopicAttributes("none").catch(({ name, message }) => ({ name, message }));
  console.log(JSON.stringify(told));
}

main();
