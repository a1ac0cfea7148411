"""Checks deploy/kubernetes, the chart and the compose file. Run by deploy/check."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import chart
import compose
import kubernetes
import program
import yaml

STYLE = """
extends: default
rules:
  document-start: disable
  line-length: {max: 110}
"""
# What a template leaves behind: only what could change the meaning counts there.
RENDERED_STYLE = "{rules: {key-duplicates: enable, key-ordering: disable}}"
PLACEHOLDER = "your-account-id"


def style_findings(root):
    files = sorted((root / "deploy/kubernetes").glob("*.yaml"))
    files += [root / "deploy/compose.yaml"]
    files += [root / chart.CHART / name for name in ("Chart.yaml", "values.yaml")]
    return yamllint(STYLE, files)


def yamllint(style, files):
    ended = subprocess.run(
        ["/usr/bin/yamllint", "--strict", "--format", "parsable", "-d", style, *files],
        capture_output=True,
        text=True,
        check=False,
    )
    return (ended.stdout + ended.stderr).splitlines() if ended.returncode else []


def rendered_style_findings(texts):
    with tempfile.TemporaryDirectory() as dir:
        files = []
        for name, text in texts.items():
            files.append(Path(dir) / name.replace("/", "-"))
            files[-1].write_text(text)
        return yamllint(RENDERED_STYLE, files)


def release_findings(name, texts, executable, is_served):
    """Everything about manifests that are applied together."""
    manifests = [part for text in texts.values() for part in yaml.safe_load_all(text) if part]
    found = [text for manifest in manifests for text in kubernetes.schema_findings(manifest)]
    # What refers to what is read only from manifests that are right in themselves.
    if not found:
        release = kubernetes.Release(manifests)
        found = release.check()
        if not found:
            found = program_findings(name, release, executable, is_served)
    return [f"{name}: {text}" for text in found]


def program_findings(name, release, executable, is_served):
    found = program.check_findings(executable, release)
    return found or (program.serve_findings(executable, release) if is_served else [])


def kubernetes_findings(root, executable, is_served=True):
    files = sorted((root / "deploy/kubernetes").glob("*.yaml"))
    texts = {file.name: file.read_text() for file in files}
    texts["configmap.yaml"] = texts["configmap.yaml"].replace(PLACEHOLDER, program.OWNER)
    found = release_findings("deploy/kubernetes", texts, executable, is_served)
    config = (root / "deploy/kubernetes/configmap.yaml").read_text()
    if PLACEHOLDER not in config:
        found.append(f"configmap.yaml: no {PLACEHOLDER}, which stops the start")
    return style_findings(root) + found


def chart_findings(root, executable, is_served=True):
    found = chart.findings(root)
    for name, texts in chart.releases(root):
        found += [f"{name}: {text}" for text in rendered_style_findings(texts)]
        found += release_findings(name, texts, executable, is_served and name == "journal")
    return found


def compose_findings(root, executable):
    nats_server = Path(sys.executable).parent / "nats-server"
    return compose.findings(root, nats_server, executable)


def main():
    parser = argparse.ArgumentParser(prog="deploy/check")
    parser.add_argument(
        "--self-test",
        action="store_true",
        help="put one mistake after the other into a copy, and see that each is found",
    )
    arguments = parser.parse_args()
    root = Path(__file__).resolve().parents[2]
    executable = Path(os.environ["MNS_ENDPOINT_BIN"]).resolve(strict=True)
    if arguments.self_test:
        import self_test

        return self_test.main(root, executable)
    found = kubernetes_findings(root, executable)
    found += chart_findings(root, executable)
    found += compose_findings(root, executable)
    for text in found:
        print(f"deploy/check: {text}", file=sys.stderr)
    if not found:
        print(f"deploy/: manifests, {len(list(chart.cases(root)))} kinds of values, compose: right")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
