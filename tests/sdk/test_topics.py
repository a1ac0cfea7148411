"""Topics: made, described, changed, listed, deleted."""

import re
import time

import pytest
from conftest import Emulator
from mns.mns_common import RequestInfo
from mns.mns_exception import MNSClientParameterException
from mns.mns_request import ListTopicRequest, ListTopicResponse
from mns.subscription import SubscriptionMeta
from mns.topic import TopicMeta, TopicMessage

DEFAULTS = {"maximum_message_size": 65536, "logging_enabled": False}


def described(meta):
    return {name: getattr(meta, name) for name in DEFAULTS}


def test_a_topic_that_is_made_has_the_defaults_of_the_service(emulator, account, name):
    begun = int(time.time())
    url = account.get_topic(name).create(TopicMeta())
    assert url == f"{emulator.url}/topics/{name}"
    meta = account.get_topic(name).get_attributes()
    assert described(meta) == DEFAULTS
    assert meta.topic_name == name
    assert meta.message_count == 0
    assert meta.message_retention_period == 86400
    assert begun <= meta.create_time <= time.time()
    assert meta.last_modify_time == meta.create_time


@pytest.mark.parametrize("size", [1024, 10240, 65536])
@pytest.mark.parametrize("logging", [True, False])
def test_a_topic_is_made_with_the_attributes_that_were_asked_for(account, name, size, logging):
    account.get_topic(name).create(TopicMeta(size, logging))
    asked = {"maximum_message_size": size, "logging_enabled": logging}
    assert described(account.get_topic(name).get_attributes()) == asked


@pytest.mark.parametrize(
    "again", [TopicMeta(), TopicMeta(65536), TopicMeta(65536, False), TopicMeta(logging_enabled="false")]
)
def test_making_a_topic_again_as_it_is_gives_the_same_url(account, name, again):
    topic = account.get_topic(name)
    url = topic.create(TopicMeta())
    made = topic.get_attributes()
    assert topic.create(again) == url
    assert vars(topic.get_attributes()) == vars(made)


@pytest.mark.parametrize("again", [TopicMeta(1024), TopicMeta(logging_enabled=True), TopicMeta(1024, True)])
def test_making_a_topic_again_with_other_attributes_is_refused(account, name, refused, again):
    topic = account.get_topic(name)
    topic.create(TopicMeta())
    refused("TopicAlreadyExist", topic.create, again)
    assert described(topic.get_attributes()) == DEFAULTS


def test_making_a_topic_again_without_attributes_asks_for_the_defaults(account, name, refused):
    topic = account.get_topic(name)
    topic.create(TopicMeta(1024, True))
    refused("TopicAlreadyExist", topic.create, TopicMeta())


def test_attributes_are_changed_one_by_one(account, topic):
    made = topic.get_attributes()
    topic.set_attributes(TopicMeta(2048))
    assert described(topic.get_attributes()) == {"maximum_message_size": 2048, "logging_enabled": False}
    topic.set_attributes(TopicMeta(logging_enabled=True))
    changed = topic.get_attributes()
    assert described(changed) == {"maximum_message_size": 2048, "logging_enabled": True}
    assert (changed.create_time, changed.topic_name) == (made.create_time, made.topic_name)
    assert made.last_modify_time <= changed.last_modify_time <= time.time()
    topic.set_attributes(TopicMeta(65536, False))
    assert described(topic.get_attributes()) == DEFAULTS


def test_a_change_of_attributes_has_its_time(account, topic):
    made = topic.get_attributes()
    deadline = made.create_time + 1
    while time.time() < deadline:
        time.sleep(0.01)
    topic.set_attributes(TopicMeta(logging_enabled=True))
    changed = topic.get_attributes()
    assert changed.create_time == made.create_time
    assert changed.last_modify_time > made.last_modify_time


@pytest.mark.parametrize("size", [1, 1023, 65537, 10_000_000_000])
def test_a_size_out_of_range_is_refused(account, topic, name, refused, size):
    refused("InvalidArgument", account.get_topic(f"{name}-2").create, TopicMeta(size))
    refused("TopicNotExist", account.get_topic(f"{name}-2").get_attributes)
    refused("InvalidArgument", topic.set_attributes, TopicMeta(size))
    assert described(topic.get_attributes()) == DEFAULTS


def test_the_messages_that_are_not_delivered_are_counted(topic, nobody):
    topic.get_subscription("S").subscribe(SubscriptionMeta(nobody))
    for number in (1, 2):
        topic.publish_message(TopicMessage("x"))
        assert topic.get_attributes().message_count == number


def test_a_topic_takes_its_subscriptions_along_when_it_is_deleted(emulator, account, topic, name, nobody, refused):
    topic.get_subscription("S").subscribe(SubscriptionMeta(nobody))
    topic.publish_message(TopicMessage("x"))
    topic.delete()
    for action in (topic.get_attributes, topic.list_subscription, topic.get_subscription("S").get_attributes):
        refused("TopicNotExist", action)
    assert emulator.status(name, "S") is None
    topic.create(TopicMeta(1024))
    assert topic.list_subscription() == ([], "")
    assert topic.get_attributes().message_count == 0


def test_deleting_a_topic_that_is_absent_is_no_error(account, name, refused):
    account.get_topic(name).delete()
    account.get_topic(name).create(TopicMeta())
    account.get_topic(name).delete()
    account.get_topic(name).delete()
    refused("TopicNotExist", account.get_topic(name).get_attributes)


