"""Reads an endpoint log in text form, as docs/logging.md says that it is written."""

import re
from dataclasses import dataclass

TIME = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]"
FIRST = re.compile(rf"^{TIME} \[root\] \[(INFO|WARNING)\] \[([a-z]+\.rs:\d+)\] \[\d+\] (.*)$")
ATTRIBUTES = [
    "MessageMD5",
    "TopicOwner",
    "PublishTime",
    "Subscriber",
    "MessageTag",
    "SubscriptionName",
    "MessageId",
    "Message",
    "TopicName",
]


@dataclass
class Notification:
    """A message that was answered 201, as the log has it."""

    headers: dict
    body: str
    attributes: dict

    def __getitem__(self, name):
        return self.attributes[name]


@dataclass
class Record:
    level: str
    place: str
    event: str
    rest: bytes


def unescape(text: bytes) -> str:
    """A value that may have several lines, as the peer sent it."""
    text = text.replace(b"\n    ", b"\n")
    return re.sub(rb"\\x([0-9a-fA-F]{2})", lambda found: bytes.fromhex(found[1].decode()), text).decode()


class Reader:
    """Follows a log: what was read once is not read again."""

    def __init__(self, path):
        self.path = path
        self.offset = 0
        self.request = None
        self.found = []

    def notifications(self):
        """Every message that was answered 201; anything else than those and the start is an error."""
        with open(self.path, "rb") as log:
            log.seek(self.offset)
            new = log.read()
        # The whole records: an empty line ends each, and nothing inside one can contain it.
        whole = new[: new.rfind(b"\n\n") + 2] if b"\n\n" in new else b""
        self.offset += len(whole)
        for text in whole.split(b"\n\n")[:-1]:
            self.take(record(text))
        return self.found

    def take(self, record):
        if record.place == "serve.rs:1":
            return
        assert record.level == "INFO", record
        if record.place == "receive.rs:1":
            assert self.request is None, "two requests without an outcome between them"
            self.request = record
            return
        assert (record.place, record.event) == ("receive.rs:2", "Notify Message Succeed!"), record
        assert self.request is not None, "an outcome without its request"
        self.found.append(Notification(*asked(self.request), attributes(record.rest)))
        self.request = None


def record(text):
    first, _, rest = text.partition(b"\n")
    found = FIRST.match(first.decode())
    assert found, first
    return Record(*found.groups(), rest)


def asked(record):
    """The headers and the body of a request."""
    head, separator, body = (record.event.encode() + b"\n" + record.rest).partition(b"\nBody:")
    assert separator, record
    assert head.startswith(b"Headers:"), head
    headers, separator, _peer = head.removeprefix(b"Headers:").partition(b"\nPeer: ")
    assert separator, head
    pairs = (line.split(": ", 1) for line in unescape(headers).split("\n"))
    return {name: value for name, value in pairs}, unescape(body)


def attributes(text):
    """The nine attributes, all of them, in their order. A line that does not begin with blanks begins one."""
    values = {}
    for attribute in re.split(rb"\n(?!    )", text):
        assert attribute[30:32] == b": ", attribute
        values[attribute[:30].decode().rstrip()] = unescape(attribute[32:])
    assert list(values) == ATTRIBUTES
    return values
