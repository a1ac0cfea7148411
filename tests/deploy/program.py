"""The program under the configurations of the manifests, in a directory that stands for the pod."""

import base64
import contextlib
import http.client
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

# Long, for a machine with other work.
PATIENCE = 120
OWNER = "1269128356620446"
# Fits every key that names a file: a token, a password, a secret path, a webhook's secret.
TOKEN = "whsec_" + "bW5z" * 10


def environment(own):
    """That of a fresh container."""
    ours = ("MNS_", "ALIBABA_CLOUD_", "RUST_LOG", "HTTP", "TZ")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | own


def run(program, arguments, **options):
    return subprocess.run(
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        **options,
    )


class Pod:
    """The files and the environment that the container of a workload gets, below a directory."""

    def __init__(self, release, dir):
        self.dir = Path(dir)
        pod = release.workloads[0]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        self.mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
        for mount in container["volumeMounts"]:
            place = self.dir / mount["mountPath"].lstrip("/")
            place.mkdir(parents=True)
            for name, text in self.files(release, volumes.get(mount["name"], {})).items():
                (place / name).write_text(self.placed(text))
        image = {"MNS_ENDPOINT_LOGS__DIR": "/logs"}
        own = {variable["name"]: variable["value"] for variable in container["env"]}
        values = {name: self.placed(value) for name, value in (image | own).items()}
        self.environment = environment(values)
        self.config = self.dir / "etc/mns-endpoint/endpoint.toml"
        hook = container.get("lifecycle", {}).get("preStop", {})
        self.hook = hook.get("exec", {}).get("command", [])

    def placed(self, text):
        """The text with the paths of the pod as they are here."""
        for mount in self.mounts:
            path = re.escape(mount)
            text = re.sub(rf'(^|")({path}/|{path}$)', rf"\1{self.dir}\2", text)
        return text

    def files(self, release, volume):
        if "configMap" in volume:
            for config in release.of("ConfigMap"):
                if config["metadata"]["name"] == volume["configMap"]["name"]:
                    return config["data"]
        if "secret" in volume:
            name = volume["secret"]["secretName"]
            for secret in release.of("Secret"):
                if secret["metadata"]["name"] == name:
                    data = secret["data"].items()
                    return {key: base64.b64decode(value).decode() for key, value in data}
            # Somebody else's: its keys are what the configuration reads there.
            return dict.fromkeys(("admin-token", "segment", "password", "whsec"), TOKEN)
        return {}

    def token(self):
        return (self.dir / "secrets/admin/admin-token").read_text().strip()


def check_findings(program, release):
    """What `check` says of the configuration in a ConfigMap, as an error."""
    with tempfile.TemporaryDirectory() as dir:
        pod = Pod(release, dir)
        ended = run(
            program,
            ["check", "--config", pod.config, "--output", "json"],
            cwd=dir,
            env=pod.environment,
        )
        try:
            findings = json.loads(ended.stdout)["findings"]
        except (ValueError, KeyError):
            return [f"check: {ended.stdout}{ended.stderr}"]
        errors = [found for found in findings if found["level"] == "error"]
        texts = [f"check: {error['key']}: {error['text']}" for error in errors]
        if ended.returncode not in (0, 78) or (ended.returncode == 78) != bool(errors):
            texts.append(f"check ended with {ended.returncode}: {ended.stdout}{ended.stderr}")
        return texts + hook_findings(program, pod)


def hook_findings(program, pod):
    """Whether the program knows the command before a stop. There are no logs, so it fails with 1."""
    if not pod.hook:
        return []
    arguments = [*pod.hook[1:], "--config", pod.config]
    ended = run(program, arguments, cwd=pod.dir, env=pod.environment)
    if ended.returncode == 1:
        return []
    return [f"preStop ended with {ended.returncode}: {ended.stdout}{ended.stderr}"]


@contextlib.contextmanager
def serving(program, pod):
    """A `serve` as in the pod, on ports of its own. Gives that of the admin listener."""
    overridden = {
        "server.listen": "127.0.0.1:0",
        "server.drain_delay": "0s",
        "admin.listen": "127.0.0.1:0",
        "signing.prefetch": "false",
    }
    flags = [part for item in overridden.items() for part in ("--set", "=".join(item))]
    command = [program, "serve", "--config", pod.config, *flags]
    process = subprocess.Popen(
        command,
        cwd=pod.dir,
        env=pod.environment | {"NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield admin_address(process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()


def admin_address(process):
    deadline = time.monotonic() + PATIENCE
    said = ""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        os.set_blocking(process.stderr.fileno(), False)
        while selector.select(deadline - time.monotonic()):
            part = process.stderr.read()
            if not part:
                break
            said += part
            if found := re.search(r"metrics are served.*address=127\.0\.0\.1:(\d+)", said):
                return int(found[1])
    raise RuntimeError(f"serve does not come up: {said}")


def ask(port, path, headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def serve_findings(program, release):
    """Whether probes, Prometheus and `helm test` get an answer under this configuration."""
    service = next(
        service["metadata"]["name"]
        for service in release.of("Service")
        if service["spec"].get("clusterIP") == "None"
    )
    findings = []
    with tempfile.TemporaryDirectory() as dir:
        pod = Pod(release, dir)
        with serving(program, pod) as port:
            shown = {"Authorization": f"Bearer {pod.token()}"}
            for path, headers, expected in (
                # The kubelet and Prometheus ask the address of a pod.
                ("/healthz", {"Host": "10.1.2.3:9080"}, 200),
                ("/readyz", {"Host": "10.1.2.3:9080"}, 200),
                ("/readyz", {"Host": f"{service}:9080"}, 200),
                ("/metrics", {"Host": "10.1.2.3:9080"} | shown, 200),
                ("/metrics", {"Host": "10.1.2.3:9080"}, 401),
                ("/metrics", {"Host": "stranger.example.com"} | shown, 421),
            ):
                status = ask(port, path, headers)
                if status != expected:
                    findings.append(f"serve answers {status} to {path} with {sorted(headers)}")
            for test in release.of("Pod"):
                findings += script_findings(test, port)
    return findings


def script_findings(test, port):
    """The script of `helm test`, with each replica at the port of the one that runs here."""
    busybox = shutil.which("busybox")
    if busybox is None:
        print("SKIPPED: busybox is not installed, so the script of helm test is NOT run")
        return []
    (script,) = test["spec"]["containers"][0]["args"]
    script = script.replace('"http://$1:9080/', f'"http://127.0.0.1:{port}/')
    with tempfile.TemporaryDirectory() as dir:
        for name in ("sh", "timeout", "wget"):
            (Path(dir) / name).symlink_to(busybox)
        ended = run(Path(dir) / "sh", ["-ec", script], env={"PATH": dir})
    if ended.returncode != 0 or "OK" not in ended.stdout:
        return [f"helm test: ended with {ended.returncode}: {ended.stdout}{ended.stderr}"]
    return []
