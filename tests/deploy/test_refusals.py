"""Each check finds the fault of a broken overlay."""

import copy
import unittest
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import fit
import references
import schemas
from manifests import Object, named, objects_of, of_kind

SPINAPP, GRACEFUL, SPLIT = "overlays/spinapp", "overlays/graceful", "overlays/split"


def broken(folder: str, change: Callable[[list[Object]], Any]) -> list[Object]:
    objects = copy.deepcopy(objects_of(folder))
    change(objects)
    return objects


def one(objects: list[Object], kind: str, name: str | None = None) -> Any:
    found = of_kind(objects, kind)[0] if name is None else named(objects, kind, name)
    assert found is not None
    return found


def spec(objects: list[Object], kind: str, name: str | None = None) -> Any:
    return one(objects, kind, name)["spec"]


def pod(objects: list[Object], kind: str = "Deployment") -> Any:
    return spec(objects, kind)["template"]["spec"]


def container(objects: list[Object], kind: str = "Deployment") -> Any:
    return pod(objects, kind)["containers"][0]


def variable(objects: list[Object], name: str) -> Any:
    (found,) = (v for v in spec(objects, "SpinApp")["variables"] if v["name"] == name)
    return found


def change_runtime_config(objects: list[Object], old: str, new: str) -> None:
    (secret,) = references.runtime_configs_of(objects)
    config = b64decode(secret["data"]["runtime-config.toml"]).decode()
    assert old in config
    secret["data"]["runtime-config.toml"] = b64encode(config.replace(old, new).encode()).decode()


Break = tuple[Callable[[list[Object]], list[str]], str, Callable[[list[Object]], Any]]

