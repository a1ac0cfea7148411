"""What must be true of each message: of the answer to its publisher, and of what the endpoint has of it."""

import hashlib
import re
import time

from conftest import OWNER


def check_answer(answer, body):
    """What the service says to a publish."""
    assert re.fullmatch("[0-9A-F]{32}", answer.message_id), answer.message_id
    assert answer.message_body_md5 == hashlib.md5(body.encode()).hexdigest().upper()


def check_received(received, answer, body, *, topic, subscription, tag="", owner=OWNER, since=0.0):
    """What the endpoint has of a message."""
    published = int(received["PublishTime"])
    assert int(since * 1000) <= published <= time.time() * 1000
    assert received.attributes == {
        "MessageMD5": answer.message_body_md5,
        "TopicOwner": owner,
        "PublishTime": str(published),
        "Subscriber": owner,
        "MessageTag": tag,
        "SubscriptionName": subscription,
        "MessageId": answer.message_id,
        "Message": body,
        "TopicName": topic,
    }
