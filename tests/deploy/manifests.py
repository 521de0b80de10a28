"""Builds deploy/ with kubectl and derives the pods."""

import functools
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"

OVERLAYS = ("overlays/spinapp", "overlays/graceful", "overlays/split")
EXAMPLES = ("examples/cluster", "examples/second")

Object = dict[str, Any]

SPINAPP_PORT_NAME = "http-app"
SPINAPP_PORT = 80


@functools.cache
def objects_of(folder: str) -> list[Object]:
    """Returns the objects of a folder of deploy/ in order. The result is shared: copy it to change
    it."""
    kubectl = os.environ.get("KUBECTL", "kubectl")
    built = subprocess.run(
        [kubectl, "kustomize", str(DEPLOY / folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if built.returncode != 0 or built.stderr:
        raise AssertionError(f"kubectl kustomize deploy/{folder}: {built.stderr}")
    return [each for each in yaml.safe_load_all(built.stdout) if each]


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [each for each in objects if each["kind"] in kinds]


def named(objects: list[Object], kind: str, name: str) -> Object | None:
    return next((o for o in of_kind(objects, kind) if o["metadata"]["name"] == name), None)


def namespace_of(objects: list[Object]) -> str:
    """Returns the namespace of the service's account."""
    account = named(objects, "ServiceAccount", "data-storage")
    assert account is not None
    return str(account["metadata"]["namespace"])


def title(each: Object) -> str:
    return f"{each['kind']}/{each['metadata']['name']}"


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Evaluates a label selector, which must use only matchLabels."""
    assert set(selector) <= {"matchLabels"}, selector
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields every mapping inside a value with its path."""
    if isinstance(value, dict):
        yield path, value
        for key, each in value.items():
            yield from leaves(each, (*path, str(key)))
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each, path)


@dataclass(frozen=True)
class Pods:
    """Pods that an object makes, as far as the tests need them."""

    source: Object
    labels: dict[str, str]
    image: str
    ports: dict[str, int]
    # Application variables under their names in spin.toml.
    variables: dict[str, dict[str, Any]]
    # Components that run; None for all.
    components: tuple[str, ...] | None
    service_account: str | None
    mounts_token: bool
    volumes: list[dict[str, Any]]
    volume_mounts: list[dict[str, Any]]
    env_from: list[dict[str, Any]]
    arguments: list[str]
    probe_paths: dict[str, str]
    resources: dict[str, Any]

    @property
    def serves(self) -> bool:
        """Whether they belong to the service and not to a Job."""
        return bool(self.ports)


def pods_of(objects: list[Object]) -> list[Pods]:
    """Returns all pods of the objects."""
    made = [_of_spinapp(each, objects) for each in of_kind(objects, "SpinApp")]
    for each in of_kind(objects, "Deployment", "Job"):
        made.append(_of_template(each, each["spec"]["template"], objects))
    for each in of_kind(objects, "CronJob"):
        made.append(_of_template(each, each["spec"]["jobTemplate"]["spec"]["template"], objects))
    return made


def _of_template(source: Object, template: dict[str, Any], objects: list[Object]) -> Pods:
    spec = template["spec"]
    (container,) = spec["containers"]
    prefix = "SPIN_VARIABLE_"
    return Pods(
        source=source,
        labels=template["metadata"]["labels"],
        image=container["image"],
        ports={port["name"]: port["containerPort"] for port in container.get("ports", [])},
        variables={
            each["name"].removeprefix(prefix).lower(): each
            for each in container.get("env", [])
            if each["name"].startswith(prefix)
        },
        components=None,
        service_account=spec.get("serviceAccountName"),
        mounts_token=spec.get("automountServiceAccountToken", True)
        and _mounts_token(spec.get("serviceAccountName"), objects),
        volumes=spec.get("volumes", []),
        volume_mounts=container.get("volumeMounts", []),
        env_from=container.get("envFrom", []),
        arguments=container.get("args", []),
        probe_paths={
            name: container[f"{name}Probe"]["httpGet"]["path"]
            for name in ("readiness", "liveness", "startup")
            if f"{name}Probe" in container
        },
        resources=container["resources"],
    )


def _of_spinapp(source: Object, objects: list[Object]) -> Pods:
    """Returns the pods that spin-operator makes of a SpinApp."""
    spec = source["spec"]
    name = source["metadata"]["name"]
    secret = {"secretName": spec["runtimeConfig"]["loadFromSecret"]}
    mount = {"name": "spin-runtime-config", "mountPath": "/runtime-config.toml"}
    return Pods(
        source=source,
        labels={
            **spec["podLabels"],
            "core.spinkube.dev/app-name": name,
            f"core.spinkube.dev/app.{name}.status": "ready",
        },
        image=spec["image"],
        ports={SPINAPP_PORT_NAME: SPINAPP_PORT},
        variables={each["name"]: each for each in spec["variables"]},
        components=tuple(spec["components"]) if "components" in spec else None,
        service_account=spec.get("serviceAccountName"),
        mounts_token=_mounts_token(spec.get("serviceAccountName"), objects),
        volumes=[*spec["volumes"], {"name": "spin-runtime-config", "secret": secret}],
        volume_mounts=[*spec["volumeMounts"], {**mount, "subPath": "runtime-config.toml"}],
        env_from=[],
        arguments=[],
        probe_paths={key: check["httpGet"]["path"] for key, check in spec["checks"].items()},
        resources=spec["resources"],
    )


def _mounts_token(service_account: str | None, objects: list[Object]) -> bool:
    account = named(objects, "ServiceAccount", service_account or "default")
    return account is None or account.get("automountServiceAccountToken", True)
