"""Checks references between the objects of an overlay, and to the documentation.
Each check returns a sentence per problem."""

import re
from collections.abc import Callable

from application import ROUTES, documented_secrets
from manifests import (
    Object,
    Pods,
    leaves,
    matches,
    named,
    namespace_of,
    of_kind,
    pods_of,
    title,
)

# Every cluster has it.
CLUSTER_ROLE = "system:auth-delegator"
CLUSTER_CONFIG = {"kube-root-ca.crt": {"ca.crt"}}

CLUSTER_KINDS = {"ClusterRoleBinding"}

# Label of all pods of the service and its Jobs, and of no others.
OWN_LABEL = {"app.kubernetes.io/name": "data-storage"}

# Ports of graceful and of SpinApp, as numbers: not every network supports names.
INGRESS_PORTS = {8080, 80}

SELECTORS = {
    "NetworkPolicy": ("podSelector", "matchLabels"),
    "PodDisruptionBudget": ("selector", "matchLabels"),
    "Service": ("selector",),
    "ServiceMonitor": ("selector", "matchLabels"),
}


def everything_is_in_the_namespace(objects: list[Object]) -> list[str]:
    namespace = namespace_of(objects)
    return [
        f"{title(each)} is in the namespace {each['metadata'].get('namespace')}"
        for each in objects
        if each["kind"] not in CLUSTER_KINDS and each["metadata"].get("namespace") != namespace
    ]


def neighbours_are_left_alone(objects: list[Object]) -> list[str]:
    """Nothing changes the shared namespace; names and selectors are the service's own."""
    found = []
    for each in objects:
        if each["kind"] == "Namespace":
            found.append(f"{title(each)} is not this service's to make or label")
        if not re.fullmatch("data-storage(-.+)?", each["metadata"]["name"]):
            found.append(f"{title(each)} may be called as a neighbour's")
        if each["kind"] in SELECTORS:
            labels = each["spec"]
            for key in SELECTORS[each["kind"]]:
                labels = labels.get(key, {})
            if not OWN_LABEL.items() <= labels.items():
                found.append(f"{title(each)} selects what is a neighbour's")
    return found


def referenced_keys_exist(objects: list[Object]) -> list[str]:
    """Secrets' keys are documented or filled in by the cluster; ConfigMaps' keys exist."""
    secrets = documented_secrets() | {
        each["metadata"]["name"]: {"token", "ca.crt", "namespace"}
        for each in tokens_of(objects)
    }
    secrets |= {
        each["metadata"]["name"]: set(each["data"]) for each in runtime_configs_of(objects)
    }
    maps = CLUSTER_CONFIG | {
        each["metadata"]["name"]: set(each["data"]) for each in of_kind(objects, "ConfigMap")
    }
    found = []
    for each in objects:
        for path, value in leaves(each):
            last = path[-1] if path else ""
            match last:
                case "secretKeyRef" | "credentials":
                    known, name, key = secrets, value["name"], value["key"]
                case "configMapKeyRef":
                    known, name, key = maps, value["name"], value["key"]
                case "secret":
                    known, name, key = secrets, value["secretName"], None
                case "secretRef":
                    known, name, key = secrets, value["name"], None
                case "configMap":
                    known, name, key = maps, value["name"], None
                case "runtimeConfig":
                    known, name, key = secrets, value["loadFromSecret"], "runtime-config.toml"
                case "deploymentConfig":
                    known, name, key = secrets, value["caCertSecret"], "ca-certificates.crt"
                case _:
                    continue
            if name not in known:
                found.append(f"{title(each)} refers to {name}, which nobody makes")
            elif key is not None and key not in known[name]:
                found.append(f"{title(each)} refers to the key {key} of {name}, which it lacks")
    return found


def secrets_hold_no_values(objects: list[Object]) -> list[str]:
    """Secrets hold no values, except the runtime configuration, which has no password."""
    return [
        f"{title(each)} has a value in it"
        for each in of_kind(objects, "Secret")
        if each not in runtime_configs_of(objects) and (each.get("data") or each.get("stringData"))
    ]


def mounts_are_of_volumes(objects: list[Object]) -> list[str]:
    found = []
    for pods in pods_of(objects):
        volumes = {volume["name"] for volume in pods.volumes}
        mounted = {mount["name"] for mount in pods.volume_mounts}
        if volumes != mounted:
            found.append(f"{title(pods.source)}: volumes {volumes}, mounted {mounted}")
        found += _scripts_that_are_not_mounted(pods, objects)
    return found


