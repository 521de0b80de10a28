"""The Job in deploy/backfill, applied beside an overlay."""

import copy
import unittest
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import references
import schemas
from application import COMPONENTS
from manifests import (
    DEPLOY,
    OVERLAYS,
    Object,
    Pods,
    matches,
    named,
    objects_of,
    of_kind,
    pods_of,
    title,
)

FOLDER = "backfill"
NAME = "data-storage-backfill"

# Replacement of the Service's name for the overlay `split`, as in job.yaml.
IN_SPLIT = ("//data-storage:", "//data-storage-writers:")

# Checks that apply to more than the pods of the service and its Jobs.
CHECKS = tuple(
    each for each in references.CHECKS if each is not references.policies_allow_what_is_needed
)


def beside(folder: str) -> list[Object]:
    """Returns an overlay's objects and the Job's."""
    objects = copy.deepcopy([*objects_of(folder), *objects_of(FOLDER)])
    if folder == "overlays/split":
        url = variable(objects, "DATA_STORAGE_URL")
        url["value"] = url["value"].replace(*IN_SPLIT)
    return objects


def own(objects: list[Object], kind: str) -> Any:
    found = named(objects, kind, NAME)
    assert found is not None
    return found


def job(objects: list[Object]) -> Any:
    return own(objects, "Job")["spec"]["template"]


def variable(objects: list[Object], name: str) -> Any:
    (container,) = job(objects)["spec"]["containers"]
    (found,) = (each for each in container["env"] if each["name"] == name)
    return found


def pods_in(objects: list[Object]) -> Pods:
    (found,) = (each for each in pods_of(objects) if each.source["metadata"]["name"] == NAME)
    return found


def it_reaches_the_service(objects: list[Object]) -> list[str]:
    """Its URL is a Service of the component, the service admits it, and no policy selects it."""
    found = []
    url = urlsplit(variable(objects, "DATA_STORAGE_URL")["value"])
    service = named(objects, "Service", str(url.hostname))
    if service is None or url.port not in {port["port"] for port in service["spec"]["ports"]}:
        return [f"no Service has the address {url.netloc}"]
    selector = {"matchLabels": service["spec"]["selector"]}
    for pods in pods_of(objects):
        parts = COMPONENTS if pods.components is None else pods.components
        if matches(selector, pods.labels) and "embedding-backfill" not in parts:
            found.append(f"{url.hostname} leads to {title(pods.source)}, which does not embed again")
    for policy in of_kind(objects, "NetworkPolicy"):
        if matches(policy["spec"]["podSelector"], pods_in(objects).labels):
            found.append(f"{title(policy)} is the service's, and selects it")
    return found


def it_may_write(objects: list[Object]) -> list[str]:
    """Its token rotates and belongs to an account with the writers' Role."""
    found = []
    account = pods_in(objects).service_account
    binding = own(objects, "RoleBinding")
    if binding["roleRef"]["name"] != "data-storage-writer":
        found.append("it is not bound to the writers' Role")
    if [subject["name"] for subject in binding["subjects"]] != [account]:
        found.append(f"it runs as {account}, and another account may write")
    folder, _, file = variable(objects, "DATA_STORAGE_TOKEN_FILE")["value"].rpartition("/")
    mounted = [m["name"] for m in pods_in(objects).volume_mounts if m["mountPath"] == folder]
    tokens = [
        source["serviceAccountToken"]["path"]
        for volume in pods_in(objects).volumes
        if volume["name"] in mounted
        for source in volume.get("projected", {}).get("sources", [])
    ]
    return found if tokens == [file] else [*found, f"no token is in {folder}/{file}"]


def change_labels(objects: list[Object]) -> None:
    job(objects)["metadata"]["labels"]["app.kubernetes.io/name"] = "data-storage"


Break = tuple[Callable[[list[Object]], list[str]], Callable[[list[Object]], Any]]

BREAKS: tuple[Break, ...] = (
    (it_reaches_the_service, change_labels),
    (
        it_reaches_the_service,
        lambda o: variable(o, "DATA_STORAGE_URL").update(value="http://data-storage:80"),
    ),
    (it_may_write, lambda o: job(o)["spec"].update(serviceAccountName="data-storage")),
    (it_may_write, lambda o: own(o, "RoleBinding")["roleRef"].update(name="x")),
    (it_may_write, lambda o: variable(o, "DATA_STORAGE_TOKEN_FILE").update(value="/token/x")),
    (
        references.mounts_are_of_volumes,
        lambda o: job(o)["spec"]["containers"][0].update(args=["/backfill/other.py"]),
    ),
    (
        references.permissions_are_of_accounts,
        lambda o: o.remove(own(o, "ServiceAccount")),
    ),
    (
        references.neighbours_are_left_alone,
        lambda o: own(o, "RoleBinding")["metadata"].update(name="backfill"),
    ),
)


class Backfill(unittest.TestCase):
    def test_it_is_valid_in_the_oldest_and_the_newest_kubernetes(self) -> None:
        for each in objects_of(FOLDER):
            self.assertEqual(schemas.errors_of(each), [])

    def test_it_fits_every_overlay(self) -> None:
        for folder in OVERLAYS:
            for check in (*CHECKS, it_reaches_the_service, it_may_write):
                with self.subTest(folder, check=check.__name__):
                    self.assertEqual(check(beside(folder)), [])

    def test_what_is_said_of_split_is_needed_and_possible(self) -> None:
        text = (DEPLOY / FOLDER / "job.yaml").read_text()
        self.assertIn(f"sed s,{','.join(IN_SPLIT)},", text)
        objects = [*objects_of("overlays/split"), *objects_of(FOLDER)]
        self.assertNotEqual(it_reaches_the_service(objects), [])

    def test_it_runs_the_program(self) -> None:
        (held,) = of_kind(objects_of(FOLDER), "ConfigMap")
        program = (DEPLOY / FOLDER / "backfill.py").read_text()
        self.assertEqual(held["data"], {"backfill.py": program})

    def test_its_objects_are_its_own(self) -> None:
        applied = {(o["kind"], o["metadata"]["name"]) for f in OVERLAYS for o in objects_of(f)}
        added = {(o["kind"], o["metadata"]["name"]) for o in objects_of(FOLDER)}
        self.assertEqual(applied & added, set(), "`kubectl delete -k` would take it away")

    def test_it_is_locked_in_as_the_other_jobs_are(self) -> None:
        (migrate,) = of_kind(objects_of("overlays/graceful"), "Job")
        other = migrate["spec"]["template"]["spec"]
        pod = job(objects_of(FOLDER))["spec"]
        self.assertEqual(pod["securityContext"], other["securityContext"])
        for key in ("securityContext", "resources"):
            self.assertEqual(pod["containers"][0][key], other["containers"][0][key])

    def test_every_check_finds_what_it_is_there_for(self) -> None:
        for check, change in BREAKS:
            objects = beside("overlays/graceful")
            change(objects)
            with self.subTest(check.__name__):
                self.assertNotEqual(check(objects), [])


if __name__ == "__main__":
    unittest.main()
