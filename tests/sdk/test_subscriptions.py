"""Subscriptions: made, described, changed, listed, taken back."""

import time

import pytest
from conftest import OWNER
from mns.mns_common import TopicHelper
from mns.mns_exception import MNSClientNetworkException, MNSClientParameterException
from mns.subscription import SubscriptionMeta
from mns.topic import TopicMessage, TopicMeta

FORMATS = ["XML", "JSON", "SIMPLIFIED"]
STRATEGIES = ["BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY"]


@pytest.mark.parametrize("tag", ["", "important", "<a b&c>"])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_subscription_is_made_as_it_was_asked_for(emulator, topic, name, nobody, strategy, format, tag):
    begun = int(time.time())
    subscription = topic.get_subscription("S")
    asked = SubscriptionMeta(nobody, strategy, format, tag)
    url = subscription.subscribe(asked)
    # The service leaves the scheme out here.
    assert f"http://{url}" == f"{emulator.url}/topics/{name}/subscriptions/S"
    made = vars(subscription.get_attributes())
    assert begun <= made["create_time"] <= time.time()
    assert made == {
        "topic_owner": OWNER,
        "topic_name": name,
        "subscription_name": "S",
        "endpoint": nobody,
        "notify_strategy": strategy,
        "notify_content_format": format,
        "filter_tag": tag,
        "create_time": made["create_time"],
        "last_modify_time": made["create_time"],
    }
    assert subscription.subscribe(asked) == url
    assert vars(subscription.get_attributes()) == made


def test_the_service_chooses_what_was_not_asked_for(topic, nobody):
    subscription = topic.get_subscription("S")
    url = subscription.subscribe(SubscriptionMeta(nobody))
    made = subscription.get_attributes()
    assert (made.notify_strategy, made.notify_content_format, made.filter_tag) == ("BACKOFF_RETRY", "XML", "")
    assert subscription.subscribe(SubscriptionMeta(nobody, "BACKOFF_RETRY", "XML")) == url


@pytest.mark.parametrize(
    "again",
    [
        ("http://127.0.0.1:8", "BACKOFF_RETRY", "XML", "a"),
        (None, "EXPONENTIAL_DECAY_RETRY", "XML", "a"),
        (None, "BACKOFF_RETRY", "JSON", "a"),
        (None, "BACKOFF_RETRY", "XML", "b"),
        (None, "BACKOFF_RETRY", "XML", ""),
    ],
)
def test_making_a_subscription_again_with_other_attributes_is_refused(topic, nobody, refused, again):
    subscription = topic.get_subscription("S")
    subscription.subscribe(SubscriptionMeta(nobody, "BACKOFF_RETRY", "XML", "a"))
    made = vars(subscription.get_attributes())
    refused("SubscriptionAlreadyExist", subscription.subscribe, SubscriptionMeta(again[0] or nobody, *again[1:]))
    assert vars(subscription.get_attributes()) == made


def test_the_strategy_is_changed_and_nothing_else(topic, nobody):
    subscription = topic.get_subscription("S")
    subscription.subscribe(SubscriptionMeta(nobody, "BACKOFF_RETRY", "JSON", "a"))
    made = vars(subscription.get_attributes())
    deadline = made["create_time"] + 1
    while time.time() < deadline:
        time.sleep(0.01)
    subscription.set_attributes(SubscriptionMeta(notify_strategy="EXPONENTIAL_DECAY_RETRY"))
    changed = vars(subscription.get_attributes())
    assert made["last_modify_time"] < changed["last_modify_time"] <= time.time()
    expected = made | {"notify_strategy": "EXPONENTIAL_DECAY_RETRY", "last_modify_time": changed["last_modify_time"]}
    assert changed == expected