def _scripts_that_are_not_mounted(pods: Pods, objects: list[Object]) -> list[str]:
    found = []
    for argument in pods.arguments:
        path = argument.removeprefix("--file=")
        if not path.startswith("/"):
            continue
        folder, _, file = path.rpartition("/")
        mount = next((m for m in pods.volume_mounts if m["mountPath"] == folder), {"name": None})
        volume = next((v for v in pods.volumes if v["name"] == mount["name"]), {})
        source = volume.get("configMap", {}).get("name", "")
        held = named(objects, "ConfigMap", source)
        if held is None or file not in held["data"]:
            found.append(f"{title(pods.source)} runs {argument}, which is not mounted")
    return found


def selectors_select(objects: list[Object]) -> list[str]:
    """Every selector selects pods, and Services find their ports."""
    pods = pods_of(objects)
    found = []
    for each in of_kind(objects, "NetworkPolicy", "PodDisruptionBudget"):
        key = "podSelector" if each["kind"] == "NetworkPolicy" else "selector"
        if not any(matches(each["spec"][key], one.labels) for one in pods):
            found.append(f"{title(each)} selects no pod")
    for each in of_kind(objects, "Service"):
        selected = [one for one in pods if each["spec"]["selector"].items() <= one.labels.items()]
        if not selected:
            found.append(f"{title(each)} selects no pod")
        found += [
            f"{title(each)}: {title(one.source)} has no port {port['targetPort']}"
            for one in selected
            for port in each["spec"]["ports"]
            if port["targetPort"] not in one.ports
        ]
    for each in of_kind(objects, "Deployment"):
        template = each["spec"]["template"]
        labels = template["metadata"]["labels"]
        spread = template["spec"]["topologySpreadConstraints"]
        selectors = [each["spec"]["selector"], *(one["labelSelector"] for one in spread)]
        if not all(matches(selector, labels) for selector in selectors):
            found.append(f"{title(each)} does not select its own pods")
    return found


def services_are_reachable(objects: list[Object]) -> list[str]:
    """Callers use port 8080, Prometheus 9090; no Service has the name of the operator's."""
    found = []
    ports = {
        (each["metadata"]["name"], port["name"], port["port"])
        for each in of_kind(objects, "Service")
        for port in each["spec"]["ports"]
    }
    if ("data-storage", "metrics", 9090) not in ports:
        found.append("Service/data-storage has no port 9090")
    spinapps = {each["metadata"]["name"] for each in of_kind(objects, "SpinApp")}
    is_split = any("components" in each["spec"] for each in of_kind(objects, "SpinApp"))
    callers = ("data-storage-writers", "data-storage-readers") if is_split else ("data-storage",)
    for name in callers:
        if (name, "http", 8080) not in ports:
            found.append(f"Service/{name} has no port 8080")
    for name, _, _ in ports:
        if name in spinapps:
            found.append(f"Service/{name} is called as the operator calls a SpinApp's Service")
    return found


def autoscalers_scale(objects: list[Object]) -> list[str]:
    """Each deployment of the service has an HPA: 2 to 5 replicas at 70 % of the CPU."""
    found = []
    targets = {each.source["metadata"]["name"]: each for each in pods_of(objects) if each.serves}
    scaled = set()
    for each in of_kind(objects, "HorizontalPodAutoscaler"):
        spec = each["spec"]
        name = spec["scaleTargetRef"]["name"]
        scaled.add(name)
        if spec["scaleTargetRef"]["kind"] != "Deployment" or name not in targets:
            found.append(f"{title(each)} scales {name}, which is no deployment")
            continue
        if "cpu" not in targets[name].resources["requests"]:
            found.append(f"{title(each)} scales {name}, which requests no CPU")
        source = targets[name].source["spec"]
        if "replicas" in source or not source.get("enableAutoscaling", True):
            found.append(f"{title(each)} and {name} both say how many replicas there are")
        target = spec["metrics"][0]["resource"]["target"]["averageUtilization"]
        if (spec["minReplicas"], spec["maxReplicas"], target) != (2, 5, 70):
            found.append(f"{title(each)} does not scale from 2 to 5 at 70 %")
    return found + [f"{name} is not scaled" for name in targets.keys() - scaled]


