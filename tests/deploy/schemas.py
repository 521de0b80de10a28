"""Validates objects by the schemas of Kubernetes, of the CRDs, and of two kinds in part."""

import copy
import functools
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate.utils
import yaml
from kubernetes_validate import SchemaNotFoundError, ValidationError, validate

from manifests import Object, title

# Oldest supported Kubernetes, and the newest that the validator knows.
VERSIONS = ("1.30", kubernetes_validate.utils.latest_version())

CRDS_VARIABLE = "SPINKUBE_CRDS_DIR"

# Partial schemas of kinds whose CRDs no package has.
OWN_SCHEMAS = json.loads((Path(__file__).parent / "own-schemas.json").read_text())

kubernetes_validate.utils.schema_contents = functools.cache(
    kubernetes_validate.utils.schema_contents
)


def errors_of(each: Object) -> list[str]:
    """Returns the errors of an object, unknown fields included."""
    group = each["apiVersion"].split("/")[0]
    if group == "core.spinkube.dev":
        schema = spinkube_schemas().get(each["kind"])
        if schema is None:
            return [f"{title(each)}: no CRD in ${CRDS_VARIABLE} has this kind"]
        return _errors_by(schema, _after_the_webhook(each))
    if group in OWN_SCHEMAS:
        schema = OWN_SCHEMAS[group].get(each["kind"])
        return _errors_by(schema, each) if schema else [f"{title(each)}: unknown kind"]
    return [error for version in VERSIONS for error in _errors_in_kubernetes(each, version)]


def has_spinkube_schemas() -> bool:
    return bool(os.environ.get(CRDS_VARIABLE))


@functools.cache
def spinkube_schemas() -> dict[str, dict[str, Any]]:
    """Returns the CRDs' schemas by kind."""
    schemas = {}
    for path in sorted(Path(os.environ[CRDS_VARIABLE]).glob("*.yaml")):
        for crd in yaml.safe_load_all(path.read_text()):
            (version,) = (v for v in crd["spec"]["versions"] if v["storage"])
            schema = version["schema"]["openAPIV3Schema"]
            schemas[crd["spec"]["names"]["kind"]] = _closed(schema)
    return schemas


def _after_the_webhook(each: Object) -> Object:
    """Returns the object after the operator's webhook, in which Go writes missing lists as null."""
    changed = copy.deepcopy(each)
    for check in changed["spec"].get("checks", {}).values():
        check.get("httpGet", {}).setdefault("httpHeaders", None)
    return changed


def _closed(schema: Any) -> Any:
    """Returns the schema without unknown fields, which `kubectl apply` refuses."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        key: {name: _closed(each) for name, each in value.items()}
        if key == "properties"
        else _closed(value)
        for key, value in schema.items()
    }
    is_open = schema.get("x-kubernetes-preserve-unknown-fields", False)
    if "properties" in schema and "additionalProperties" not in schema and not is_open:
        closed["additionalProperties"] = False
    return closed


def _errors_by(schema: dict[str, Any], each: Object) -> list[str]:
    found = jsonschema.Draft202012Validator(schema).iter_errors(each)
    return [f"{title(each)}: {error.json_path}: {error.message}" for error in found]


def _errors_in_kubernetes(each: Object, version: str) -> list[str]:
    try:
        validate(each, version, strict=True)
    except ValidationError as error:
        path = ".".join(str(part) for part in error.path)
        return [f"{title(each)}: {path}: {error.message} (Kubernetes {version})"]
    except SchemaNotFoundError as error:
        return [f"{title(each)}: {error.message}"]
    return []
