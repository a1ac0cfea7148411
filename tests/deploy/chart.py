"""The chart: rendered by Helm's own library, for each kind of values."""

import re
import shlex
import tomllib

import helm_python
import yaml

CHART = "deploy/helm/mns-endpoint"
OPERATIONS = "docs/operations.md"
# Tables of keys that are not settled yet: where they are, once they are there.
DESTINATIONS = "src/config/forward/defaults.toml"
# What the chart sets itself.
OWN = {
    "server": {"listen"},
    "logs": {"dir"},
    "signing": {"certificate_dir"},
    "admin": {"listen", "token_file"},
}
OWNED = {"config": {"accept": {"topic_owners": ["1269128356620446"]}}}
# Values that must be refused, and what the refusal says.
REFUSED = [
    ({}, "config.accept.topic_owners is empty"),
    (OWNED | {"replica": 3}, "replica"),
    (OWNED | {"replicas": "3"}, "replicas"),
    (OWNED | {"kind": "DaemonSet"}, "kind"),
    (OWNED | {"kind": "Deployment"}, "needs a destination with ack: forward"),
    ({"config": OWNED["config"] | {"server": {"drain_dely": "10s"}}}, "drain_dely"),
    ({"config": OWNED["config"] | {"server": {"listen": "0.0.0.0:80"}}}, "listen"),
    ({"config": {"accept": {"topic_owners": ["your-account-id"]}}}, "topic_owners"),
    (OWNED | {"forward": {"orders": {"to": "nats", "sujbect": "a"}}}, "sujbect"),
    (
        OWNED | {"forward": {name: {"to": "nats", "ack": "forward"} for name in "ab"}},
        "possible for one destination only",
    ),
]


def render(chart, values):
    """All manifests, by the template that made them."""
    rendered = chart.render(values, name="demo", namespace="mns")
    notes = [name for name in rendered if name.endswith("NOTES.txt")]
    return {name: text for name, text in rendered.items() if name not in notes}


def cases(root):
    for file in sorted((root / "tests/deploy/values").glob("*.yaml")):
        yield file.stem, yaml.safe_load(file.read_text())


def releases(root):
    """Each kind of values, with the text of every manifest."""
    with helm_python.Chart.load(root / CHART) as chart:
        for name, values in cases(root):
            yield name, render(chart, values)


def findings(root):
    checks = (lint_findings, refusal_findings, command_findings, key_findings)
    found = [text for check in checks for text in check(root)]
    metadata = yaml.safe_load((root / CHART / "Chart.yaml").read_text())
    version = tomllib.loads((root / "Cargo.toml").read_text())["package"]["version"]
    if metadata["appVersion"] != version:
        found.append(f"appVersion is {metadata['appVersion']}, Cargo.toml has {version}")
    image = f"image: mns-endpoint:{version}"
    if image not in (root / "deploy/kubernetes/statefulset.yaml").read_text():
        found.append(f"statefulset.yaml: {image} is not in it, though Cargo.toml has {version}")
    return found


def lint_findings(root):
    for name, values in cases(root):
        report = helm_python.lint(root / CHART, values, strict=True)
        for message in report["messages"]:
            # An icon is the one thing that it asks for at the level of information.
            if message["severity"] >= 2:
                yield f"helm lint, {name}: {message}"
        for error in report["errors"]:
            yield f"helm lint, {name}: {error}"


def refusal_findings(root):
    with helm_python.Chart.load(root / CHART) as chart:
        for values, reason in REFUSED:
            try:
                render(chart, values)
                yield f"the chart takes {values}, which should say {reason}"
            except helm_python.HelmError as error:
                if reason not in str(error):
                    yield f"the chart refuses {values} with {error} and does not say {reason}"


def command_findings(root):
    """Whether the command for an installation in docs/operations.md has values that render."""
    page = (root / OPERATIONS).read_text()
    (command,) = re.findall(r"^helm install .*?[^\\]$", page, re.MULTILINE | re.DOTALL)
    words = shlex.split(command.replace("\\\n", ""))
    values = {}
    for flag, value in zip(words, words[1:], strict=False):
        if flag == "--set":
            merge(values, helm_python.parse_set_string(value))
        elif flag == "--set-string":
            merge(values, helm_python.parse_set_string_values(value))
    try:
        with helm_python.Chart.load(root / CHART) as chart:
            render(chart, values)
    except helm_python.HelmError as error:
        yield f"{OPERATIONS}: {command}: {error}"


def merge(values, further):
    for key, value in further.items():
        if isinstance(value, dict):
            merge(values.setdefault(key, {}), value)
        else:
            values[key] = value


def key_findings(root):
    """Whether the schema of the values has the keys of the configuration, all and no others."""
    with helm_python.Chart.load(root / CHART) as chart:
        schema = chart.schema["properties"]
    tables = tomllib.loads((root / "config/endpoint.toml").read_text())
    for table, keys in tables.items():
        if table == "forward":
            continue
        known = schema["config"]["properties"].get(table, {"properties": {}})["properties"].keys()
        yield from differences(f"config.{table}", known, keys.keys() - OWN.get(table, set()))
    if (root / DESTINATIONS).exists():
        (table,) = tomllib.loads((root / DESTINATIONS).read_text())["forward"].values()
        known = schema["forward"]["additionalProperties"]["properties"].keys()
        yield from differences("forward.NAME", known, table.keys())


def differences(table, known, keys):
    for key in sorted(keys - known):
        yield f"values.schema.json lacks {table}.{key}"
    for key in sorted(known - keys):
        yield f"values.schema.json has {table}.{key}, which is no key of the program"