def policies_allow_what_is_needed(objects: list[Object]) -> list[str]:
    """Policies deny the service's pods everything except callers and what the settings name."""
    policies = {each["metadata"]["name"]: each for each in of_kind(objects, "NetworkPolicy")}
    found = []
    deny = policies.get("data-storage-default-deny", {"spec": None})["spec"]
    own = {"matchLabels": OWN_LABEL}
    if deny != {"podSelector": own, "policyTypes": ["Ingress", "Egress"]}:
        found.append("NetworkPolicy/data-storage-default-deny does not deny everything")
    for pods in pods_of(objects):
        if not matches(own, pods.labels):
            found.append(f"{title(pods.source)} is not denied anything")
        allowed = {
            port["port"]
            for policy in policies.values()
            if matches(policy["spec"]["podSelector"], pods.labels)
            for rule in policy["spec"].get("ingress", [])
            for port in rule["ports"]
        }
        # Policies allow the ports of every overlay, because overlays replace each other in place.
        if allowed != (INGRESS_PORTS if pods.serves else set()) or not (
            set(pods.ports.values()) <= allowed
        ):
            found.append(f"{title(pods.source)} listens on {pods.ports}, allowed is {allowed}")
    settings = settings_of(objects)
    for policy, setting in (
        ("data-storage-to-postgresql", "database_host"),
        ("data-storage-to-postgresql", "database_reader_host"),
        ("data-storage-to-redis", "redis_host"),
    ):
        ports = {
            port["port"] for rule in policies[policy]["spec"]["egress"] for port in rule["ports"]
        }
        if ports != {int(settings[setting].rpartition(":")[2])}:
            found.append(f"NetworkPolicy/{policy} allows {ports}, {setting} has another port")
    for each in policies.values():
        rules = [*each["spec"].get("ingress", []), *each["spec"].get("egress", [])]
        if not all(rule.get("ports") and (rule.get("from") or rule.get("to")) for rule in rules):
            found.append(f"{title(each)} allows any port or anybody")
    return found


def tokens_of(objects: list[Object]) -> list[Object]:
    """Returns the Secrets that the cluster fills in."""
    kind = "kubernetes.io/service-account-token"
    return [each for each in of_kind(objects, "Secret") if each["type"] == kind]


def runtime_configs_of(objects: list[Object]) -> list[Object]:
    """Returns the generated Secret."""
    prefix = "data-storage-runtime-config-"
    return [o for o in of_kind(objects, "Secret") if o["metadata"]["name"].startswith(prefix)]


def settings_of(objects: list[Object]) -> dict[str, str]:
    settings: dict[str, str]
    (settings,) = (
        each["data"]
        for each in of_kind(objects, "ConfigMap")
        if each["metadata"]["name"].startswith("data-storage-settings-")
    )
    return settings


def permissions_are_of_accounts(objects: list[Object]) -> list[str]:
    """Bound roles and accounts exist; pods have only the tokens that they need."""
    found = []
    namespace = namespace_of(objects)
    (reviewer,) = (each["subjects"] for each in of_kind(objects, "ClusterRoleBinding"))
    if reviewer != [{"kind": "ServiceAccount", "name": "data-storage", "namespace": namespace}]:
        found.append(f"other accounts than the service's may ask for reviews: {reviewer}")
    for each in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        role = each["roleRef"]
        is_known = (
            role["name"] == CLUSTER_ROLE
            if role["kind"] == "ClusterRole"
            else named(objects, role["kind"], role["name"]) is not None
        )
        if not is_known:
            found.append(f"{title(each)} binds the unknown role {role['name']}")
        for subject in each["subjects"]:
            is_own = subject["kind"] == "ServiceAccount" and subject["name"].startswith(
                "data-storage"
            )
            if is_own and subject["namespace"] != namespace:
                found.append(f"{title(each)} binds {subject['name']} of another namespace")
            if is_own and named(objects, "ServiceAccount", subject["name"]) is None:
                found.append(f"{title(each)} binds the unknown account {subject['name']}")
    for secret in tokens_of(objects):
        account = secret["metadata"]["annotations"]["kubernetes.io/service-account.name"]
        if named(objects, "ServiceAccount", account) is None:
            found.append(f"{title(secret)} is of the unknown account {account}")
    for pods in pods_of(objects):
        account = pods.service_account
        if account is not None and named(objects, "ServiceAccount", account) is None:
            found.append(f"{title(pods.source)} runs as the unknown account {account}")
        if pods.mounts_token:
            found.append(f"{title(pods.source)} mounts a token")
    verbs = (
        ("data-storage-writer", "create"),
        ("data-storage-reader", "get"),
        ("data-storage-keeper", "hold"),
    )
    for name, verb in verbs:
        role = named(objects, "Role", name)
        rule = {
            "apiGroups": [""],
            "resources": ["services"],
            "resourceNames": ["data-storage"],
            "verbs": [verb],
        }
        if role is None or role["rules"] != [rule]:
            found.append(f"Role/{name} does not allow {verb} of services/data-storage alone")
    return found


