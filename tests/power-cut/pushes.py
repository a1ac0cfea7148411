"""Signed pushes as MNS sends them, and senders that post them until the endpoint goes away."""

import base64
import email.utils
import hashlib
import random
import socket
import subprocess
import threading
import time
from pathlib import Path

KEYS = Path(__file__).resolve().parents[1] / "vectors/keys"
# Nothing is fetched from it: the certificate is put below certs/signing by hand.
TRUSTED = "http://127.0.0.1:1/"
CERTIFICATE = KEYS / "test-512-certificate.pem"
CERTIFICATE_PLACE = "certs/signing/127.0.0.1:1/x.pem"
CERTIFICATE_URL = base64.b64encode(f"{TRUSTED}x.pem".encode()).decode()
SHA1_PREFIX = bytes.fromhex("3021300906052b0e03021a05000414")
ACCOUNT = "1269128356620446"
ANSWER_WITHIN_S = 20


class Key:
    """The private key of the tests: RSA with SHA-1 and PKCS#1 padding."""

    def __init__(self):
        text = subprocess.run(
            ["openssl", "rsa", "-in", KEYS / "test-512.pem", "-noout", "-text"],
            check=True, capture_output=True, text=True, timeout=20,
        ).stdout
        self.modulus = self.number(text, "modulus:")
        self.exponent = self.number(text, "privateExponent:")
        self.size = (self.modulus.bit_length() + 7) // 8

    @staticmethod
    def number(text, name):
        lines = text[text.index(name) + len(name):].lstrip("\n").splitlines()
        digits = []
        for line in lines:
            if not line.startswith(" "):
                break
            digits.append(line.strip().replace(":", ""))
        return int("".join(digits), 16)

    def sign(self, text):
        digest = SHA1_PREFIX + hashlib.sha1(text).digest()
        padded = b"\x00\x01" + b"\xff" * (self.size - len(digest) - 3) + b"\x00" + digest
        number = pow(int.from_bytes(padded, "big"), self.exponent, self.modulus)
        return base64.b64encode(number.to_bytes(self.size, "big")).decode()


def message(dice):
    """Most messages are small; some fill several blocks of the disk."""
    longest = dice.choices([2_000, 16_000, 60_000], weights=[85, 12, 3])[0]
    return dice.randbytes(dice.randrange(10, longest) // 2).hex()


def request_id(message_id):
    """The access log names a push by its request's id."""
    return hashlib.md5(message_id.encode()).hexdigest()[:24].upper()


def push(key, message_id, text):
    body = (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<Notification xmlns="http://mns.aliyuncs.com/doc/v1/">'
        f"<TopicOwner>{ACCOUNT}</TopicOwner><TopicName>MySampleTopic</TopicName>"
        f"<Subscriber>{ACCOUNT}</Subscriber><SubscriptionName>MySampleTopic-Sub</SubscriptionName>"
        f"<MessageId>{message_id}</MessageId>"
        f"<MessageMD5>{hashlib.md5(text.encode()).hexdigest().upper()}</MessageMD5>"
        f"<Message>{text}</Message><PublishTime>{int(time.time() * 1000)}</PublishTime>"
        "</Notification>"
    ).encode()
    md5 = base64.b64encode(hashlib.md5(body).hexdigest().encode()).decode()
    kind, date = "text/xml;charset=utf-8", email.utils.formatdate(usegmt=True)
    mns = {
        "x-mns-request-id": request_id(message_id),
        "x-mns-signing-cert-url": CERTIFICATE_URL,
        "x-mns-version": "2015-06-06",
    }
    signed = [f"{name}:{value}" for name, value in mns.items()]
    text_to_sign = "\n".join(["POST", md5, kind, date, *signed, "/notifications"])
    head = [
        "POST /notifications HTTP/1.1", "Host: endpoint.test", f"Content-Length: {len(body)}",
        f"Content-MD5: {md5}", f"Content-Type: {kind}", f"Date: {date}",
        "User-Agent: Aliyun Notification Service Agent",
        *(f"{name}: {value}" for name, value in mns.items()),
        f"Authorization: {key.sign(text_to_sign.encode())}",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def read_status(reader):
    """Reads one answer, with its body; raises if it is not whole."""
    line = reader.readline()
    length = 0
    while (header := reader.readline()) != b"\r\n":
        if not header:
            raise ConnectionError("no whole answer")
        name, _, value = header.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    if len(reader.read(length)) != length:
        raise ConnectionError("no whole answer")
    return int(line.split()[1])


def get(port, path):
    """The status of a GET, or None without a whole answer: the forwarded port always connects."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as stream:
            stream.sendall(f"GET {path} HTTP/1.1\r\nHost: endpoint.test\r\n\r\n".encode())
            with stream.makefile("rb") as reader:
                return read_status(reader)
    except (OSError, ValueError, IndexError):
        return None


class Senders:
    """Post pushes, each sender on a connection of its own, until `stop`."""

    def __init__(self, key, port, count, prefix):
        self.key, self.port, self.prefix = key, port, prefix
        # Each message that was answered 201, by its MessageId.
        self.answered = {}
        self.refused = 0
        self.broken = 0
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.threads = [
            threading.Thread(target=self.run, args=(number,), daemon=True)
            for number in range(count)
        ]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join(2 * ANSWER_WITHIN_S)

    def run(self, sender):
        dice = random.Random(f"{self.prefix} {sender}")
        sent = 0
        while not self.is_over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), ANSWER_WITHIN_S) as stream:
                    with stream.makefile("rb") as reader:
                        while not self.is_over.is_set():
                            sent += 1
                            message_id = f"{self.prefix}-{sender}-{sent}"
                            self.post(stream, reader, message_id, message(dice))
            except (OSError, ValueError, IndexError):
                with self.lock:
                    self.broken += not self.is_over.is_set()
                self.is_over.wait(0.05)

    def post(self, stream, reader, message_id, text):
        stream.sendall(push(self.key, message_id, text))
        status = read_status(reader)
        with self.lock:
            if status == 201:
                self.answered[message_id] = text
            else:
                self.refused += 1