def pages(list_page, **asked):
    """All pages of a list, each with at most `ret_number` entries."""
    marker, found = "", []
    while True:
        entries, marker = list_page(marker=marker, **asked)
        found.append(entries)
        assert len(found) <= 20, "the pages never end"
        if marker == "":
            return found


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """An account of its own with seven topics."""
    emulator = Emulator(tmp_path_factory.mktemp("filled"))
    for name in ("b1", "a2", "c1", "a1", "a3", "B1", "a4"):
        emulator.account().get_topic(name).create(TopicMeta(1024, True))
    yield emulator
    emulator.stop()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["B1 a1 a2 a3 a4 b1 c1"]),
        ({"ret_number": 1000}, ["B1 a1 a2 a3 a4 b1 c1"]),
        ({"ret_number": 7}, ["B1 a1 a2 a3 a4 b1 c1"]),
        ({"ret_number": 3}, ["B1 a1 a2", "a3 a4 b1", "c1"]),
        ({"ret_number": 1}, ["B1", "a1", "a2", "a3", "a4", "b1", "c1"]),
        ({"prefix": "a"}, ["a1 a2 a3 a4"]),
        ({"prefix": "a", "ret_number": 2}, ["a1 a2", "a3 a4"]),
        ({"prefix": "a", "ret_number": 3}, ["a1 a2 a3", "a4"]),
        ({"prefix": "c1"}, ["c1"]),
        ({"prefix": "d"}, [""]),
    ],
)
def test_topics_are_listed_page_by_page(filled, asked, expected):
    found = pages(filled.account().list_topic, **asked)
    assert found == [[f"{filled.url}/topics/{name}" for name in page.split()] for page in expected]


def test_a_list_goes_on_behind_any_marker(filled):
    urls, marker = filled.account().list_topic(marker="a2", ret_number=2)
    assert (urls, marker) == ([f"{filled.url}/topics/{name}" for name in ("a3", "a4")], "a4")
    assert filled.account().list_topic(marker="c1") == ([], "")


@pytest.mark.parametrize("with_meta", [True, False])
def test_a_list_describes_its_topics_where_that_is_asked(filled, with_meta):
    request, response = ListTopicRequest("a", 2, "", with_meta), ListTopicResponse()
    filled.account().mns_client.list_topic(request, response)
    assert response.topicurl_list == [f"{filled.url}/topics/a1", f"{filled.url}/topics/a2"]
    assert response.next_marker == "a2"
    if not with_meta:
        assert response.topicmeta_list == []
        return
    for name, meta in zip(("a1", "a2"), response.topicmeta_list, strict=True):
        created = meta.pop("CreateTime")
        assert time.time() - 600 < int(created) <= time.time()
        assert meta == {
            "TopicURL": f"{filled.url}/topics/{name}",
            "TopicName": name,
            "LastModifyTime": created,
            "MaximumMessageSize": "1024",
            "MessageRetentionPeriod": "86400",
            "MessageCount": "0",
            "LoggingEnabled": "True",
        }


def test_a_page_has_from_1_to_1000_entries(account, refused):
    with pytest.raises(MNSClientParameterException):
        account.list_topic(ret_number=0)
    refused("InvalidArgument", lambda: account.list_topic(ret_number=1001))


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ("a_b", "TopicNameInvalid"),
        ("-a", "TopicNameInvalid"),
        ("a.b", "TopicNameInvalid"),
        ("%41", "TopicNameInvalid"),
        ("x" * 256, "TopicNameLengthError"),
    ],
)
def test_a_name_that_is_none_is_refused(account, refused, wrong, code):
    refused(code, account.get_topic(wrong).create, TopicMeta())


def test_the_longest_name_is_taken(emulator, account):
    longest = "x" * 255
    assert account.get_topic(longest).create(TopicMeta()) == f"{emulator.url}/topics/{longest}"
    account.get_topic(longest).delete()


def test_what_is_asked_of_an_absent_topic_is_refused(account, name, nobody, refused):
    topic = account.get_topic(name)
    refused("TopicNotExist", topic.get_attributes)
    refused("TopicNotExist", topic.set_attributes, TopicMeta(1024))
    refused("TopicNotExist", topic.publish_message, TopicMessage("x"))
    refused("TopicNotExist", topic.list_subscription)
    refused("TopicNotExist", topic.get_subscription("S").subscribe, SubscriptionMeta(nobody))
    refused("TopicNotExist", topic.get_subscription("S").get_attributes)
    # No other code is documented for this operation.
    refused("SubscriptionNotExist", topic.get_subscription("S").set_attributes, SubscriptionMeta())
    assert account.list_topic(prefix=name) == ([], "")


def test_the_request_id_of_the_caller_and_of_the_service_are_both_there(account, name, capsys):
    account.set_debug(True)
    topic = account.get_topic(name)
    topic.set_debug(True)
    actions = [
        lambda info: topic.create(TopicMeta(), info),
        topic.get_attributes,
        lambda info: topic.set_attributes(TopicMeta(1024), info),
        lambda info: topic.publish_message(TopicMessage("x"), info),
        lambda info: account.list_topic(req_info=info),
        topic.delete,
    ]
    for action in actions:
        action(RequestInfo("caller-1"))
    ids = re.findall(r"^RequestId: ([0-9A-F]{24})$", capsys.readouterr().out, re.MULTILINE)
    assert len(set(ids)) == len(actions)