@pytest.mark.parametrize(
    "endpoint",
    [
        TopicHelper.generate_queue_endpoint("cn-hangzhou", OWNER, "MyQueue"),
        TopicHelper.generate_mail_endpoint("a@example.com"),
        TopicHelper.generate_sms_endpoint(),
        TopicHelper.generate_sms_endpoint("13900000000"),
        "https://example.com/notifications?a=b&c=%20d",
    ],
)
def test_every_kind_of_endpoint_is_kept(topic, endpoint):
    subscription = topic.get_subscription("S")
    subscription.subscribe(SubscriptionMeta(endpoint, notify_content_format="SIMPLIFIED"))
    assert subscription.get_attributes().endpoint == endpoint
    subscription.subscribe(SubscriptionMeta(endpoint, notify_content_format="SIMPLIFIED"))


def test_queues_and_mail_and_short_messages_hold_no_other_subscription_up(emulator, topic, name, subscribe, endpoint):
    others = {
        "Q": TopicHelper.generate_queue_endpoint("cn-hangzhou", OWNER, "MyQueue"),
        "M": TopicHelper.generate_mail_endpoint("a@example.com"),
        "P": TopicHelper.generate_sms_endpoint(),
    }
    for other, address in others.items():
        topic.get_subscription(other).subscribe(SubscriptionMeta(address))
    subscribe("S")
    topic.publish_message(TopicMessage("x"))
    emulator.wait_delivered(name, "S", 1)
    assert [one["SubscriptionName"] for one in endpoint.received(name)] == ["S"]
    for other in others:
        emulator.wait_delivered(name, other, 0)


@pytest.mark.parametrize(
    "endpoint",
    ["ftp://127.0.0.1/", "127.0.0.1:80", "http://", "http://mns-reserverd-a.example/", "http://127.0.0.1:65536/"],
)
def test_an_endpoint_that_is_none_is_refused(topic, refused, endpoint):
    refused("EndpointInvalid", topic.get_subscription("S").subscribe, SubscriptionMeta(endpoint))
    assert topic.list_subscription() == ([], "")


def test_a_subscription_without_an_endpoint_is_refused(topic, refused):
    # The SDK leaves out what is empty, so that an element is missing.
    refused("InvalidArgument", topic.get_subscription("S").subscribe, SubscriptionMeta())


@pytest.mark.parametrize("wrong", [{"notify_strategy": "NEVER"}, {"notify_content_format": "xml"}])
def test_a_value_that_is_none_is_refused(topic, nobody, refused, wrong):
    refused("InvalidArgument", topic.get_subscription("S").subscribe, SubscriptionMeta(nobody, **wrong))
    assert topic.list_subscription() == ([], "")


def test_a_strategy_that_is_none_changes_nothing(topic, nobody, refused):
    subscription = topic.get_subscription("S")
    subscription.subscribe(SubscriptionMeta(nobody))
    made = vars(subscription.get_attributes())
    refused("InvalidArgument", subscription.set_attributes, SubscriptionMeta(notify_strategy="NEVER"))
    assert vars(subscription.get_attributes()) == made


@pytest.mark.parametrize(
    ("wrong", "code"),
    [("a_b", "SubscriptionNameInvalid"), ("-a", "SubscriptionNameInvalid"), ("x" * 256, "SubscriptionNameLengthError")],
)
def test_a_name_that_is_none_is_refused(topic, nobody, refused, wrong, code):
    refused(code, topic.get_subscription(wrong).subscribe, SubscriptionMeta(nobody))


def test_a_tag_has_at_most_16_characters(topic, nobody):
    topic.get_subscription("S").subscribe(SubscriptionMeta(nobody, filter_tag="1234567890123456"))
    with pytest.raises(MNSClientParameterException):
        topic.get_subscription("S2").subscribe(SubscriptionMeta(nobody, filter_tag="12345678901234567"))


def test_the_sdk_itself_cannot_send_a_filter_in_chinese(emulator, topic, name, nobody):
    # It decodes what it has encoded and signed, and then knows Latin-1 only. A message's tag is not concerned.
    account = emulator.account()
    with pytest.raises(MNSClientNetworkException, match="latin-1"):
        account.get_topic(name).get_subscription("S").subscribe(SubscriptionMeta(nobody, filter_tag="重要"))
    assert topic.list_subscription() == ([], "")