def prometheus_finds_the_metrics(objects: list[Object]) -> list[str]:
    """One Service has the port, and the token belongs to a reader."""
    (monitor,) = of_kind(objects, "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    services = [
        each
        for each in of_kind(objects, "Service")
        if matches(monitor["spec"]["selector"], each["metadata"].get("labels", {}))
    ]
    found = []
    if len(services) != 1:
        found.append(f"the ServiceMonitor selects {[title(each) for each in services]}")
    for each in services:
        if endpoint["port"] not in {port["name"] for port in each["spec"]["ports"]}:
            found.append(f"{title(each)} has no port {endpoint['port']}")
    if endpoint["path"] not in ROUTES:
        found.append(f"no route {endpoint['path']}")
    # The alerts distinguish the parts by this label.
    labels = {label for each in endpoint["relabelings"] for label in each["sourceLabels"]}
    for label in {label for pods in pods_of(objects) for label in pods.labels if "/part" in label}:
        is_part = label != "app.kubernetes.io/part-of"
        if is_part and f"__meta_kubernetes_pod_label_{re.sub('[-./]', '_', label)}" not in labels:
            found.append(f"the ServiceMonitor does not tell {label}")
    secret = named(objects, "Secret", endpoint["authorization"]["credentials"]["name"])
    annotations = secret["metadata"]["annotations"] if secret else {}
    account = annotations.get("kubernetes.io/service-account.name")
    may_read = any(
        binding["roleRef"]["name"] == "data-storage-reader"
        and any(
            (subject["name"], subject.get("namespace")) == (account, namespace_of(objects))
            for subject in binding["subjects"]
        )
        for binding in of_kind(objects, "RoleBinding")
    )
    return found if may_read else [*found, "the ServiceMonitor's token may not read"]


def executors_come_first(objects: list[Object]) -> list[str]:
    """The executor precedes its SpinApps: the operator refuses them otherwise."""
    found = []
    seen = set()
    for each in objects:
        if each["kind"] == "SpinAppExecutor":
            seen.add(each["metadata"]["name"])
        elif each["kind"] == "SpinApp" and each["spec"]["executor"] not in seen:
            found.append(f"{title(each)} comes before its executor")
    return found


def checks_have_a_list_of_headers(objects: list[Object]) -> list[str]:
    """SpinApps list headers: the operator's webhook writes a missing list as null, which its CRD
    refuses."""
    return [
        f"{title(each)}: checks.{name}.httpGet has no list httpHeaders"
        for each in of_kind(objects, "SpinApp")
        for name, check in each["spec"]["checks"].items()
        if not isinstance(check["httpGet"].get("httpHeaders"), list)
    ]


def rolling_updates_cut_off_nothing(objects: list[Object]) -> list[str]:
    found = []
    for each in of_kind(objects, "Deployment"):
        pod = each["spec"]["template"]["spec"]
        sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        if not 5 <= sleep < pod["terminationGracePeriodSeconds"]:
            found.append(f"{title(each)} sleeps {sleep} s of its grace period")
        if each["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] != 0:
            found.append(f"{title(each)} takes away pods before there are new ones")
    return found


CHECKS: tuple[Callable[[list[Object]], list[str]], ...] = (
    everything_is_in_the_namespace,
    neighbours_are_left_alone,
    referenced_keys_exist,
    secrets_hold_no_values,
    mounts_are_of_volumes,
    selectors_select,
    services_are_reachable,
    autoscalers_scale,
    policies_allow_what_is_needed,
    permissions_are_of_accounts,
    prometheus_finds_the_metrics,
    executors_come_first,
    checks_have_a_list_of_headers,
    rolling_updates_cut_off_nothing,
)
