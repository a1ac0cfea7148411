// A Node client that makes its address of the account and the region: it reaches the emulator as a proxy.
"use strict";

const AliMNS = require("ali-mns");

const [subscriber, topic] = process.argv.slice(2);

async function main() {
  const account = new AliMNS.Account("1269128356620446", "emulator", "emulator");
  // It reports to an analytics service unless this is off.
  account.setGA(false);
  const told = {};
  const topics = new AliMNS.MNSTopic(account, "hangzhou");
  told.created = await topics.createTopicP(topic, { MaximumMessageSize: 1024 });
  const named = new AliMNS.Topic(topic, account, "hangzhou");
  const { EXPONENTIAL_DECAY_RETRY } = AliMNS.Subscription.NotifyStrategy;
  const { SIMPLIFIED } = AliMNS.Subscription.NotifyContentFormat;
  told.subscribed = await named.subscribeP("S", subscriber, EXPONENTIAL_DECAY_RETRY, SIMPLIFIED);
  told.subscriptions = await named.listP("", 10);
  const subscription = new AliMNS.Subscription("S", named);
  told.changed = await subscription.setAttrsP({ NotifyStrategy: "BACKOFF_RETRY" });
  told.subscription = await subscription.getAttrsP();
  told.topic = await named.getAttrsP();
  told.listed = await topics.listTopicP(topic, 10);
  told.published = await named.publishP("from ali-mns <&> 重要", false, "t");
  told.refused = await new AliMNS.Topic("none", account, "hangzhou").getAttrsP().catch((error) => error);
  console.log(JSON.stringify(told));
}

main();
