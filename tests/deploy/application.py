"""Facts of spin.toml and the migrations that a deployment must match."""

import re
import tomllib
from typing import Any

from manifests import DEPLOY, ROOT

SPIN: dict[str, Any] = tomllib.loads((ROOT / "spin.toml").read_text())

VARIABLES: dict[str, dict[str, Any]] = SPIN["variables"]

COMPONENTS: dict[str, dict[str, Any]] = SPIN["component"]

ROUTES: dict[str, str] = {each["route"]: each["component"] for each in SPIN["trigger"]["http"]}

README = (DEPLOY / "README.md").read_text()

# The Job's files and the schema version that they make. A test compares migrate.psql with the
# migrations.
MIGRATE = (ROOT / "migrations" / "migrate.psql").read_text()
MIGRATIONS: list[str] = re.findall(r"^ *\\ir (\S+)$", MIGRATE, re.MULTILINE)
SCHEMA_VERSION = max(int(version) for version in re.findall(r"applied V(\d+)__", MIGRATE))


def granted(host: str) -> set[str]:
    """Returns the components that may connect to `host`, in spin.toml's notation."""
    return {
        name
        for name, component in COMPONENTS.items()
        if host in component.get("allowed_outbound_hosts", [])
    }


def documented_secrets() -> dict[str, set[str]]:
    """Returns the Secrets of deploy/README.md and their keys."""
    documented: dict[str, set[str]] = {}
    for name, key in re.findall(r"^\| `([a-z-]+)` \| `([\w.-]+)` \|", README, re.MULTILINE):
        documented.setdefault(name, set()).add(key)
    return documented
