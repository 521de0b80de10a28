"""Every overlay builds, passes the schemas and is consistent."""

import re
import unittest
from fnmatch import fnmatch
from typing import Any

from yaml import safe_load

import fit
import references
import schemas
from application import COMPONENTS, ROUTES, documented_secrets, granted
from manifests import (
    DEPLOY,
    EXAMPLES,
    OVERLAYS,
    ROOT,
    Object,
    Pods,
    leaves,
    matches,
    named,
    namespace_of,
    objects_of,
    of_kind,
    pods_of,
)

DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
DOCS = ROOT / "docs"

# Connections that Spin opens at most per component and URL.
CONNECTIONS_MAX = 64

CHECKS = references.CHECKS + fit.CHECKS


def sources_of_variables(pods: Pods) -> dict[str, Any]:
    return {name: each["valueFrom"] for name, each in pods.variables.items()}


class Overlays(unittest.TestCase):
    def test_every_object_is_valid_in_the_oldest_and_the_newest_kubernetes(self) -> None:
        for folder in (*OVERLAYS, *EXAMPLES):
            for each in objects_of(folder):
                if each["apiVersion"].startswith("core.spinkube.dev/"):
                    continue
                with self.subTest(folder):
                    self.assertEqual(schemas.errors_of(each), [])

    @unittest.skipUnless(schemas.has_spinkube_schemas(), f"${schemas.CRDS_VARIABLE} is not set")
    def test_every_spinapp_and_executor_is_valid_by_its_crd(self) -> None:
        seen = set()
        for folder in OVERLAYS:
            for each in of_kind(objects_of(folder), "SpinApp", "SpinAppExecutor"):
                seen.add(each["kind"])
                with self.subTest(folder):
                    self.assertEqual(schemas.errors_of(each), [])
        self.assertEqual(seen, {"SpinApp", "SpinAppExecutor"})

    def test_the_objects_fit_each_other_and_the_application(self) -> None:
        for folder in (*OVERLAYS, *EXAMPLES):
            for check in CHECKS:
                with self.subTest(folder, check=check.__name__):
                    self.assertEqual(check(objects_of(folder)), [])

    def test_the_namespace_is_kubernauts_and_the_second_deployments_its_own(self) -> None:
        for folder in (*OVERLAYS, "examples/cluster"):
            with self.subTest(folder):
                self.assertEqual(namespace_of(objects_of(folder)), "kubernaut-system")
        second = objects_of("examples/second")
        self.assertNotEqual(namespace_of(second), "kubernaut-system")
        # Both deployments would share cluster-scoped objects, and the operator finds an executor's
        # SpinApps by name alone.
        for kind in ("ClusterRoleBinding", "SpinAppExecutor"):
            (first,) = of_kind(objects_of("overlays/spinapp"), kind)
            (other,) = of_kind(second, kind)
            self.assertNotEqual(other["metadata"]["name"], first["metadata"]["name"])

    def test_a_copy_of_an_example_has_executors_before_spinapps_whatever_its_overlay(self) -> None:
        for folder in EXAMPLES:
            with self.subTest(folder):
                kustomization = safe_load((DEPLOY / folder / "kustomization.yaml").read_text())
                self.assertEqual(kustomization["sortOptions"], {"order": "fifo"})

    def test_the_overlays_run_what_their_names_say(self) -> None:
        kinds = {
            folder: sorted(
                pods.source["kind"] for pods in pods_of(objects_of(folder)) if pods.serves
            )
            for folder in OVERLAYS
        }
        self.assertEqual(
            kinds,
            {
                "overlays/spinapp": ["SpinApp"],
                "overlays/graceful": ["Deployment"],
                "overlays/split": ["SpinApp", "SpinApp"],
            },
        )

    def test_the_plain_image_has_what_spin_toml_names(self) -> None:
        copied = dict(re.findall(r"^COPY (\S+) (\S+)$", DOCKERFILE, re.MULTILINE))
        self.assertEqual(copied.pop("spin.toml"), "/spin.toml")
        ((pattern, folder),) = copied.items()
        for name, component in COMPONENTS.items():
            with self.subTest(name):
                self.assertTrue(fnmatch(component["source"], pattern))
                # Sources are relative to /spin.toml.
                self.assertEqual("/" + component["source"].rpartition("/")[0], folder.rstrip("/"))

    def test_the_alerts_and_the_dashboard_are_built(self) -> None:
        objects = objects_of("observability")
        self.assertEqual({each["kind"] for each in objects}, {"PrometheusRule", "ConfigMap"})
        for each in of_kind(objects, "ConfigMap"):
            self.assertEqual(schemas.errors_of(each), [])

    def test_a_deployment_is_configured_as_a_spinapp_is(self) -> None:
        (spinapp,) = (pods for pods in pods_of(objects_of("overlays/spinapp")) if pods.serves)
        (deployment,) = (pods for pods in pods_of(objects_of("overlays/graceful")) if pods.serves)
        self.assertEqual(sources_of_variables(deployment), sources_of_variables(spinapp))
        self.assertEqual(deployment.resources, spinapp.resources)
        self.assertEqual(
            {name: deployment.probe_paths[name] for name in spinapp.probe_paths},
            spinapp.probe_paths,
        )

    def test_the_documented_connections_are_those_of_spin_toml(self) -> None:
        writers = granted("postgres://{{ database_host }}") - {"embedding-backfill"}
        readers = granted("postgres://{{ database_reader_host }}")
        connections = CONNECTIONS_MAX * (len(writers) + len(readers))
        capacity = (DOCS / "capacity.md").read_text()
        self.assertIn(f"**up to {connections:,} connections per replica**", capacity)

        [scaler] = of_kind(objects_of("overlays/spinapp"), "HorizontalPodAutoscaler")
        replicas = scaler["spec"]["maxReplicas"] + 1
        pooler = (DOCS / "examples" / "pgbouncer.ini").read_text()
        found = re.search(r"^max_client_conn = (\d+)$", pooler, re.MULTILINE)
        assert found
        self.assertGreaterEqual(int(found[1]), connections * replicas)

    def test_every_documented_secret_is_used(self) -> None:
        used: dict[str, set[str]] = {}
        for folder in OVERLAYS:
            for each in objects_of(folder):
                for path, value in leaves(each):
                    if path[-1:] == ("secretKeyRef",):
                        used.setdefault(value["name"], set()).add(value["key"])
                    if path[-1:] == ("secretRef",):
                        # All keys become environment variables.
                        used[value["name"]] = documented_secrets()[value["name"]]
        used["data-storage-ca"] = {"ca-certificates.crt"}
        del used["data-storage-token"]
        self.assertEqual(used, documented_secrets())

    def test_the_parts_share_what_both_answer_and_one_has_all_of_the_log(self) -> None:
        parts = [
            set(each["spec"]["components"])
            for each in of_kind(objects_of("overlays/split"), "SpinApp")
        ]
        self.assertEqual(parts[0] & parts[1], fit.IN_EVERY_PART)
        self.assertEqual(parts[0] | parts[1], COMPONENTS.keys())
        # `verify` is given one address.
        needed = {"audit-records", "holds", "log-proofs", "log-tiles"}
        self.assertTrue(any(needed <= part for part in parts))


