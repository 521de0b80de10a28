"""Checks that a deployment runs the application of spin.toml with this version's migrations.
Each check returns a sentence per problem."""

import tomllib
from base64 import b64decode
from collections.abc import Callable
from urllib.parse import urlsplit

from application import (
    COMPONENTS,
    MIGRATIONS,
    ROUTES,
    SCHEMA_VERSION,
    VARIABLES,
    granted,
)
from manifests import Object, named, of_kind, pods_of, title
from references import runtime_configs_of, settings_of

IN_EVERY_PART = {"health", "metrics", "openapi", "fallback"}


def components_are_the_applications(objects: list[Object]) -> list[str]:
    """Parts name components of spin.toml and cover all of them."""
    found = []
    running: set[str] = set()
    for pods in pods_of(objects):
        if not pods.serves:
            continue
        parts = set(pods.components) if pods.components is not None else set(COMPONENTS)
        running |= parts
        found += [f"{title(pods.source)} runs {name}" for name in parts - COMPONENTS.keys()]
        found += [f"{title(pods.source)} lacks {name}" for name in IN_EVERY_PART - parts]
    return found + [f"nobody runs {name}" for name in COMPONENTS.keys() - running]


def variables_are_the_applications(objects: list[Object]) -> list[str]:
    """Exactly the variables of spin.toml are set, secret ones from Secrets."""
    found = []
    for pods in pods_of(objects):
        if not pods.serves:
            continue
        at = title(pods.source)
        given = pods.variables
        found += [f"{at} gives the unknown variable {name}" for name in given.keys() - VARIABLES]
        found += [f"{at} does not give {name}" for name in VARIABLES.keys() - given.keys()]
        for name, value in given.items():
            reference = value.get("valueFrom", {}).get("secretKeyRef")
            declared = VARIABLES.get(name, {})
            if declared.get("secret", False) != (reference is not None):
                found.append(f"{at}: {name} is a secret in one place and none in the other")
            elif declared.get("required", False) and (reference or {}).get("optional", False):
                found.append(f"{at}: {name} is required and its key optional")
    return found


def images_are_equal(objects: list[Object]) -> list[str]:
    """One image for the service, one for the Jobs."""
    pods = pods_of(objects)
    service = {one.image for one in pods if one.serves}
    jobs = {one.image for one in pods if not one.serves}
    return [f"different images: {images}" for images in (service, jobs) if len(images) != 1]


def probes_ask_routes(objects: list[Object]) -> list[str]:
    found = []
    for pods in pods_of(objects):
        if not pods.serves:
            continue
        if not {"readiness", "liveness"} <= pods.probe_paths.keys():
            found.append(f"{title(pods.source)} is not probed")
        for path in pods.probe_paths.values():
            component = ROUTES.get(path)
            if component is None:
                found.append(f"{title(pods.source)}: no route {path}")
            elif pods.components is not None and component not in pods.components:
                found.append(f"{title(pods.source)}: {path} is answered by another part")
    return found


def the_migrations_are_complete(objects: list[Object]) -> list[str]:
    found = []
    held = [
        set(each["data"])
        for each in of_kind(objects, "ConfigMap")
        if each["metadata"]["name"].startswith("data-storage-migrations-")
    ]
    if held != [{*MIGRATIONS, "migrate.psql"}]:
        found.append(f"migrations/kustomization.yaml does not have all migrations: {held}")
    name = f"data-storage-migrate-v{SCHEMA_VERSION}"
    if named(objects, "Job", name) is None:
        found.append(f"the Job that migrates is not called {name}")
    return found


def the_runtime_config_fits(objects: list[Object]) -> list[str]:
    """It has in-memory stores, and the API server's authority for components that need it."""
    found = []
    (secret,) = runtime_configs_of(objects)
    config = tomllib.loads(b64decode(secret["data"]["runtime-config.toml"]).decode())
    stores = {store for each in COMPONENTS.values() for store in each.get("key_value_stores", [])}
    # Another store might block requests.
    if config["key_value_store"] != {store: {"type": "spin"} for store in stores}:
        found.append(f"runtime-config.toml does not have the stores {stores} in memory")
    (tls,) = config["client_tls"]
    # Spin 3.6 refuses all other keys, even `ca_use_platform_roots` of 4.0.
    known = {"component_ids", "hosts", "ca_roots_file", "ca_use_webpki_roots"}
    found += [f"runtime-config.toml: Spin does not know {key}" for key in tls.keys() - known]
    asking = granted("{{ kubernetes_api_url }}")
    if set(tls["component_ids"]) != asking:
        found.append(f"runtime-config.toml: client_tls should be for {sorted(asking)}")
    if tls["hosts"] != [urlsplit(settings_of(objects)["kubernetes_api_url"]).hostname]:
        found.append("runtime-config.toml: client_tls is for another host than the API server's")
    folder = tls["ca_roots_file"].rpartition("/")[0]
    for pods in pods_of(objects):
        if pods.serves and folder not in {mount["mountPath"] for mount in pods.volume_mounts}:
            found.append(f"{title(pods.source)} does not mount {tls['ca_roots_file']}")
    return found


CHECKS: tuple[Callable[[list[Object]], list[str]], ...] = (
    components_are_the_applications,
    variables_are_the_applications,
    images_are_equal,
    probes_ask_routes,
    the_migrations_are_complete,
    the_runtime_config_fits,
)
