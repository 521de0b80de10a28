"""What spin.toml and the migrations say, as far as a deployment has to agree with it."""

import re
import tomllib
from typing import Any

from manifests import DEPLOY, ROOT

SPIN: dict[str, Any] = tomllib.loads((ROOT / "spin.toml").read_text())

# The variables: name -> what spin.toml says of it.
VARIABLES: dict[str, dict[str, Any]] = SPIN["variables"]

# The components: name -> what spin.toml says of it.
COMPONENTS: dict[str, dict[str, Any]] = SPIN["component"]

# Which component answers a route.
ROUTES: dict[str, str] = {each["route"]: each["component"] for each in SPIN["trigger"]["http"]}

README = (DEPLOY / "README.md").read_text()

# Which files the Job applies, and which version of the schema they make. migrate.psql is made of
# the migrations, and a test of theirs holds it to that.
MIGRATE = (ROOT / "migrations" / "migrate.psql").read_text()
MIGRATIONS: list[str] = re.findall(r"^ *\\ir (\S+)$", MIGRATE, re.MULTILINE)
SCHEMA_VERSION = max(int(version) for version in re.findall(r"applied V(\d+)__", MIGRATE))


def granted(host: str) -> set[str]:
    """The components that may connect to `host`, as spin.toml writes it."""
    return {
        name
        for name, component in COMPONENTS.items()
        if host in component.get("allowed_outbound_hosts", [])
    }


def documented_secrets() -> dict[str, set[str]]:
    """The Secrets that deploy/README.md tells to make: name -> keys."""
    documented: dict[str, set[str]] = {}
    for name, key in re.findall(r"^\| `([a-z-]+)` \| `([\w.-]+)` \|", README, re.MULTILINE):
        documented.setdefault(name, set()).add(key)
    return documented