class Route(unittest.TestCase):
    """deploy/examples/http-route.yaml beside the overlay `split`."""

    route: Object = safe_load((DEPLOY / "examples/http-route.yaml").read_text())

    def part_of(self, path: str) -> set[str]:
        """Returns the components behind a path; the longest prefix wins."""
        prefixes = {
            match["path"]["value"]: rule["backendRefs"][0]["name"]
            for rule in self.route["spec"]["rules"]
            for match in rule["matches"]
        }
        within = [p for p in prefixes if f"{path}/".startswith(f"{p.rstrip('/')}/")]
        objects = objects_of("overlays/split")
        service = named(objects, "Service", prefixes[max(within, key=len)])
        assert service is not None
        selector = {"matchLabels": service["spec"]["selector"]}
        (pods,) = (one for one in pods_of(objects) if matches(selector, one.labels))
        return set(pods.components or ())

    def test_it_is_valid(self) -> None:
        self.assertEqual(schemas.errors_of(self.route), [])

    def test_it_is_where_its_services_are(self) -> None:
        namespace = namespace_of(objects_of("overlays/split"))
        self.assertEqual(self.route["metadata"]["namespace"], namespace)

    def test_it_sends_every_route_to_the_part_that_answers_it(self) -> None:
        for route, component in ROUTES.items():
            with self.subTest(route):
                self.assertIn(component, self.part_of(route.replace("...", "x")))

    def test_its_services_have_its_ports(self) -> None:
        objects = objects_of("overlays/split")
        for rule in self.route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                service = named(objects, "Service", backend["name"])
                assert service is not None, backend
                self.assertIn(backend["port"], {p["port"] for p in service["spec"]["ports"]})


if __name__ == "__main__":
    unittest.main()
