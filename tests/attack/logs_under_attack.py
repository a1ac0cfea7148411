"""A real `serve` with its logs in a directory of its own, for the scripts beside this file. Loopback only."""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAD = re.compile(rb"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] \[", re.MULTILINE)
SUCCEED = b"] Notify Message Succeed!\n"
WAIT_S = 10


def binary():
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--bin", default=ROOT / "target/release/mns-endpoint", type=Path, help="the program")
    path = parser.parse_args().bin.resolve()
    if not path.is_file():
        sys.exit(f"{path}: not there; build it with cargo build --release --locked, or name another with --bin")
    return path


def eventually(what, check, seconds=WAIT_S):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        time.sleep(0.02)
    raise TimeoutError(f"not within {seconds} s: {what}")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def records(text):
    """The records of an endpoint log in text, each as its bytes."""
    starts = [found.start() for found in HEAD.finditer(text)] + [len(text)]
    return [text[start:end] for start, end in zip(starts, starts[1:])]


class Serve:
    def __init__(self, program, *settings):
        self.program, self.settings = program, settings
        self.temp = tempfile.TemporaryDirectory(prefix="mns-endpoint-attack-")
        self.dir = Path(self.temp.name)
        self.logs = self.dir / "logs"
        self.port, self.cert_port = free_port(), free_port()
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end(signal.SIGKILL)
        self.temp.cleanup()

    @property
    def environment(self):
        return {"TZ": "UTC", "MNS_ENDPOINT_ADMIN__LISTEN": "off", "PATH": os.environ.get("PATH", "")}

    def start(self, *more, environment=()):
        command = [self.program, "serve", "--log-dir", "logs", "--listen", f"127.0.0.1:{self.port}"]
        command += ["--trust", f"http://127.0.0.1:{self.cert_port}/"]
        for setting in ("logs.low_water=0", "logs.stdout=off", *self.settings, *more):
            command += ["--set", setting]
        with open(self.dir / "stderr", "ab") as stderr:
            self.process = subprocess.Popen(
                command, cwd=self.dir, env={**self.environment, **dict(environment)}, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True,
            )
        eventually("serve listens", self.is_listening)

    def is_listening(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"serve ended with {self.process.returncode}: {(self.dir / 'stderr').read_text()}")
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self, how=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, how)
            self.process.wait(WAIT_S)

    def overwrite(self, text):
        """Writes the live log while serve stands still, so that it does not see half of it."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        self.live.write_bytes(text)
        os.killpg(self.process.pid, signal.SIGCONT)

    def push(self, count):
        done = subprocess.run(
            [self.program, "push", f"http://127.0.0.1:{self.port}", "--count", str(count),
             "--cert-listen", f"127.0.0.1:{self.cert_port}"],
            cwd=self.dir, env=self.environment, capture_output=True, timeout=60, check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"a push was not taken: {done.stdout.decode()}{done.stderr.decode()}")

    def verify(self):
        """The exit code of `logs verify`; None if it hangs."""
        command = [self.program, "logs", "verify", "--log-dir", "logs", "--listen", f"127.0.0.1:{self.port}"]
        try:
            return subprocess.run(
                command, cwd=self.dir, env=self.environment, capture_output=True, timeout=WAIT_S, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            return None

    @property
    def live(self):
        return self.logs / f"endpoint_log.{self.port}"

    def rotated(self, log="endpoint_log"):
        return sorted(path for path in self.logs.glob(f"{log}.{self.port}.*") if path.suffix[1:].isdigit())

    def all_records(self):
        return [record for path in [*self.rotated(), self.live] for record in records(path.read_bytes())]

    def round_of_the_writer(self):
        """Waits until the writer has looked after its files once more: it reopens a log that was moved away."""
        access = self.logs / f"access_log.{self.port}"
        access.rename(self.dir / "moved")
        eventually("the writer looks after its files", access.exists)


class Report:
    """One line for each figure; `end` gives the exit code."""

    def __init__(self):
        self.is_kept = True

    def add(self, is_good, text):
        self.is_kept &= is_good
        print(f"{'ok  ' if is_good else 'FAIL'} {text}", flush=True)

    def end(self):
        print("the promise holds" if self.is_kept else "THE PROMISE DOES NOT HOLD")
        sys.exit(0 if self.is_kept else 1)
