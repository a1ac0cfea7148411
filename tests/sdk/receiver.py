"""A receiver of pushes that follows the rules of the vendor's samples, each in its own way.

The rules are those of docs/protocol.md: what the Python, Java, PHP and Go samples look up, how they spell it, and where
they find the key. Nothing here is the project's own code, and no cryptographic library is needed for a public key.
"""

import base64
import hashlib
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE = 20
# DER of DigestInfo for SHA-1, before the digest itself (RFC 8017, 9.2).
SHA1 = bytes.fromhex("3021300906052b0e03021a05000414")


class Push:
    """A request as it came over the wire: names spelled as they were sent, and values with a character for each byte."""

    def __init__(self, method, target, headers, body):
        self.method, self.target, self.headers, self.body = method, target, headers, body

    def exactly(self, name):
        """The value of a header whose name is spelled exactly so, else an empty text."""
        return dict(self.headers).get(name, "")

    def lowered(self, name):
        return {key.lower(): value for key, value in self.headers}.get(name, "")

    def signed(self, content_md5, content_type, date, services):
        return "\n".join([self.method, content_md5, content_type, date, *services, self.target])

    def services(self):
        """The x-mns headers, joined and then sorted; the prefix is compared with its case."""
        return sorted(f"{key}:{value}" for key, value in self.headers if key.startswith("x-mns-"))

    def as_python(self):
        names = [self.lowered(name) for name in ("content-md5", "content-type", "date")]
        lines = sorted(f"{key.lower()}:{value}" for key, value in self.headers if key.lower().startswith("x-mns-"))
        return self.signed(*names, lines)

    def as_java(self):
        return self.signed(*(self.exactly(name) for name in ("Content-md5", "Content-Type", "Date")), self.services())

    def as_go(self):
        return self.as_python()

    def as_php(self):
        names = sorted(key for key, _ in self.headers if key.startswith("x-mns-"))
        lines = [f"{name}:{self.exactly(name)}" for name in names]
        content_md5 = self.exactly("Content-MD5") or self.exactly("Content-md5")
        return self.signed(content_md5, self.exactly("Content-Type"), self.exactly("Date"), lines)

    def check(self):
        """Every sample takes it; gives what each of them computed."""
        texts = [self.as_python(), self.as_java(), self.as_go(), self.as_php()]
        address = base64.b64decode(self.exactly("x-mns-signing-cert-url"), validate=True).decode()
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
            modulus, exponent = sixth_element_key(der_of(answer.read().decode()))
        signature = base64.b64decode(self.exactly("Authorization"), validate=True)
        for text in texts:
            verify(modulus, exponent, text.encode("latin-1"), signature)
        if self.lowered("content-type").startswith(("text/xml", "application/json")):
            # The PHP sample and the old receivers of JSON compare with this and nothing else.
            of_hex = base64.b64encode(hashlib.md5(self.body).hexdigest().encode()).decode()
            assert self.exactly("Content-md5") == of_hex, self.headers


def der_of(pem):
    """Without its first and last line, as the samples cut them off."""
    return base64.b64decode("".join(pem.replace(" ", "").split()[1:-1]), validate=True)


def elements(der):
    """The elements of a DER sequence, each with its head."""
    body, found = content(der)[0], []
    while body:
        _, rest = content(body)
        found.append(body[: len(body) - len(rest)])
        body = rest
    return found


def content(der):
    """The content of the first element, and what follows it."""
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    return der[start : start + length], der[start + length :]


def sixth_element_key(certificate):
    """The samples take the element with index 6 of a version 3 certificate: its subjectPublicKeyInfo."""
    info = elements(elements(certificate)[0])[6]
    _algorithm, bits = elements(info)
    modulus, exponent = elements(content(bits)[0][1:])
    return tuple(int.from_bytes(content(number)[0], "big") for number in (modulus, exponent))


def verify(modulus, exponent, text, signature):
    """RSASSA-PKCS1-v1_5 with SHA-1 (RFC 8017, 8.2.2)."""
    size = (modulus.bit_length() + 7) // 8
    assert len(signature) == size
    digest = SHA1 + hashlib.sha1(text).digest()
    expected = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
    found = pow(int.from_bytes(signature, "big"), exponent, modulus).to_bytes(size, "big")
    assert found == expected, text


class Receiver:
    """Answers 200 to a push that every sample takes, and 400 to others, whose failure it keeps."""

    def __init__(self):
        receiver = self
        self.pushes, self.failures = [], []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                push = Push(self.command, self.path, self.headers.items(), body)
                try:
                    push.check()
                    status = 200
                except Exception as failure:
                    receiver.failures.append(f"{failure!r} {push.headers}")
                    status = 400
                # Before the answer: a sender that has it may look at once.
                receiver.pushes.append(push)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/notifications?of=samples"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.thread.join(PATIENCE)
        self.server.server_close()
