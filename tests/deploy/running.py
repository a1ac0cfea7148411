"""What deploy/compose.yaml starts, as processes: the emulator, two endpoints and nginx."""

import re
import shlex
import socket
import subprocess
import time
from pathlib import Path

import program as program_

NGINX = "/usr/sbin/nginx"
COUNT = 3
# How long notifications may take to arrive. The self-test, in which they do not, waits for less.
ARRIVAL = program_.PATIENCE


class Process:
    """A command that prints an address once it is ready."""

    def __init__(self, command, dir, own):
        dir.mkdir()
        self.dir = dir
        with open(dir / "output", "wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=dir,
                env=program_.environment(own),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def output(self):
        return (self.dir / "output").read_text()

    def address(self):
        """What follows `Address: http://`."""
        found = wait(lambda: re.search(r"^Start \S+! Address: http://(\S+)$", self.output(), re.M))
        if not found:
            raise RuntimeError(f"it is not ready: {self.output()}")
        return found[1]

    def end(self):
        self.process.kill()
        self.process.wait()


def wait(condition, seconds=program_.PATIENCE):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    return condition()


class Running:
    """All of it, in a directory."""

    def __init__(self, root, project, program, dir):
        self.root, self.project, self.program, self.dir = root, project, program, Path(dir)
        self.processes = []

    def start(self, name, command, own=None):
        process = Process(command, self.dir / name, own or {})
        self.processes.append(process)
        return process

    def command(self, service, **replaced):
        """That of a service, with addresses of this machine in the place of its own."""
        command = shlex.join(self.project["services"][service]["command"])
        for name, address in replaced.items():
            command = re.sub(rf"\b{name}:\d+", address, command)
        return [self.program, *shlex.split(command)]

    def start_endpoint(self, name, emulator):
        file = self.root / "deploy/compose/endpoint.toml"
        flags = [
            # nginx is on this machine, not on a network of Docker.
            "server.trusted_proxies=127.0.0.1",
            "server.public_url=",
            "server.drain_delay=0s",
            "admin.listen=off",
        ]
        command = [*self.command(name, emulator=emulator), "--config", file]
        command += ["--listen", "127.0.0.1:0"]
        command += [part for flag in flags for part in ("--set", flag)]
        return self.start(name, command)

    def start_nginx(self, endpoints):
        own = socket.create_server(("127.0.0.1", 0))
        address = f"127.0.0.1:{own.getsockname()[1]}"
        text = (self.root / "deploy/compose/nginx.conf").read_text()
        for name, endpoint in endpoints.items():
            text = text.replace(f"{name}:8080", endpoint)
        text = text.replace("listen 8080;", f"listen {address};").replace("/dev/stdout", "access")
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "".join(f"{kind}_temp_path {kind};\n" for kind in kinds)
        text = text.replace("http {", "http {\n" + places)
        config = self.dir / "nginx.conf"
        config.write_text(f"daemon off; pid nginx.pid; error_log stderr;\n{text}")
        # It takes over an open socket, as it does when it replaces itself: the port is never free.
        with own:
            self.processes.append(self.nginx(own, config))
        return address

    def nginx(self, own, config):
        process = Process.__new__(Process)
        process.dir = self.dir
        with open(self.dir / "nginx.log", "wb") as log:
            process.process = subprocess.Popen(
                [NGINX, "-p", self.dir, "-c", config],
                env={"NGINX": f"{own.fileno()};"},
                pass_fds=[own.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        return process

    def client(self, arguments, emulator):
        account = self.project["services"]["topic"]["environment"]
        own = account | {"MNS_ACCOUNT_ENDPOINT": f"http://{emulator}"}
        ended = program_.run(arguments[0], arguments[1:], env=program_.environment(own))
        return [] if ended.returncode == 0 else [f"{arguments[1:]}: {ended.stdout}{ended.stderr}"]

    def taken(self):
        """The ids of the notifications that each endpoint has in its log."""
        pattern = re.compile(r"Notify Message Succeed!\n.*?^MessageId +: (\S+)$", re.M | re.S)
        return {
            name: {
                found[1]
                for log in (self.dir / name / "logs").glob("endpoint_log.*")
                for found in pattern.finditer(log.read_text())
            }
            for name in ("endpoint-1", "endpoint-2")
        }

    def publish(self, emulator, expected):
        found = self.client([self.program, "publish", "MySampleTopic"], emulator)
        # Either may have one that was pushed again, so it is ids that count.
        count = len(wait(lambda: self.arrived(expected), ARRIVAL) or self.arrived(0))
        if count != expected:
            found.append(f"compose: {count} notifications arrived instead of {expected}")
        return found

    def arrived(self, expected):
        """All ids, once they are as many."""
        ids = set().union(*self.taken().values())
        return ids if len(ids) >= expected else None

    def findings(self):
        listen = ["--listen", "127.0.0.1:0"]
        emulator = self.start("emulator", [self.program, "emulator", *listen]).address()
        endpoints = {
            name: self.start_endpoint(name, emulator) for name in ("endpoint-1", "endpoint-2")
        }
        addresses = {name: process.address() for name, process in endpoints.items()}
        nginx = self.start_nginx(addresses)
        found = self.client(self.command("topic"), emulator)
        found += self.client(self.command("subscription", nginx=nginx), emulator)
        found += self.publish(emulator, COUNT)
        if not all(self.taken().values()):
            found.append(f"compose: nginx leaves one endpoint out: {self.taken()}")
        # One that is gone is no reason to refuse a push.
        endpoints["endpoint-1"].end()
        found += self.publish(emulator, 2 * COUNT)
        return found

    def end(self):
        for process in self.processes:
            process.process.terminate()
        for process in self.processes:
            try:
                process.process.wait(program_.PATIENCE)
            except subprocess.TimeoutExpired:
                process.end()
