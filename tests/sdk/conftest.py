"""An emulator and an endpoint, as processes of their own, and what the tests ask of them."""

import http.client
import json
import logging
import os
import queue
import re
import socket
import subprocess
import threading
import time
import uuid
from pathlib import Path

import pytest
from endpoint_log import Reader
from mns.account import Account
from mns.mns_exception import MNSServerException
from mns.subscription import SubscriptionMeta
from mns.topic import TopicMeta

EXECUTABLE = Path(os.environ["MNS_ENDPOINT_BIN"]).resolve(strict=True)
KEY = ("emulator", "emulator")
OWNER = "1269128356620446"
PATIENCE = 20
LOGGER = logging.getLogger("sdk")
LOGGER.setLevel(logging.DEBUG)


class Process:
    """A command that says on stdout under which address it is ready."""

    def __init__(self, ready, arguments, dir):
        dir.mkdir(parents=True, exist_ok=True)
        told = re.compile(rf"^{ready} Address: (http://127\.0\.0\.1:(\d+))$")
        ours = ("MNS_", "ALIBABA_CLOUD_", "RUST_LOG")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        with open(dir / "stderr", "ab") as stderr:
            self.process = subprocess.Popen(
                [EXECUTABLE, *arguments],
                cwd=dir,
                env=environment | {"TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        lines = queue.Queue()
        self.reader = threading.Thread(target=self.read, args=(lines,), daemon=True)
        self.reader.start()
        try:
            deadline = time.monotonic() + PATIENCE
            while True:
                line = lines.get(timeout=deadline - time.monotonic())
                assert line is not None, f"it ended: {(dir / 'stderr').read_text()}"
                if found := told.match(line):
                    break
        except BaseException:
            self.process.kill()
            raise
        self.url, self.port = found[1], int(found[2])

    def read(self, lines):
        for line in self.process.stdout:
            lines.put(line.rstrip("\n"))
        lines.put(None)

    def stop(self):
        self.process.terminate()
        try:
            status = self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self.reader.join(PATIENCE)
            self.process.stdout.close()
        assert status == 0, f"it ended with {status}"


class Emulator(Process):
    def __init__(self, dir, *arguments):
        super().__init__("Start Emulator!", ["emulator", "--listen", "127.0.0.1:0", *arguments], dir)
        self.accounts = []

    def account(self, key_id=KEY[0], secret=KEY[1], url=None, **more):
        self.accounts.append(Account(url or self.url, key_id, secret, logger=LOGGER, **more))
        return self.accounts[-1]

    def stop(self):
        for account in self.accounts:
            account.mns_client.close_connection()
        super().stop()

    def status(self, topic, subscription):
        """What the status document says about a subscription; nothing where it has none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", "/status")
        document = json.load(connection.getresponse())
        connection.close()
        names = (topic, subscription)
        found = [one for one in document["subscriptions"] if (one["topic"], one["subscription"]) == names]
        return found[0] if found else None

    def wait_until(self, topic, subscription, is_so):
        deadline = time.monotonic() + PATIENCE
        while not is_so(status := self.status(topic, subscription)):
            assert time.monotonic() < deadline, status
            time.sleep(0.005)
        return status

    def wait_delivered(self, topic, subscription, count):
        """Waits until the endpoint has `count` messages and none is left, and none was pushed in vain."""
        status = self.wait_until(topic, subscription, lambda now: now["undelivered"] == 0 and now["delivered"] >= count)
        told = {name: status[name] for name in ("delivered", "undelivered", "failed_pushes", "given_up")}
        assert told == {"delivered": count, "undelivered": 0, "failed_pushes": 0, "given_up": 0}, status


class Endpoint(Process):
    def __init__(self, dir, trusted, port=0, settings=()):
        self.logs = dir / "logs"
        settings = ["admin.listen=off", f"signing.certificate_dir={dir / 'certificates'}", *settings]
        arguments = ["serve", "--listen", f"127.0.0.1:{port}", "--log-dir", self.logs, "--trust", f"{trusted}/"]
        for setting in settings:
            arguments += ["--set", setting]
        super().__init__("Start Endpoint!", arguments, dir)
        self.log = Reader(self.logs / f"endpoint_log.{self.port}")

    def received(self, topic, subscription=None):
        """What stands in the endpoint log for a topic, or for one of its subscriptions."""
        found = [one for one in self.log.notifications() if one["TopicName"] == topic]
        return [one for one in found if subscription in (None, one["SubscriptionName"])]


@pytest.fixture(scope="session")
def emulator(tmp_path_factory):
    process = Emulator(tmp_path_factory.mktemp("emulator"))
    yield process
    process.stop()


@pytest.fixture(scope="session")
def endpoint(emulator, tmp_path_factory):
    process = Endpoint(tmp_path_factory.mktemp("endpoint"), emulator.url)
    yield process
    process.stop()
    # No push was refused, and every request has its outcome.
    process.log.notifications()
    assert process.log.request is None
    assert process.log.offset == process.log.path.stat().st_size


@pytest.fixture
def account(emulator):
    return emulator.account()


@pytest.fixture(scope="session")
def nobody():
    """The address of an endpoint that takes no connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def name():
    """The name of a topic that no other test has."""
    return f"T-{uuid.uuid4().hex}"


@pytest.fixture
def topic(account, name):
    topic = account.get_topic(name)
    topic.create(TopicMeta())
    yield topic
    topic.delete()


@pytest.fixture
def subscribe(topic, endpoint):
    """Subscribes the endpoint to the topic."""

    def subscribe(name="S", *attributes, **more):
        topic.get_subscription(name).subscribe(SubscriptionMeta(endpoint.url, *attributes, **more))
        return name

    return subscribe


@pytest.fixture
def refused(emulator):
    """Runs what the service has to refuse, and checks all that its error says."""

    def refused(code, action, *arguments, host_id=emulator.url):
        begun = int(time.time())
        with pytest.raises(MNSServerException) as caught:
            action(*arguments)
        error = caught.value
        assert error.type == code, error
        assert re.fullmatch("[0-9A-F]{24}", error.request_id), error.request_id
        assert begun <= int(error.request_id[:8], 16) <= time.time(), error.request_id
        assert error.req_id == error.request_id
        assert error.host_id == host_id
        assert error.message
        return error

    return refused