BREAKS: tuple[Break, ...] = (
    (
        references.everything_is_in_the_namespace,
        SPINAPP,
        lambda o: one(o, "Service")["metadata"].update(namespace="default"),
    ),
    (
        references.neighbours_are_left_alone,
        SPINAPP,
        lambda o: o.append({"kind": "Namespace", "metadata": {"name": "kubernaut-system"}}),
    ),
    (
        references.neighbours_are_left_alone,
        SPINAPP,
        lambda o: one(o, "RoleBinding")["metadata"].update(name="readers"),
    ),
    (
        references.neighbours_are_left_alone,
        GRACEFUL,
        lambda o: spec(o, "NetworkPolicy", "data-storage-to-dns").update(podSelector={}),
    ),
    (
        references.neighbours_are_left_alone,
        SPLIT,
        lambda o: spec(o, "PodDisruptionBudget")["selector"]["matchLabels"].pop(
            "app.kubernetes.io/name"
        ),
    ),
    (
        references.neighbours_are_left_alone,
        SPLIT,
        lambda o: spec(o, "Service")["selector"].pop("app.kubernetes.io/name"),
    ),
    (
        references.referenced_keys_exist,
        SPINAPP,
        lambda o: variable(o, "database_url")["valueFrom"]["secretKeyRef"].update(key="url"),
    ),
    (
        references.referenced_keys_exist,
        SPINAPP,
        lambda o: variable(o, "cluster_name")["valueFrom"]["configMapKeyRef"].update(key="name"),
    ),
    (
        references.referenced_keys_exist,
        GRACEFUL,
        lambda o: pod(o)["volumes"][0]["secret"].update(secretName="other"),
    ),
    (
        references.referenced_keys_exist,
        GRACEFUL,
        lambda o: container(o, "Job")["envFrom"][0]["secretRef"].update(name="other"),
    ),
    (
        references.secrets_hold_no_values,
        SPINAPP,
        lambda o: one(o, "Secret", "data-storage-token").update(stringData={"token": "t"}),
    ),
    (
        references.referenced_keys_exist,
        SPLIT,
        lambda o: spec(o, "SpinApp")["runtimeConfig"].update(
            loadFromSecret="data-storage-runtime-config"
        ),
    ),
    (
        references.mounts_are_of_volumes,
        GRACEFUL,
        lambda o: container(o)["volumeMounts"].pop(),
    ),
    (
        references.mounts_are_of_volumes,
        GRACEFUL,
        lambda o: container(o, "Job")["args"].append("--file=/migrations/other.sql"),
    ),
    (
        references.selectors_select,
        SPINAPP,
        lambda o: spec(o, "SpinApp")["podLabels"].update({"app.kubernetes.io/component": "x"}),
    ),
    (
        references.selectors_select,
        GRACEFUL,
        lambda o: container(o)["ports"][0].update(name="http"),
    ),
    (
        references.services_are_reachable,
        SPINAPP,
        lambda o: spec(o, "Service")["ports"][1].update(port=9091),
    ),
    (
        references.services_are_reachable,
        SPINAPP,
        lambda o: one(o, "SpinApp")["metadata"].update(name="data-storage"),
    ),
    (
        references.autoscalers_scale,
        SPINAPP,
        lambda o: spec(o, "HorizontalPodAutoscaler")["scaleTargetRef"].update(name="other"),
    ),
    (
        references.autoscalers_scale,
        SPINAPP,
        lambda o: spec(o, "SpinApp").update(replicas=2),
    ),
    (
        references.policies_allow_what_is_needed,
        GRACEFUL,
        lambda o: spec(o, "NetworkPolicy", "data-storage-from-callers")["ingress"][0].update(
            ports=[{"protocol": "TCP", "port": 80}]
        ),
    ),
    (
        references.policies_allow_what_is_needed,
        SPLIT,
        lambda o: spec(o, "NetworkPolicy", "data-storage-to-redis")["egress"][0].pop("to"),
    ),
    (
        references.policies_allow_what_is_needed,
        SPLIT,
        lambda o: spec(o, "NetworkPolicy", "data-storage-default-deny")["policyTypes"].pop(),
    ),
    (
        references.policies_allow_what_is_needed,
        GRACEFUL,
        lambda o: spec(o, "CronJob")["jobTemplate"]["spec"]["template"]["metadata"]["labels"].pop(
            "app.kubernetes.io/name"
        ),
    ),
    (
        references.permissions_are_of_accounts,
        SPINAPP,
        lambda o: one(o, "ClusterRoleBinding")["roleRef"].update(name="cluster-admin"),
    ),
    (
        references.permissions_are_of_accounts,
        SPINAPP,
        lambda o: one(o, "ClusterRoleBinding")["subjects"][0].update(namespace="default"),
    ),
    (
        references.permissions_are_of_accounts,
        SPINAPP,
        lambda o: one(o, "Role", "data-storage-reader")["rules"][0]["verbs"].append("create"),
    ),
    (
        references.permissions_are_of_accounts,
        SPINAPP,
        lambda o: one(o, "ServiceAccount", "data-storage").pop("automountServiceAccountToken"),
    ),
    (
        references.prometheus_finds_the_metrics,
        SPINAPP,
        lambda o: spec(o, "ServiceMonitor")["endpoints"][0].update(port="http-metrics"),
    ),
    (
        references.prometheus_finds_the_metrics,
        SPINAPP,
        lambda o: spec(o, "ServiceMonitor")["endpoints"][0]["authorization"]["credentials"].update(
            name="data-storage-token"
        ),
    ),
    (
        references.prometheus_finds_the_metrics,
        SPLIT,
        lambda o: spec(o, "ServiceMonitor")["endpoints"][0]["relabelings"].pop(),
    ),
    (references.executors_come_first, SPINAPP, lambda o: o.reverse()),
    (
        references.rolling_updates_cut_off_nothing,
        GRACEFUL,
        lambda o: pod(o).update(terminationGracePeriodSeconds=10),
    ),
    (
        references.checks_have_a_list_of_headers,
        SPINAPP,
        lambda o: spec(o, "SpinApp")["checks"]["liveness"]["httpGet"].pop("httpHeaders"),
    ),
    (
        fit.components_are_the_applications,
        SPLIT,
        lambda o: spec(o, "SpinApp")["components"].append("audit"),
    ),
    (
        fit.components_are_the_applications,
        SPLIT,
        lambda o: spec(o, "SpinApp")["components"].remove("health"),
    ),
    (
        fit.components_are_the_applications,
        SPLIT,
        lambda o: spec(o, "SpinApp", "data-storage-app-readers")["components"].remove("incident"),
    ),
    (
        fit.variables_are_the_applications,
        SPINAPP,
        lambda o: spec(o, "SpinApp")["variables"].remove(variable(o, "redis_host")),
    ),
    (
        fit.variables_are_the_applications,
        SPINAPP,
        lambda o: variable(o, "redis_host").update(name="redis"),
    ),
    (
        fit.variables_are_the_applications,
        SPINAPP,
        lambda o: variable(o, "database_url").update(value="x", valueFrom={}),
    ),
    (fit.images_are_equal, SPLIT, lambda o: spec(o, "SpinApp").update(image="other")),
    (
        fit.probes_ask_routes,
        GRACEFUL,
        lambda o: container(o)["readinessProbe"]["httpGet"].update(path="/ready"),
    ),
    (
        fit.the_migrations_are_complete,
        SPINAPP,
        lambda o: one(o, "Job")["metadata"].update(name="data-storage-migrate"),
    ),
    (
        fit.the_migrations_are_complete,
        SPINAPP,
        lambda o: [
            each["data"].pop("functions_1_write.sql", None) for each in of_kind(o, "ConfigMap")
        ],
    ),
    (
        fit.the_runtime_config_fits,
        SPINAPP,
        lambda o: spec(o, "SpinApp")["volumeMounts"][0].update(mountPath="/etc/other"),
    ),
    (
        fit.the_runtime_config_fits,
        GRACEFUL,
        lambda o: change_runtime_config(
            o, 'type = "spin"', 'type = "redis"\nurl = "redis://redis.redis.svc:6379"'
        ),
    ),
    (
        fit.the_runtime_config_fits,
        SPLIT,
        lambda o: change_runtime_config(o, '"audit-workflow",', ""),
    ),
)


