"""What is forwarded over HTTP is signed as the library of Standard Webhooks verifies it."""

import base64
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import PATIENCE, Endpoint
from mns.subscription import SubscriptionMeta
from mns.topic import TopicMessage
from standardwebhooks import Webhook, WebhookVerificationError
from test_messages import TEXTS

# Of 192 bits each, the second written without its prefix.
SECRETS = [
    "whsec_" + base64.b64encode(b"the first secret, 24 byt").decode(),
    base64.b64encode(b"the second secret, 24 by").decode(),
]
OTHER = "whsec_" + base64.b64encode(b"not one of them, 24 byte").decode()
PAGE = Path(__file__).parents[2] / "docs" / "forward.md"


class Hook:
    """Takes every request, and keeps it."""

    def __init__(self):
        self.requests, self.came = [], threading.Condition()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with hook.came:
                    hook.requests.append((dict(self.headers.items()), body))
                    hook.came.notify_all()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def wait_for(self, message_id):
        """The request for a message."""

        def found():
            return [one for one in self.requests if one[0]["mns-message-id"] == message_id]

        with self.came:
            assert self.came.wait_for(found, PATIENCE), "it did not come"
            (one,) = found()
            return one

    def stop(self):
        self.server.shutdown()
        self.thread.join(PATIENCE)
        self.server.server_close()


@pytest.fixture(scope="module")
def hook():
    hook = Hook()
    yield hook
    hook.stop()


@pytest.fixture(scope="module", params=["message", "json", "cloudevent"])
def forwarding(request, emulator, hook, tmp_path_factory):
    """An endpoint that signs with both secrets, and what its bodies are."""
    dir = tmp_path_factory.mktemp("forwarding")
    files = [dir / "first", dir / "second"]
    for file, secret in zip(files, SECRETS, strict=True):
        file.write_text(f"{secret}\n")
    settings = {
        "forward.hook.to": "http",
        "forward.hook.url": hook.url,
        "forward.hook.body": request.param,
        "forward.hook.secret_files": ",".join(map(str, files)),
    }
    endpoint = Endpoint(dir, emulator.url, settings=[f"{key}={value}" for key, value in settings.items()])
    yield endpoint, request.param
    endpoint.stop()


@pytest.fixture
def forwarded(forwarding, hook, topic):
    """Publishes a message, and gives the request that it was forwarded as."""
    endpoint, _ = forwarding
    topic.get_subscription("S").subscribe(SubscriptionMeta(endpoint.url))

    def forwarded(text):
        answer = topic.publish_message(TopicMessage(text, "标签"))
        return hook.wait_for(answer.message_id)

    return forwarded


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_each_secret_verifies_what_was_sent(forwarding, forwarded, text):
    headers, body = forwarded(text)
    for secret in SECRETS:
        Webhook(secret).verify(body, headers, json_parse=False)
    if forwarding[1] == "json":
        assert Webhook(SECRETS[0]).verify(body, headers)["Message"] == text
        assert headers["content-type"] == "application/json"
    else:
        assert body.decode() == text
        assert headers["content-type"] == "text/plain; charset=utf-8"


def test_another_secret_body_id_or_time_verifies_nothing(forwarded):
    headers, body = forwarded("x")
    assert len(headers["webhook-signature"].split(" ")) == len(SECRETS)
    later = str(int(headers["webhook-timestamp"]) + 1)
    for secret, changed, text in [
        (OTHER, {}, body),
        (SECRETS[0], {}, body + b"y"),
        (SECRETS[0], {"webhook-id": "another"}, body),
        (SECRETS[0], {"webhook-timestamp": later}, body),
    ]:
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(text, headers | changed, json_parse=False)


def test_the_example_of_the_documentation_takes_it(forwarded, tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    file = tmp_path / "whsec"
    file.write_text(f"{SECRETS[0]}\n")
    assert '"/etc/mns/whsec"' in example
    names = {}
    exec(example.replace('"/etc/mns/whsec"', repr(str(file))), names)
    headers, body = forwarded("x")
    assert names["receive"](headers, body) == (headers["webhook-id"], body)
    with pytest.raises(WebhookVerificationError):
        names["receive"](headers, json.dumps("another").encode())
