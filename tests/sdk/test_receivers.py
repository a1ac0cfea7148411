"""What the emulator and `push` send is what the vendor's samples expect of MNS, and so are the answers of its API."""

import subprocess
from pathlib import Path

import pytest
from conftest import EXECUTABLE, PATIENCE
from mns.subscription import SubscriptionMeta
from mns.topic import TopicMessage, TopicMeta
from receiver import Receiver, der_of, sixth_element_key
from test_messages import FORMATS


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.stop()
    assert not receiver.failures, receiver.failures


def test_the_key_of_mns_is_found_where_the_samples_look_for_it():
    certificate = Path(__file__).parents[2] / "certs" / "mns-2015.pem"
    modulus, exponent = sixth_element_key(der_of(certificate.read_text()))
    assert (modulus.bit_length(), exponent) == (512, 65537)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("tag", ["", "重要"])
def test_the_emulator_pushes_what_every_sample_takes(emulator, topic, name, receiver, format, tag):
    topic.get_subscription("S").subscribe(SubscriptionMeta(receiver.url, notify_content_format=format))
    topic.publish_message(TopicMessage("<x> & 重要\r\n", tag))
    emulator.wait_delivered(name, "S", 1)
    assert len(receiver.pushes) == 1


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("bits", ["512", "2048"])
def test_push_sends_what_every_sample_takes(receiver, tmp_path, format, bits):
    command = [EXECUTABLE, "push", receiver.url, "--format", format.lower(), "--bits", bits, "--tag", "重要"]
    more = ["--body", "<x> & 重要", "--cert-listen", "127.0.0.1:0"]
    ended = subprocess.run(command + more, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 0, (ended, receiver.failures)
    assert len(receiver.pushes) == 1
