"""Messages: published with the SDK, pushed by the emulator, and read back from the endpoint's log."""

import base64
import re
import time

import pytest
from checks import check_answer, check_received
from conftest import OWNER, Emulator, Endpoint
from mns.message_property import MessagePropertyValue, MessageSystemPropertyValue, SystemPropertyName
from mns.mns_exception import MNSClientParameterException
from mns.subscription import SubscriptionMeta
from mns.topic import Base64TopicMessage, DirectMailInfo, DirectSMSInfo, TopicMessage, TopicMeta

FORMATS = ["XML", "JSON", "SIMPLIFIED"]
STRATEGIES = ["BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY"]
CONTENT_TYPES = {
    "XML": "text/xml;charset=utf-8",
    "JSON": "application/json;charset=utf-8",
    "SIMPLIFIED": "text/plain;charset=utf-8",
}
LARGEST = 65536
TEXTS = {
    "plain": "I am test message 0.",
    "chinese": "我是测试消息。",
    "beyond the basic plane": "𠀀😀",
    "special to XML": "<&>\"' &amp; &#38; <![CDATA[x]]> ]]> <!-- x -->",
    "line breaks": "one\ntwo\n\nfour\n",
    "line breaks of DOS": "one\r\ntwo\rthree\r\n",
    "blanks at its ends": "  \t x \t ",
    "one blank": " ",
    "only line breaks": "\n\n",
    "backslashes": "\\x41 \\\\x0a \\n \\",
    "control characters": "\x01\x08\x1b[31m\x7f\x85\u2028",
    "like a record": (
        "x\n\n[2026-11-24 18:40:38] [root] [INFO] [receive.rs:2] [1] Notify Message Succeed!\n"
        "MessageMD5                    : y\n\n"
    ),
    "like a notification": (
        '<?xml version="1.0"?><Notification><TopicOwner>1</TopicOwner><TopicName>T</TopicName>'
        "<Subscriber>1</Subscriber><SubscriptionName>S</SubscriptionName><MessageId>M</MessageId>"
        "<MessageMD5>x</MessageMD5><Message>m</Message><PublishTime>1</PublishTime></Notification>"
    ),
    "json": '{"TopicOwner":"1","a":"\\u4e2d\\n","b":[1,null]}',
    "the largest": "x" * LARGEST,
    "the largest in three-byte characters": "中" * (LARGEST // 3) + "x",
    "the largest of what XML escapes": "&" * LARGEST,
    "the largest of line breaks": "\n" * LARGEST,
}


def publish_and_check(emulator, endpoint, topic, message, subscriptions=FORMATS):
    """Publishes the first message of a topic, and finds it in the log once for each subscription."""
    begun = time.time()
    answer = topic.publish_message(message)
    check_answer(answer, message.message_body)
    for subscription in subscriptions:
        emulator.wait_delivered(topic.topic_name, subscription, 1)
        (received,) = endpoint.received(topic.topic_name, subscription)
        about = {"topic": topic.topic_name, "subscription": subscription, "tag": message.message_tag, "since": begun}
        check_received(received, answer, message.message_body, **about)
    assert len(endpoint.received(topic.topic_name)) == len(subscriptions)


@pytest.fixture
def in_each_format(subscribe):
    """The endpoint has a subscription in each format, with that name."""
    for format in FORMATS:
        subscribe(format, notify_content_format=format)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_message_arrives_as_it_was_published(emulator, endpoint, topic, in_each_format, text):
    publish_and_check(emulator, endpoint, topic, TopicMessage(text))


@pytest.mark.parametrize("text", ["I am test message 0.", "我是测试消息。", "<&>\"'\n", "x" * (LARGEST // 4 * 3)])
def test_base64_arrives_as_base64(emulator, endpoint, topic, in_each_format, text):
    message = Base64TopicMessage(text)
    publish_and_check(emulator, endpoint, topic, message)
    encoded = endpoint.received(topic.topic_name, "XML")[0]["Message"]
    assert base64.b64decode(encoded, validate=True).decode() == text
    assert message.get_messagebody() == text


@pytest.mark.parametrize("tag", ["important", "重要", "一二三四五六七八九十一二三四五六", "a b:c,d", "<&>\"'"])
def test_a_tag_arrives(emulator, endpoint, topic, in_each_format, tag):
    publish_and_check(emulator, endpoint, topic, TopicMessage("x", tag))
    headers = endpoint.received(topic.topic_name, "SIMPLIFIED")[0].headers
    assert headers["x-mns-message-tag"] == tag


def test_each_format_and_strategy_is_pushed_as_it_is_written_down(emulator, endpoint, topic, name, subscribe):
    combinations = {f"{format}-{strategy[:3]}": (strategy, format) for format in FORMATS for strategy in STRATEGIES}
    for subscription, attributes in combinations.items():
        subscribe(subscription, *attributes)
    publish_and_check(emulator, endpoint, topic, TopicMessage("<x>"), list(combinations))
    for subscription, (_, format) in combinations.items():
        (received,) = endpoint.received(name, subscription)
        assert received.headers["content-type"] == CONTENT_TYPES[format]
        assert received.headers["x-mns-version"] == "2015-06-06"
        assert ("x-mns-message-id" in received.headers) == (format == "SIMPLIFIED")
        body = {
            "XML": '<?xml version="1.0" encoding="UTF-8"?>\n<Notification ',
            "JSON": '{"TopicOwner":"',
            "SIMPLIFIED": "<x>",
        }
        assert received.body.startswith(body[format])
        if format == "SIMPLIFIED":
            assert received.body == "<x>"


def test_a_filter_lets_its_tag_pass_and_holds_everything_else_back(emulator, endpoint, topic, name, subscribe):
    subscribe("A", filter_tag="a")
    subscribe("B", filter_tag="b")
    subscribe("All")
    answers = {tag: topic.publish_message(TopicMessage(f"of {tag}", tag)) for tag in ("b", "", "A", "aa", "重要", "a")}
    expected = {"A": ["a"], "B": ["b"], "All": list(answers)}
    for subscription, tags in expected.items():
        emulator.wait_delivered(name, subscription, len(tags))
        received = {one["MessageId"]: one for one in endpoint.received(name, subscription)}
        assert received.keys() == {answers[tag].message_id for tag in tags}
        for tag in tags:
            about = {"topic": name, "subscription": subscription, "tag": tag}
            check_received(received[answers[tag].message_id], answers[tag], f"of {tag}", **about)


def with_everything():
    mail = DirectMailInfo("a@example.com", "主题 <&>", 1, 0, 0)
    short = DirectSMSInfo("签名", "SMS_1", False)
    short.add_receiver("13900000000", {"name": "<&>"})
    message = TopicMessage("<x>", "tag", mail, short, "group-1")
    message.add_user_property("text", MessagePropertyValue.create_string("<&>\"' 中"))
    message.add_user_property("number", MessagePropertyValue.create_number(1.5))
    message.add_user_property("yes", MessagePropertyValue.create_boolean(True))
    message.add_user_property("bytes", MessagePropertyValue.create_binary(b"\x00\xff"))
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    message.add_system_property(SystemPropertyName.TRACEPARENT, MessageSystemPropertyValue.create_string(trace))
    message.add_system_property(SystemPropertyName.BAGGAGE, MessageSystemPropertyValue.create_string("a=b"))
    return message


def only(**kept):
    """A message with some of what a message can have."""
    message = with_everything()
    for field, nothing in [
        ("message_tag", ""),
        ("direct_mail", None),
        ("direct_sms", None),
        ("message_group_id", ""),
        ("user_properties", {}),
        ("system_properties", {}),
    ]:
        if field not in kept:
            setattr(message, field, nothing)
    return message


@pytest.mark.parametrize(
    "message",
    [
        only(user_properties=True),
        only(system_properties=True),
        only(message_group_id=True),
        only(direct_mail=True),
        only(direct_sms=True),
        with_everything(),
    ],
    ids=["UserProperties", "SystemProperties", "MessageGroupId", "DirectMail", "DirectSMS", "everything"],
)
def test_what_the_emulator_does_not_know_of_a_message_does_no_harm(emulator, endpoint, topic, in_each_format, message):
    publish_and_check(emulator, endpoint, topic, message)


@pytest.mark.parametrize("body", ["x" * (LARGEST + 1), "中" * (LARGEST // 3) + "xy", "&" * (LARGEST + 1)])
def test_one_byte_more_than_the_largest_message_is_refused(emulator, endpoint, topic, name, subscribe, refused, body):
    subscribe("S")
    refused("InvalidArgument", topic.publish_message, TopicMessage(body))
    topic.publish_message(TopicMessage("x"))
    emulator.wait_delivered(name, "S", 1)
    assert [one["Message"] for one in endpoint.received(name)] == ["x"]


def test_a_topic_refuses_what_is_larger_than_its_own_limit(emulator, account, topic, name, subscribe, refused):
    topic.set_attributes(TopicMeta(1024))
    subscribe("S")
    refused("InvalidArgument", topic.publish_message, TopicMessage("x" * 1025))
    refused("InvalidArgument", topic.publish_message, Base64TopicMessage("x" * 769))
    topic.publish_message(TopicMessage("x" * 1024))
    topic.publish_message(Base64TopicMessage("x" * 768))
    emulator.wait_delivered(name, "S", 2)


def test_the_sdk_itself_refuses_an_empty_message_and_a_long_tag(topic):
    for message in (TopicMessage(""), TopicMessage("x", "12345678901234567")):
        with pytest.raises(MNSClientParameterException):
            topic.publish_message(message)


def test_many_messages_on_one_connection_arrive_once_each(emulator, endpoint, topic, name, subscribe):
    subscribe("S", notify_content_format="SIMPLIFIED")
    answers = [topic.publish_message(TopicMessage(f"message {number}")) for number in range(50)]
    emulator.wait_delivered(name, "S", 50)
    received = {one["MessageId"]: one["Message"] for one in endpoint.received(name)}
    assert received == {answer.message_id: f"message {number}" for number, answer in enumerate(answers)}
    assert len(endpoint.received(name)) == 50


@pytest.fixture
def hasty(tmp_path):
    """An emulator whose retries come a thousand times sooner."""
    emulator = Emulator(tmp_path / "emulator", "--time-warp", "1000")
    yield emulator
    emulator.stop()


@pytest.fixture
def start(hasty, tmp_path):
    """Starts an endpoint, on a port that it had before or on a new one."""
    started = []

    def start(port=0):
        started.append(Endpoint(tmp_path / "endpoint", hasty.url, port))
        return started[-1]

    yield start
    for endpoint in started:
        endpoint.stop()


def test_a_message_waits_for_an_endpoint_that_is_down(hasty, start):
    endpoint = start()
    topic = hasty.account().get_topic("T")
    topic.create(TopicMeta())
    topic.get_subscription("S").subscribe(SubscriptionMeta(endpoint.url, "EXPONENTIAL_DECAY_RETRY", "JSON"))
    endpoint.stop()
    answer = topic.publish_message(TopicMessage("later"))
    status = hasty.wait_until("T", "S", lambda now: now["failed_pushes"] >= 3)
    assert (status["delivered"], status["undelivered"]) == (0, 1)
    endpoint = start(endpoint.port)
    status = hasty.wait_until("T", "S", lambda now: now["undelivered"] == 0)
    assert (status["delivered"], status["given_up"]) == (1, 0)
    (received,) = endpoint.received("T")
    check_received(received, answer, "later", topic="T", subscription="S")


def test_backoff_retry_gives_a_message_up_after_three_retries(hasty, nobody):
    topic = hasty.account().get_topic("T")
    topic.create(TopicMeta())
    topic.get_subscription("S").subscribe(SubscriptionMeta(nobody, "BACKOFF_RETRY"))
    topic.publish_message(TopicMessage("x"))
    status = hasty.wait_until("T", "S", lambda now: now["undelivered"] == 0)
    assert (status["failed_pushes"], status["given_up"], status["delivered"]) == (4, 1, 0)
    assert topic.get_attributes().message_count == 0