def test_what_is_asked_of_an_absent_subscription_is_refused(topic, refused):
    subscription = topic.get_subscription("S")
    refused("SubscriptionNotExist", subscription.get_attributes)
    refused("SubscriptionNotExist", subscription.set_attributes, SubscriptionMeta(notify_strategy="BACKOFF_RETRY"))


def test_a_subscription_that_is_taken_back_gets_nothing_more(emulator, topic, name, subscribe, endpoint, refused):
    subscribe("S")
    subscribe("S2")
    topic.publish_message(TopicMessage("first"))
    for subscription in ("S", "S2"):
        emulator.wait_delivered(name, subscription, 1)
    topic.get_subscription("S").unsubscribe()
    refused("SubscriptionNotExist", topic.get_subscription("S").get_attributes)
    assert emulator.status(name, "S") is None
    topic.publish_message(TopicMessage("second"))
    emulator.wait_delivered(name, "S2", 2)
    assert sorted(one["Message"] for one in endpoint.received(name, "S2")) == ["first", "second"]
    assert [one["Message"] for one in endpoint.received(name, "S")] == ["first"]


def test_taking_back_an_absent_subscription_is_no_error(account, topic, name, nobody):
    subscription = topic.get_subscription("S")
    subscription.unsubscribe()
    subscription.subscribe(SubscriptionMeta(nobody))
    subscription.unsubscribe()
    subscription.unsubscribe()
    account.get_topic(f"{name}-2").get_subscription("S").unsubscribe()
    assert topic.list_subscription() == ([], "")


@pytest.fixture(scope="module")
def filled(emulator, nobody):
    """A topic with seven subscriptions, and one more topic that must not show."""
    account = emulator.account()
    for topic in ("Filled", "Filled-2"):
        account.get_topic(topic).create(TopicMeta())
    account.get_topic("Filled-2").get_subscription("a0").subscribe(SubscriptionMeta(nobody))
    topic = account.get_topic("Filled")
    for name in ("b1", "a2", "c1", "a1", "a3", "B1", "a4"):
        topic.get_subscription(name).subscribe(SubscriptionMeta(nobody))
    return topic


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["B1 a1 a2 a3 a4 b1 c1"]),
        ({"ret_number": 7}, ["B1 a1 a2 a3 a4 b1 c1"]),
        ({"ret_number": 3}, ["B1 a1 a2", "a3 a4 b1", "c1"]),
        ({"ret_number": 1}, ["B1", "a1", "a2", "a3", "a4", "b1", "c1"]),
        ({"prefix": "a"}, ["a1 a2 a3 a4"]),
        ({"prefix": "a", "ret_number": 2}, ["a1 a2", "a3 a4"]),
        ({"prefix": "a", "ret_number": 3}, ["a1 a2 a3", "a4"]),
        ({"prefix": "d"}, [""]),
    ],
)
def test_subscriptions_are_listed_page_by_page(emulator, filled, asked, expected):
    marker, found = "", []
    while len(found) < 20:
        urls, marker = filled.list_subscription(marker=marker, **asked)
        found.append(urls)
        if marker == "":
            break
    base = f"{emulator.url}/topics/Filled/subscriptions"
    assert found == [[f"{base}/{name}" for name in page.split()] for page in expected]


def test_a_list_goes_on_behind_any_marker(emulator, filled):
    urls, marker = filled.list_subscription(marker="a2", ret_number=2)
    assert urls == [f"{emulator.url}/topics/Filled/subscriptions/{name}" for name in ("a3", "a4")]
    assert marker == "a4"


def test_a_topic_has_at_most_100_subscriptions(topic, nobody, refused):
    for number in range(100):
        topic.get_subscription(f"S{number}").subscribe(SubscriptionMeta(nobody))
    refused("InvalidArgument", topic.get_subscription("S100").subscribe, SubscriptionMeta(nobody))
    topic.get_subscription("S99").subscribe(SubscriptionMeta(nobody))
    assert len(topic.list_subscription()[0]) == 100
