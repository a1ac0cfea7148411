"""Requests themselves: who asks, when, under which host, and what is no request at all."""

import hashlib
import re
import socket
import time
from types import SimpleNamespace

import mns.mns_client
import pytest
from checks import check_answer, check_received
from mns.mns_exception import MNSClientNetworkException, MNSClientParameterException
from mns.subscription import SubscriptionMeta
from mns.topic import TopicMessage, TopicMeta

OTHER_OWNER = "1888287682739631"
OTHER_HOST = f"http://{OTHER_OWNER}.mns.cn-hangzhou.aliyuncs.com"


def test_an_unknown_key_is_refused(emulator, name, refused):
    account = emulator.account("other")
    refused("InvalidAccessKeyId", account.list_topic)
    refused("InvalidAccessKeyId", account.get_topic(name).create, TopicMeta())
    refused("InvalidAccessKeyId", account.get_topic(name).delete)
    assert emulator.account().list_topic(prefix=name) == ([], "")


def test_a_wrong_secret_is_refused(emulator, name, refused):
    account = emulator.account(secret="other")
    error = refused("SignatureDoesNotMatch", account.list_topic)
    assert error.message == (
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method."
    )
    refused("SignatureDoesNotMatch", account.get_topic(name).create, TopicMeta())
    refused("SignatureDoesNotMatch", account.get_topic(name).publish_message, TopicMessage("x"))
    assert emulator.account().list_topic(prefix=name) == ([], "")


def test_the_token_of_a_temporary_key_is_taken_though_it_is_not_signed(emulator, name):
    account = emulator.account(security_token="token")
    assert account.get_topic(name).create(TopicMeta()) == f"{emulator.url}/topics/{name}"


def at(monkeypatch, minutes):
    """The SDK's clock goes wrong by so many minutes."""
    clock = SimpleNamespace(strftime=time.strftime, gmtime=lambda: time.gmtime(time.time() + 60 * minutes))
    monkeypatch.setattr(mns.mns_client, "time", clock)


@pytest.mark.parametrize("minutes", [-16, 16, -60 * 24, 60 * 24])
def test_a_date_16_minutes_off_is_refused(account, topic, monkeypatch, refused, minutes):
    at(monkeypatch, minutes)
    refused("TimeExpired", topic.get_attributes)
    refused("TimeExpired", topic.publish_message, TopicMessage("x"))
    refused("TimeExpired", account.list_topic)


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_date_14_minutes_off_passes(topic, name, monkeypatch, minutes):
    at(monkeypatch, minutes)
    assert topic.get_attributes().topic_name == name


def test_a_date_that_is_none_is_refused(topic, monkeypatch, refused):
    clock = SimpleNamespace(strftime=lambda *_: "yesterday", gmtime=time.gmtime)
    monkeypatch.setattr(mns.mns_client, "time", clock)
    refused("InvalidDateHeader", topic.get_attributes)


def test_another_version_of_the_api_is_refused(emulator, refused):
    account = emulator.account()
    account.mns_client.version = "2014-07-08"
    refused("InvalidVersionHeader", account.list_topic)


def test_an_authorization_of_another_kind_is_refused(monkeypatch, account, refused):
    monkeypatch.setattr(account.mns_client, "get_signature", lambda *_: "Basic YTpi")
    refused("InvalidAuthorizationHeader", account.list_topic)


def test_a_request_without_authorization_is_refused(monkeypatch, account, refused):
    send = account.mns_client.http.send_request

    def without(request):
        del request.header["Authorization"]
        return send(request)

    monkeypatch.setattr(account.mns_client.http, "send_request", without)
    refused("MissingAuthorizationHeader", account.list_topic)


@pytest.mark.parametrize("changed", ["uri", "x-mns-ret-number", "content-type"])
def test_what_is_signed_cannot_be_changed_on_the_way(monkeypatch, account, name, refused, changed):
    send = account.mns_client.http.send_request

    def change(request):
        if changed == "uri":
            request.uri += "-2"
        else:
            request.header[changed] = "1"
        return send(request)

    monkeypatch.setattr(account.mns_client.http, "send_request", change)
    refused("SignatureDoesNotMatch", account.get_topic(name).create, TopicMeta())


def test_a_digest_of_something_else_is_refused(monkeypatch, account, name, refused):
    wrong = SimpleNamespace(md5=lambda _: hashlib.md5(b"other"), sha1=hashlib.sha1)
    monkeypatch.setattr(mns.mns_client, "hashlib", wrong)
    refused("InvalidDigest", account.get_topic(name).create, TopicMeta())
    monkeypatch.undo()
    refused("TopicNotExist", account.get_topic(name).get_attributes)


@pytest.mark.parametrize(
    "document",
    [
        b"<Topic",
        b"<Topic></Message>",
        b"<Topic/><Topic/>",
        b"<!DOCTYPE Topic [<!ENTITY a 'b'>]><Topic/>",
        b"<Topic>&a;</Topic>",
        b"<Topic>\xff</Topic>",
        b"{}",
        b" ",
    ],
)
def test_a_topic_that_is_no_document_is_refused(monkeypatch, account, name, refused, document):
    monkeypatch.setattr(mns.mns_client.TopicEncoder, "encode", staticmethod(lambda _: document))
    refused("MalformedXML", account.get_topic(name).create, TopicMeta())
    refused("TopicNotExist", account.get_topic(name).get_attributes)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b"<Message", "MalformedXML"),
        (b"<Message/>", "InvalidArgument"),
        (b"<Message><MessageTag>a</MessageTag></Message>", "InvalidArgument"),
        (b"<Topic><MessageBody>a</MessageBody></Topic>", "InvalidArgument"),
    ],
)
def test_a_message_that_is_none_is_refused(topic, monkeypatch, refused, document, code):
    monkeypatch.setattr(mns.mns_client.TopicMessageEncoder, "encode", staticmethod(lambda _: document))
    refused(code, topic.publish_message, TopicMessage("x"))


