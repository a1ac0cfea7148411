"""deploy/compose.yaml and the files beside it."""

import os
import re
import tempfile
from pathlib import Path

import program as program_
import running
import yaml
from compose_spec.compose_spec import PyOptions


COMPOSE = "deploy/compose.yaml"


def findings(root, nats_server, program):
    text = (root / COMPOSE).read_text()
    try:
        PyOptions(apply_merge=True).from_yaml(text)
    except ValueError as error:
        return [f"compose.yaml: {error}"]
    project = yaml.safe_load(text)
    found = list(reference_findings(root, project))
    found += nginx_findings(root, project)
    found += nats_findings(root, nats_server)
    found += endpoint_findings(root, program)
    return found or running_findings(root, project, program)


def running_findings(root, project, program):
    if not os.path.exists(running.NGINX):
        return []
    with tempfile.TemporaryDirectory() as dir:
        started = running.Running(root, project, program, dir)
        try:
            return started.findings()
        finally:
            started.end()


def reference_findings(root, project):
    for name, config in project["configs"].items():
        for choice in ("endpoint", "forward"):
            file = config["file"].replace("${ENDPOINT:-endpoint}", choice)
            if not (root / "deploy" / file).is_file():
                yield f"compose.yaml: the file {file} of the config {name} does not exist"
    volumes = {}
    for name, service in project["services"].items():
        for config in service.get("configs", []):
            if config["source"] not in project["configs"]:
                yield f"compose.yaml: {name}: there is no config {config['source']}"
        for other in service.get("depends_on", []):
            if other not in project["services"]:
                yield f"compose.yaml: {name} depends on {other}, which does not exist"
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source not in project["volumes"]:
                yield f"compose.yaml: {name}: there is no volume {source}"
            if user := volumes.get(source):
                yield f"compose.yaml: {name} and {user} have the volume {source} in common"
            volumes[source] = name


def loopback(text, project):
    """The text with an address that can be looked up here in the place of each service's name."""
    names = "|".join(re.escape(name) for name in project["services"])
    return re.sub(rf"\b({names}):(\d+)", r"127.0.0.1:\2", text)


def nginx_findings(root, project):
    if not os.path.exists(running.NGINX):
        if "REQUIRE_NGINX" in os.environ:
            return [f"{running.NGINX} is missing: apt-get install nginx-light"]
        print(f"SKIPPED: {running.NGINX} is missing, so deploy/compose/nginx.conf is NOT checked")
        return []
    with tempfile.TemporaryDirectory() as dir:
        text = loopback((root / "deploy/compose/nginx.conf").read_text(), project)
        text = text.replace("/dev/stdout", f"{dir}/access_log")
        (Path(dir) / "nginx.conf").write_text(f"pid {dir}/pid;\nerror_log stderr;\n{text}")
        ended = program_.run(running.NGINX, ["-t", "-q", "-p", dir, "-c", f"{dir}/nginx.conf"])
    return [f"nginx.conf: {ended.stderr}"] if ended.returncode else []


def nats_findings(root, nats_server):
    file = root / "deploy/compose/nats.conf"
    own = os.environ | {"NATS_NAME": "nats-1"}
    ended = program_.run(nats_server, ["-t", "-c", file], env=own)
    found = [f"nats.conf: {ended.stdout}{ended.stderr}"] if ended.returncode else []
    if not re.search(r"^\s*sync_interval: always$", file.read_text(), re.MULTILINE):
        found.append("nats.conf: without sync_interval: always messages are in memory only")
    return found


def endpoint_findings(root, program):
    found = []
    for name in ["endpoint", "forward"]:
        with tempfile.TemporaryDirectory() as dir:
            arguments = ["check", "--config", root / f"deploy/compose/{name}.toml"]
            ended = program_.run(program, arguments, cwd=dir, env=program_.environment({}))
            if ended.returncode:
                found.append(f"{name}.toml: {ended.stdout}{ended.stderr}")
    return found
