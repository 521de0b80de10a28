"""Parses the expressions of the rules and of the dashboard."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser as promql
import yaml

from prometheusrule import FOLDER, RULES

DASHBOARD = FOLDER / "dashboard.json"

# Values of Grafana's variables for data of a few seconds, longest names first.
VARIABLES = {
    "$__rate_interval": "30s",
    "$__range": "30s",
    "$namespace": ".*",
}


# Metric families of the service, named as in Prometheus' Python library: type and labels.
FAMILIES: dict[str, tuple[str, set[str]]] = {
    "datastorage_audit_writes": ("counter", {"type", "status"}),
    "datastorage_audit_write_duration_seconds": ("histogram", {"type"}),
    "datastorage_embedding_cache_hits": ("counter", set()),
    "datastorage_embedding_cache_misses": ("counter", set()),
    "datastorage_embedding_reused": ("counter", set()),
    "datastorage_embedding_generation_duration_seconds": ("histogram", {"model"}),
    "datastorage_database_write_errors": ("counter", {"sqlstate_class"}),
    "datastorage_log_rounds": ("counter", {"status"}),
    "datastorage_log_leaves": ("gauge", set()),
    "datastorage_log_pending": ("gauge", set()),
    "datastorage_log_pending_age_seconds": ("gauge", set()),
    "datastorage_log_checkpoint_timestamp_seconds": ("gauge", set()),
    "http_requests": ("counter", {"method", "path", "status"}),
    "http_request_duration_seconds": ("histogram", {"method", "path"}),
}


@dataclass(frozen=True)
class Expression:
    """An expression and its location."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


@dataclass(frozen=True)
class Rule:
    """A recording rule (`record`) or an alert (`alert`)."""

    expression: Expression
    content: dict[str, Any]

    @property
    def is_alert(self) -> bool:
        return "alert" in self.content


def rules() -> list[Rule]:
    """Returns the expressions of rules.yaml."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [
        Rule(Expression(content.get("alert") or content["record"], content["expr"]), content)
        for group in groups
        for content in group["rules"]
    ]


def dashboard() -> dict[str, Any]:
    """Returns the dashboard as imported."""
    content: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return content


def dashboard_expressions() -> list[Expression]:
    """Returns the panels' expressions, without Grafana's variables."""
    return [
        Expression(panel["title"], without_variables(target["expr"]))
        for panel in dashboard()["panels"]
        for target in panel.get("targets", [])
    ]


def all_expressions() -> Iterator[Expression]:
    """Returns the expressions of the rules and of the dashboard."""
    yield from (rule.expression for rule in rules())
    yield from dashboard_expressions()


def without_variables(text: str) -> str:
    """Replaces Grafana's variables in an expression."""
    for variable, value in VARIABLES.items():
        text = text.replace(variable, value)
    if "$" in text:
        raise ValueError(f"a variable without a value: {text}")
    return text


def operands(text: str) -> Iterator[str]:
    """Returns the operands that must have data: parts of comparisons, joins and `absent`."""
    yield from _operands(promql.parse(text))


# Comparisons and set operators only select series.
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
    """Names in an expression: metrics with the labels that select them, and labels that group or
    join results."""

    metrics: dict[str, set[str]]
    groupings: set[str]


def asked(text: str) -> Asked:
    """Returns the names in an expression."""
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


@dataclass(frozen=True)
class Rate:
    """A rate or an increase in an expression."""

    metric: str
    # Labels that are matched by one value.
    fixed: set[str]
    # Labels of the maximum over replicas; None without one.
    greatest_by: set[str] | None
    # Whether a sum follows the maximum.
    is_summed: bool


def rates(text: str) -> list[Rate]:
    """Returns every rate and increase in an expression."""
    found: list[Rate] = []
    around: list[Any] = []

    def enter(node: Any) -> bool:
        if isinstance(node, promql.Call) and node.func.name in {"rate", "increase"}:
            within, beyond = ([None, None] + around)[:-3:-1]
            selector = node.args[0].vector_selector
            matchers = selector.matchers.matchers
            by = set(within.modifier.labels) if aggregates(within, "max") else None
            fixed = {one.name for one in matchers if one.op == promql.MatchOp.Equal}
            found.append(Rate(selector.name, fixed, by, aggregates(beyond, "sum")))
        if not isinstance(node, promql.ParenExpr):
            around.append(node)
        return True

    def leave(node: Any) -> bool:
        if not isinstance(node, promql.ParenExpr):
            around.pop()
        return True

    promql.walk(promql.parse(text), enter, leave)
    return found


def labels_of(metric: str) -> set[str]:
    """Returns a metric's labels without those that distinguish replicas."""
    _, labels = FAMILIES[re.sub("_(total|count|sum|bucket)$", "", metric)]
    return labels | ({"le"} if metric.endswith("_bucket") else set())


def aggregates(node: Any, how: str) -> bool:
    """Whether the node is that aggregation, `by` these labels for `max`."""
    if not isinstance(node, promql.AggregateExpr) or str(node.op) != how:
        return False
    return how != "max" or bool(node.modifier and node.modifier.type == promql.AggModifierType.By)
