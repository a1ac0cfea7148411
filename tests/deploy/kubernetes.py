"""Manifests: the schemas of Kubernetes, and what refers to what, which no schema sees."""

import functools
import tomllib

import jsonschema
import kubernetes_validate
from kubernetes_validate import utils

# The oldest that the chart allows, and the newest that there are schemas for.
VERSIONS = ("1.27", "1.37")
# The part of the Prometheus operator's ServiceMonitor that is used here: it is in no schema.
SERVICE_MONITOR = {
    "type": "object",
    "required": ["selector", "endpoints"],
    "additionalProperties": False,
    "properties": {
        "selector": {
            "type": "object",
            "required": ["matchLabels"],
            "additionalProperties": False,
            "properties": {"matchLabels": {"type": "object"}},
        },
        "endpoints": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["port"],
                "additionalProperties": False,
                "properties": {
                    "port": {"type": "string"},
                    "path": {"type": "string"},
                    "interval": {"type": "string", "pattern": "^[0-9]+(s|m)$"},
                    "authorization": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "type": {"const": "Bearer"},
                            "credentials": {
                                "type": "object",
                                "required": ["name", "key"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": {"type": "string"},
                                    "key": {"type": "string"},
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}

# It parses 5 MB of definitions for each manifest otherwise.
utils.schema_contents = functools.cache(utils.schema_contents)


def named(manifest):
    return f"{manifest.get('kind')}/{manifest.get('metadata', {}).get('name')}"


def schema_findings(manifest):
    """What Kubernetes itself would refuse, or leave out without a word."""
    if manifest.get("apiVersion") == "monitoring.coreos.com/v1":
        try:
            jsonschema.validate(manifest["spec"], SERVICE_MONITOR)
        except jsonschema.ValidationError as error:
            return [f"{named(manifest)}: {error.json_path}: {error.message}"]
        return []
    findings = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(item) for item in error.path)
            findings.append(f"{named(manifest)}: Kubernetes {version}: {path}: {error.message}")
        except utils.SchemaNotFoundError as error:
            findings.append(f"{named(manifest)}: {error.message}")
    return findings


def matches(selector, labels):
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


class Release:
    """All manifests that are applied together."""

    def __init__(self, manifests):
        self.manifests = manifests
        self.findings = []
        kinds = ("StatefulSet", "Deployment")
        self.workloads = [manifest for manifest in manifests if manifest["kind"] in kinds]

    def of(self, kind):
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    def say(self, manifest, text):
        self.findings.append(f"{named(manifest)}: {text}")

    def demand(self, holds, manifest, text):
        if not holds:
            self.say(manifest, text)

    def check(self):
        if len(self.workloads) != 1:
            return [f"{len(self.workloads)} StatefulSets or Deployments instead of one"]
        self.check_workload(self.workloads[0])
        for check, kind in (
            (self.check_service, "Service"),
            (self.check_budget, "PodDisruptionBudget"),
            (self.check_policy, "NetworkPolicy"),
            (self.check_monitor, "ServiceMonitor"),
        ):
            found = self.of(kind)
            for manifest in found:
                check(manifest)
            if not found and kind != "ServiceMonitor":
                self.findings.append(f"there is no {kind}")
        for pod in self.of("Pod"):
            self.demand(
                not matches(self.selector, pod["metadata"]["labels"]),
                pod,
                "has the labels of the replicas, so pushes would be sent to it",
            )
        return self.findings

    def check_workload(self, workload):
        spec = workload["spec"]
        pod = spec["template"]["spec"]
        self.labels = spec["template"]["metadata"]["labels"]
        self.selector = spec["selector"]["matchLabels"]
        self.demand(
            matches(self.selector, self.labels), workload, "its selector is not in its pod's labels"
        )
        for constraint in pod["topologySpreadConstraints"]:
            self.demand(
                matches(constraint["labelSelector"]["matchLabels"], self.labels),
                workload,
                f"topology spread over {constraint['topologyKey']} counts other pods",
            )
        (container,) = pod["containers"]
        ports = container["ports"]
        self.ports = {port["name"]: port["containerPort"] for port in ports}
        self.config = tomllib.loads(self.config_text())
        self.check_ports(workload)
        self.check_probes(workload, container)
        self.check_storage(workload, pod, container)
        self.check_stop(workload, pod, container)
        own = pod["securityContext"] | container["securityContext"]
        self.demand(own.get("runAsUser") == 10001, workload, "does not run as 10001")
        for key in ("runAsNonRoot", "readOnlyRootFilesystem"):
            self.demand(own.get(key) is True, workload, f"{key} is not set")

    def config_text(self):
        (config,) = self.of("ConfigMap")
        return config["data"]["endpoint.toml"]

    def check_ports(self, workload):
        for name, table in (("push", "server"), ("admin", "admin")):
            port = self.config[table]["listen"].rpartition(":")[2]
            self.demand(
                self.ports.get(name) == int(port),
                workload,
                f"its port {name} is not that of {table}.listen, {port}",
            )

    def check_probes(self, workload, container):
        paths = {
            "startupProbe": "/healthz",
            "livenessProbe": "/healthz",
            "readinessProbe": "/readyz",
        }
        for probe, path in paths.items():
            get = container.get(probe, {}).get("httpGet", {})
            self.demand(get.get("path") == path, workload, f"{probe} does not ask {path}")
            self.demand(
                get.get("port") == "admin" and "admin" in self.ports,
                workload,
                f"{probe} asks the port {get.get('port')}, which is not that of the admin listener",
            )

    def check_storage(self, workload, pod, container):
        spec = workload["spec"]
        claims = {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for mount in container["volumeMounts"]:
            self.demand(
                mount["name"] in claims | volumes.keys(),
                workload,
                f"the volume {mount['name']} is mounted and there is none",
            )
        for volume in volumes.values():
            if name := volume.get("configMap", {}).get("name"):
                known = {config["metadata"]["name"] for config in self.of("ConfigMap")}
                self.demand(name in known, workload, f"the ConfigMap {name} does not exist")
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        logs = mounts["/logs"]
        # The top of a volume belongs to root, and some commands run as the owner of logs.dir only.
        own = {variable["name"]: variable.get("value") for variable in container["env"]}
        dir = own.get("MNS_ENDPOINT_LOGS__DIR", "")
        self.demand(dir.startswith("/logs/"), workload, "logs.dir is not a directory of its own")
        if workload["kind"] == "StatefulSet":
            self.demand(logs in claims, workload, "its logs are not on a volume of their own")
            retention = spec.get("persistentVolumeClaimRetentionPolicy", {})
            for when in ("whenScaled", "whenDeleted"):
                self.demand(retention.get(when) == "Retain", workload, f"{when} deletes messages")
            services = [
                service
                for service in self.of("Service")
                if service["metadata"]["name"] == spec["serviceName"]
            ]
            headless = any(service["spec"].get("clusterIP") == "None" for service in services)
            self.demand(headless, workload, "serviceName is not a headless Service")
        else:
            waits = [table["ack"] for table in self.config["forward"].values() if "ack" in table]
            self.demand(
                "forward" in waits, workload, "a Deployment would lose what was answered 201"
            )

    def check_stop(self, workload, pod, container):
        seconds = {"drain_delay": "0s", "drain": "8s"} | self.config["server"]
        needed = sum(int(seconds[key].removesuffix("s")) for key in ("drain_delay", "drain")) + 2
        hook = container.get("lifecycle", {}).get("preStop", {})
        command = hook.get("exec", {}).get("command", [])
        self.demand(
            ("forward" in self.config) == ("drain" in command),
            workload,
            "forward drain before a stop does not go with whether it forwards",
        )
        if command:
            needed += int(command[-1].removesuffix("s"))
        grace = pod["terminationGracePeriodSeconds"]
        self.demand(grace >= needed, workload, f"has {grace} s to stop and may need {needed} s")

    def check_service(self, service):
        spec = service["spec"]
        self.demand(matches(spec["selector"], self.labels), service, "selects no pod")
        for port in spec["ports"]:
            self.demand(
                port["targetPort"] in self.ports,
                service,
                f"the pods have no port that is named {port['targetPort']}",
            )

    def check_budget(self, budget):
        spec = budget["spec"]
        self.demand(matches(spec["selector"]["matchLabels"], self.labels), budget, "selects no pod")
        replicas = self.workloads[0]["spec"]["replicas"]
        spare = spec.get("maxUnavailable", replicas - spec.get("minAvailable", 0))
        self.demand(spare >= 1, budget, "lets no replica go, so no node can be drained")

    def check_policy(self, policy):
        spec = policy["spec"]
        self.demand(
            matches(spec["podSelector"]["matchLabels"], self.labels), policy, "selects no pod"
        )
        ports = {port["port"] for rule in spec["ingress"] for port in rule["ports"]}
        self.demand(ports == self.ports.keys(), policy, f"lets in {ports} instead of all ports")
        tests = [pod["metadata"]["labels"] for pod in self.of("Pod")]
        peers = [
            peer["podSelector"]["matchLabels"]
            for rule in spec["ingress"]
            for peer in rule.get("from", [])
            if "podSelector" in peer
        ]
        for labels in tests:
            self.demand(
                any(matches(peer, labels) for peer in peers),
                policy,
                "keeps the pod of helm test out",
            )

    def check_monitor(self, monitor):
        spec = monitor["spec"]
        selected = [
            service
            for service in self.of("Service")
            if matches(spec["selector"]["matchLabels"], service["metadata"]["labels"])
        ]
        self.demand(len(selected) == 1, monitor, f"selects {len(selected)} Services instead of one")
        ports = {port["name"] for service in selected for port in service["spec"]["ports"]}
        for endpoint in spec["endpoints"]:
            self.demand(endpoint["port"] in ports, monitor, f"there is no port {endpoint['port']}")