@pytest.mark.parametrize(
    "document",
    [
        b"<Message/>",
        b"<Topic><LoggingEnabled>perhaps</LoggingEnabled></Topic>",
        b"<Topic><MaximumMessageSize>1 KiB</MaximumMessageSize></Topic>",
    ],
)
def test_a_topic_that_is_none_is_refused(account, name, monkeypatch, refused, document):
    monkeypatch.setattr(mns.mns_client.TopicEncoder, "encode", staticmethod(lambda _: document))
    refused("InvalidArgument", account.get_topic(name).create, TopicMeta())
    refused("TopicNotExist", account.get_topic(name).get_attributes)


def test_the_older_order_of_elements_is_taken(emulator, endpoint, topic, name, subscribe, monkeypatch):
    # The SDK for Python 2 sends them in another order than that for Python 3.
    document = (
        b'<?xml version="1.0" encoding="utf-8"?><Message xmlns="http://mns.aliyuncs.com/doc/v1">'
        b"<MessageTag>t</MessageTag><MessageBody>x</MessageBody></Message>"
    )
    subscribe("S")
    monkeypatch.setattr(mns.mns_client.TopicMessageEncoder, "encode", staticmethod(lambda _: document))
    answer = topic.publish_message(TopicMessage("ignored"))
    check_answer(answer, "x")
    emulator.wait_delivered(name, "S", 1)
    (received,) = endpoint.received(name)
    check_received(received, answer, "x", topic=name, subscription="S", tag="t")


def test_what_the_emulator_has_not_is_refused(account, refused):
    refused("NotSupported", account.get_queue("Q").delete)
    refused("NotSupported", account.list_queue)
    refused("NotSupported", account.get_attributes)


def test_connections_are_kept_only_where_that_is_asked(account, name):
    for keep_alive in (True, False, True):
        account.mns_client.set_keep_alive(keep_alive)
        account.get_topic(name).create(TopicMeta())
        assert (account.mns_client.http.conn.sock is not None) == keep_alive
        assert account.get_topic(name).get_attributes().topic_name == name


def test_a_host_that_the_sdk_cannot_use_never_gets_a_request(emulator, nobody):
    with pytest.raises(MNSClientParameterException):
        emulator.account(url=emulator.url.removeprefix("http://"))
    with pytest.raises(MNSClientNetworkException):
        emulator.account(url=nobody).list_topic()


def test_a_final_slash_of_the_address_does_no_harm(emulator, name):
    account = emulator.account(url=f"{emulator.url}/")
    assert account.get_topic(name).create(TopicMeta()) == f"{emulator.url}/topics/{name}"


@pytest.fixture
def elsewhere(monkeypatch, emulator):
    """An account whose host names another owner, and leads to the emulator all the same."""
    resolve = socket.getaddrinfo

    def resolved(host, port, *more):
        assert (f"http://{host}", port) == (OTHER_HOST, 80)
        return resolve("127.0.0.1", emulator.port, *more)

    monkeypatch.setattr(mns.mns_http, "socket", SimpleNamespace(**(vars(socket) | {"getaddrinfo": resolved})))
    return emulator.account(url=OTHER_HOST)


def test_the_host_names_the_owner(emulator, endpoint, elsewhere, name, refused):
    topic = elsewhere.get_topic(name)
    refused("TopicNotExist", topic.get_attributes, host_id=OTHER_HOST)
    assert topic.create(TopicMeta()) == f"{OTHER_HOST}/topics/{name}"
    assert topic.create(TopicMeta()) == f"{OTHER_HOST}/topics/{name}"
    assert elsewhere.list_topic(prefix=name) == ([f"{OTHER_HOST}/topics/{name}"], "")
    subscription = topic.get_subscription("S")
    made = subscription.subscribe(SubscriptionMeta(endpoint.url))
    assert f"http://{made}" == f"{OTHER_HOST}/topics/{name}/subscriptions/S"
    assert topic.list_subscription() == ([f"{OTHER_HOST}/topics/{name}/subscriptions/S"], "")
    assert subscription.get_attributes().topic_owner == OTHER_OWNER
    begun = time.time()
    answer = topic.publish_message(TopicMessage("x"))
    emulator.wait_delivered(name, "S", 1)
    (received,) = endpoint.received(name)
    check_received(received, answer, "x", topic=name, subscription="S", owner=OTHER_OWNER, since=begun)


def test_the_answers_say_which_service_they_are_from(account, topic):
    headers = {}
    send = account.mns_client.http.send_request

    def keep(request):
        answer = send(request)
        headers.update(answer.header)
        return answer

    topic.mns_client.http.send_request = keep
    topic.get_attributes()
    # In this spelling, with a dictionary that knows no other.
    assert headers["Server"] == "AliyunMQS"
    assert headers["Content-Type"] == "text/xml;charset=utf-8"
    assert headers["x-mns-version"] == "2015-06-06"
    assert re.fullmatch("[0-9A-F]{24}", headers["x-mns-request-id"])
