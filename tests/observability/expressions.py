"""The expressions of the rules and of the dashboard, and what they ask for."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser as promql
import yaml

from prometheusrule import FOLDER, RULES

DASHBOARD = FOLDER / "dashboard.json"

# What Grafana puts in place of its variables, for data of a few seconds. The longer names first.
VARIABLES = {
    "$__rate_interval": "30s",
    "$__range": "30s",
    "$namespace": ".*",
}


@dataclass(frozen=True)
class Expression:
    """An expression, and where it stands."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


@dataclass(frozen=True)
class Rule:
    """A rule that records (`record`) or alerts (`alert`)."""

    expression: Expression
    content: dict[str, Any]

    @property
    def is_alert(self) -> bool:
        return "alert" in self.content


def rules() -> list[Rule]:
    """Those of rules.yaml."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [
        Rule(Expression(content.get("alert") or content["record"], content["expr"]), content)
        for group in groups
        for content in group["rules"]
    ]


def dashboard() -> dict[str, Any]:
    """The dashboard, as it is imported."""
    content: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return content


def dashboard_expressions() -> list[Expression]:
    """Those of the panels, without Grafana's variables."""
    return [
        Expression(panel["title"], without_variables(target["expr"]))
        for panel in dashboard()["panels"]
        for target in panel.get("targets", [])
    ]


def without_variables(text: str) -> str:
    """An expression as Grafana sends it."""
    for variable, value in VARIABLES.items():
        text = text.replace(variable, value)
    if "$" in text:
        raise ValueError(f"a variable without a value: {text}")
    return text


def operands(text: str) -> Iterator[str]:
    """What an expression compares and puts together, and asks the absence of: what it needs."""
    yield from _operands(promql.parse(text))


# Comparisons and set operators choose among what is there.
_CHOOSING = {"==", "!=", ">", "<", ">=", "<=", "and", "or", "unless"}


def _operands(node: Any) -> Iterator[str]:
    match node:
        case promql.ParenExpr():
            yield from _operands(node.expr)
        case promql.BinaryExpr() if str(node.op) in _CHOOSING:
            yield from _operands(node.lhs)
            yield from _operands(node.rhs)
        case promql.Call() if node.func.name == "absent":
            for argument in node.args:
                yield from _operands(argument)
        case promql.NumberLiteral():
            pass
        case _:
            yield node.prettify()


@dataclass(frozen=True)
class Asked:
    """What an expression names: each metric with the labels it is chosen by, and the labels that
    results are grouped or joined by."""

    metrics: dict[str, set[str]]
    groupings: set[str]


def asked(text: str) -> Asked:
    """What an expression names."""
    metrics: dict[str, set[str]] = {}
    groupings: set[str] = set()

    def visit(node: Any) -> bool:
        match node:
            case promql.VectorSelector():
                labels = {matcher.name for matcher in node.matchers.matchers}
                metrics.setdefault(node.name or "", set()).update(labels)
            case promql.AggregateExpr() if node.modifier:
                groupings.update(node.modifier.labels)
            case promql.BinaryExpr() if node.modifier and node.modifier.matching:
                groupings.update(node.modifier.matching.labels)
        return True

    promql.walk(promql.parse(text), visit)
    return Asked(metrics, groupings)
