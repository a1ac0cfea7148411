"""Whether deploy/check is red for mistakes: each is made in a copy of the files."""

import dataclasses
import shutil
import sys
import tempfile
from pathlib import Path

import main as check
import running

PLAIN = "deploy/kubernetes"
CHART = "deploy/helm/mns-endpoint"
STATEFUL_SET = f"{PLAIN}/statefulset.yaml"
BUDGET = f"{PLAIN}/poddisruptionbudget.yaml"
SERVICE = f"{PLAIN}/service.yaml"
CONFIG = f"{PLAIN}/configmap.yaml"
WORKLOAD = f"{CHART}/templates/workload.yaml"
HELM_TEST = f"{CHART}/templates/tests/ready.yaml"
COMPOSE = "deploy/compose.yaml"


@dataclasses.dataclass
class Mistake:
    """In `file`, `wrong` takes the place of the first `right`; `said` must be in a finding."""

    file: str
    right: str
    wrong: str
    said: str


# A wrong key, a wrong selector, an unknown apiVersion; then what no schema sees.
MANIFESTS = [
    Mistake(STATEFUL_SET, "failureThreshold", "failureTreshold", "failureTreshold"),
    Mistake(SERVICE, "selector:\n    app", "selector:\n    apq", "selects no pod"),
    Mistake(STATEFUL_SET, "apiVersion: apps/v1", "apiVersion: apps/v9", "api version apps/v9"),
    Mistake(BUDGET, "policy/v1", "policy/v1beta1", "api version policy/v1beta1"),
    Mistake(STATEFUL_SET, "matchLabels:\n      app", "matchLabels:\n      apq", "not in its pod's"),
    Mistake(STATEFUL_SET, "port: admin", "port: admn", "startupProbe asks the port admn"),
    Mistake(STATEFUL_SET, "path: /readyz", "path: /ready", "does not ask /readyz"),
    Mistake(STATEFUL_SET, "containerPort: 9080", "containerPort: 9", "not that of admin.listen"),
    Mistake(SERVICE, "targetPort: push", "targetPort: http", "no port that is named http"),
    Mistake(BUDGET, "maxUnavailable: 1", "maxUnavailable: 0", "lets no replica go"),
    Mistake(f"{PLAIN}/networkpolicy.yaml", "port: push", "port: 80", "instead of all ports"),
    Mistake(STATEFUL_SET, "whenScaled: Retain", "whenScaled: Delete", "whenScaled deletes"),
    Mistake(STATEFUL_SET, "Seconds: 30", "Seconds: 15", "may need 20 s"),
    Mistake(STATEFUL_SET, "runAsUser: 10001", "runAsUser: 1000", "does not run as 10001"),
    Mistake(STATEFUL_SET, "- name: logs\n        ", "- name: log\n        ", "there is none"),
    Mistake(STATEFUL_SET, "value: /logs/endpoint", "value: /logs", "not a directory of its own"),
    Mistake(CONFIG, "drain_delay", "drain_dely", "drain_dely"),
    Mistake(CONFIG, "mns-endpoint-pods", "mns-endpoint-pod", "answers 421 to /readyz"),
    Mistake(SERVICE, "\n  type: Load", "\n  type: NodePort\n  type: Load", "duplication of key"),
]
TEMPLATES = [
    Mistake(f"{CHART}/values.yaml", "\nreplicas: 2", "\nreplica: 2", "'replica'"),
    Mistake(WORKLOAD, "minReadySeconds", "minReadySecond", "minReadySecond"),
    Mistake(WORKLOAD, "apiVersion: apps/v1", "apiVersion: apps/v9", "api version apps/v9"),
    Mistake(
        f"{CHART}/templates/service.yaml",
        'include "mns-endpoint.selector" . | nindent 4 }}\n  ports',
        'include "mns-endpoint.selector" . | replace "demo" "other" | nindent 4 }}\n  ports',
        "selects no pod",
    ),
    Mistake(
        f"{CHART}/templates/servicemonitor.yaml",
        "- port: admin",
        "- port: metrics",
        "there is no port metrics",
    ),
    Mistake(
        HELM_TEST, "name: mns-endpoint-test", "name: mns-endpoint", "pushes would be sent to it"
    ),
    Mistake(HELM_TEST, "Host: localhost", "Host: a.example.com", "helm test: ended with"),
    Mistake(f"{CHART}/templates/_helpers.tpl", "\ntoken_file", "\ntoken_fle", "token_fle"),
    Mistake(
        WORKLOAD, "if $forwards }}\n          life", "if true }}\n          life", "forward drain"
    ),
    Mistake(WORKLOAD, "drain, --timeout", "drain, --timout", "preStop ended with 2"),
    Mistake(f"{CHART}/values.schema.json", "low_water", "low_watr", "lacks config.logs.low_water"),
    Mistake(
        "docs/operations.md", "--set-string 'config", "--set 'config", "got number, want string"
    ),
    Mistake(f"{CHART}/Chart.yaml", 'appVersion: "', 'appVersion: "9', "appVersion is 9"),
]
COMPOSE_FILES = [
    Mistake(COMPOSE, "stop_grace_period", "stop_grace_perod", "stop_grace_perod"),
    Mistake(COMPOSE, "source: nginx", "source: ngnix", "there is no config ngnix"),
    Mistake(COMPOSE, "logs-2:/logs", "logs-1:/logs", "the volume logs-1 in common"),
    Mistake("deploy/compose/nginx.conf", "keepalive 32", "keep_alive 32", "keep_alive"),
    Mistake("deploy/compose/nats.conf", "store_dir", "stor_dir", "stor_dir"),
    Mistake("deploy/compose/nats.conf", "interval: always", 'interval: "2m"', "in memory only"),
    Mistake(
        "deploy/compose/nginx.conf", "location = /notifications", "location = /n", "instead of 3"
    ),
    Mistake("deploy/compose/endpoint.toml", "require_owner", "require_ownr", "require_ownr"),
]
GROUPS = [
    (MANIFESTS, check.kubernetes_findings),
    (TEMPLATES, check.chart_findings),
    (COMPOSE_FILES, check.compose_findings),
]


def found(copy, mistake, findings, executable):
    """Whether the check says what it should with that mistake, and what it says."""
    file = copy / mistake.file
    text = file.read_text()
    if mistake.right not in text:
        return False, f"{mistake.right!r} is not in it"
    file.write_text(text.replace(mistake.right, mistake.wrong, 1))
    try:
        said = findings(copy, executable)
    except Exception as error:
        # A template that cannot be rendered ends the check: that is red too.
        said = [str(error)]
    finally:
        file.write_text(text)
    return any(mistake.said in text for text in said), "\n".join(said) or "nothing"


def main(root, executable):
    running.ARRIVAL = 2
    failed = 0
    with tempfile.TemporaryDirectory() as dir:
        copy = Path(dir)
        for folder in ("deploy", "config", "docs", "tests/deploy", "src/config/forward"):
            if (root / folder).exists():
                shutil.copytree(root / folder, copy / folder)
        shutil.copy(root / "Cargo.toml", copy)
        for mistakes, findings in GROUPS:
            for mistake in mistakes:
                is_found, said = found(copy, mistake, findings, executable)
                if not is_found:
                    failed += 1
                    print(f"NOT FOUND: {mistake}\nsaid: {said}", file=sys.stderr)
    count = sum(len(mistakes) for mistakes, _ in GROUPS)
    print(f"{count - failed} passed, {failed} failed")
    return 1 if failed else 0
