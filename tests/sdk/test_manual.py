"""The manual's steps: make a topic, subscribe, publish three messages, delete the topic."""

from checks import check_answer, check_received
from mns.subscription import SubscriptionMeta
from mns.topic import TopicMessage, TopicMeta

TOPIC, SUBSCRIPTION = "MySampleTopic", "MySampleTopic-Sub"


def test_the_steps_of_the_manual(emulator, endpoint, account, refused):
    topic = account.get_topic(TOPIC)
    assert topic.create(TopicMeta()) == f"{emulator.url}/topics/{TOPIC}"
    subscription = topic.get_subscription(SUBSCRIPTION)
    url = subscription.subscribe(SubscriptionMeta(endpoint.url))
    assert f"http://{url}" == f"{emulator.url}/topics/{TOPIC}/subscriptions/{SUBSCRIPTION}"
    published = {}
    for number in range(3):
        body = f"I am test message {number}."
        answer = topic.publish_message(TopicMessage(body))
        check_answer(answer, body)
        published[answer.message_id] = (answer, body)
    emulator.wait_delivered(TOPIC, SUBSCRIPTION, 3)
    topic.delete()
    refused("TopicNotExist", topic.get_attributes)
    assert emulator.status(TOPIC, SUBSCRIPTION) is None
    received = endpoint.received(TOPIC)
    assert sorted(one["Message"] for one in received) == [f"I am test message {number}." for number in range(3)]
    for one in received:
        answer, body = published[one["MessageId"]]
        check_received(one, answer, body, topic=TOPIC, subscription=SUBSCRIPTION)