class Refusals(unittest.TestCase):
    def test_every_check_finds_what_it_is_there_for(self) -> None:
        for check, folder, change in BREAKS:
            with self.subTest(check.__name__, folder=folder):
                self.assertEqual(check(objects_of(folder)), [])
                self.assertNotEqual(check(broken(folder, change)), [])

    def test_every_check_is_tried(self) -> None:
        tried = {check for check, _, _ in BREAKS}
        self.assertEqual(tried, {*references.CHECKS, *fit.CHECKS})

    def refused(self, kind: str, change: Callable[[Any], Any], said: str) -> None:
        folder = SPINAPP if kind.startswith("Spin") else GRACEFUL
        each = copy.deepcopy(one(objects_of(folder), kind))
        self.assertEqual(schemas.errors_of(each), [])
        change(each)
        self.assertIn(said, "\n".join(schemas.errors_of(each)))

    def test_a_wrong_type_is_refused(self) -> None:
        for kind in ("Deployment", "PodDisruptionBudget"):
            with self.subTest(kind):
                self.refused(
                    kind, lambda e: e["spec"].update(selector="all"), "'all' is not of type"
                )

    def test_an_unknown_field_is_refused(self) -> None:
        for kind in ("Deployment", "Service", "NetworkPolicy", "CronJob", "ServiceMonitor"):
            with self.subTest(kind):
                self.refused(
                    kind, lambda e: e["spec"].update(surplus=1), "'surplus' was unexpected"
                )

    @unittest.skipUnless(schemas.has_spinkube_schemas(), f"${schemas.CRDS_VARIABLE} is not set")
    def test_a_check_without_a_list_of_headers_is_refused(self) -> None:
        for check in ("readiness", "liveness"):
            with self.subTest(check):
                self.refused(
                    "SpinApp",
                    lambda e, check=check: e["spec"]["checks"][check]["httpGet"].pop("httpHeaders"),
                    "None is not of type 'array'",
                )

    def test_an_unknown_version_is_refused(self) -> None:
        self.refused(
            "HorizontalPodAutoscaler",
            lambda e: e.update(apiVersion="autoscaling/v2beta2"),
            "Couldn't find schema",
        )

    @unittest.skipUnless(schemas.has_spinkube_schemas(), f"${schemas.CRDS_VARIABLE} is not set")
    def test_what_the_crds_do_not_have_is_refused(self) -> None:
        for kind, change, said in (
            (
                "SpinApp",
                lambda e: e["spec"].update(terminationGracePeriodSeconds=30),
                "'terminationGracePeriodSeconds' was unexpected",
            ),
            (
                "SpinApp",
                lambda e: e["spec"]["checks"]["readiness"]["httpGet"].update(port=8080),
                "'port' was unexpected",
            ),
            (
                "SpinApp",
                lambda e: e["spec"]["volumeMounts"][0].update(surplus=1),
                "'surplus' was unexpected",
            ),
            (
                "SpinApp",
                lambda e: e["spec"].update(replicas="two"),
                "'two' is not of type 'integer'",
            ),
            ("SpinApp", lambda e: e["spec"].pop("image"), "'image' is a required property"),
            (
                "SpinAppExecutor",
                lambda e: e["spec"]["deploymentConfig"].update(preStop="sleep"),
                "'preStop' was unexpected",
            ),
        ):
            with self.subTest(said):
                self.refused(kind, change, said)


if __name__ == "__main__":
    unittest.main()
