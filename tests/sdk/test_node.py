"""The Node clients, unmodified: the manual's steps, with a real endpoint as the subscriber."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import OWNER, PATIENCE

PROGRAMS = Path(__file__).parent / "node"
MODULES = os.environ.get("NODE_MODULES")
needs_node = pytest.mark.skipif(MODULES is None, reason="NODE_MODULES does not name the installed packages")


def run(program, *arguments, **environment):
    """What the program prints: one JSON object of all that it was answered."""
    ours = {"PATH": os.environ["PATH"], "NODE_PATH": MODULES} | environment
    command = ["node", PROGRAMS / program, *arguments]
    ended = subprocess.run(command, env=ours, capture_output=True, text=True, timeout=3 * PATIENCE)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def check_delivered(emulator, endpoint, topic, answer, text):
    assert answer["MessageBodyMD5"] == hashlib.md5(text.encode()).hexdigest().upper()
    emulator.wait_delivered(topic, "S", 1)
    (received,) = endpoint.received(topic, "S")
    assert (received["Message"], received["MessageTag"]) == (text, "t")
    assert received["MessageId"] == answer["MessageId"]


@needs_node
def test_the_sdk_of_the_vendor(emulator, endpoint, name):
    told = run("alicloud_mns.js", emulator.url, endpoint.url, name)
    assert told["created"] == {"code": 201, "headers": {"location": f"{emulator.url}/topics/{name}"}}
    place = told["subscribed"]["headers"]["location"]
    assert place.endswith(f"/topics/{name}/subscriptions/S")
    subscription = told["subscription"]["body"]
    assert (subscription["Endpoint"], subscription["NotifyContentFormat"]) == (endpoint.url, "JSON")
    assert subscription["TopicOwner"] == OWNER
    assert told["listed"]["body"] == [{"TopicURL": f"{emulator.url}/topics/{name}"}]
    assert told["changed"] == {"code": 204, "headers": {}}
    assert told["topic"]["body"]["MaximumMessageSize"] == "2048"
    assert told["refused"]["name"] == "MNSTopicNotExistError"
    check_delivered(emulator, endpoint, name, told["published"]["body"], "from Node <&> 重要")


@needs_node
def test_a_client_whose_address_is_fixed_reaches_the_emulator_as_its_proxy(emulator, endpoint, name):
    told = run("ali_mns.js", endpoint.url, name, HTTP_PROXY=emulator.url)
    service = f"{OWNER}.mns.cn-hangzhou.aliyuncs.com"
    assert (told["created"], told["subscribed"], told["changed"]) == (201, 201, 204)
    listed = told["subscriptions"]["Subscriptions"]["Subscription"]["SubscriptionURL"]
    assert listed == f"http://{service}/topics/{name}/subscriptions/S"
    subscription = told["subscription"]["Subscription"]
    assert (subscription["NotifyStrategy"], subscription["NotifyContentFormat"]) == ("BACKOFF_RETRY", "SIMPLIFIED")
    assert told["topic"]["Topic"]["MaximumMessageSize"] == "1024"
    assert told["listed"]["Topics"]["Topic"]["TopicURL"] == f"http://{service}/topics/{name}"
    assert told["refused"]["Error"]["Code"] == "TopicNotExist"
    assert told["refused"]["Error"]["HostId"] == f"http://{service}"
    check_delivered(emulator, endpoint, name, told["published"]["Message"], "from ali-mns <&> 重要")
