"""Tests the rules and the dashboard with the service's real metrics."""

import math
import os
import time
import unittest
from collections import Counter
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from expressions import (
    FAMILIES,
    Expression,
    all_expressions,
    asked,
    dashboard,
    operands,
    rules,
)
from prometheus import Prometheus, promtool
from prometheusrule import RULES
from traffic import URL, Provider, Traffic, exposition, wait_until

NAMESPACE = "observability"
MODEL = os.environ.get("PROVIDER_MODEL", "")

# Long enough to evaluate the rules several times, once per second.
SETTLE_SECONDS = 3
COUNT_SECONDS_MAX = 15

# Expressions without a result here, and why.
KNOWN_EMPTY = {
    'alertstate="firing"': "nothing is wrong for as long as an alert waits",
}
# Alerts whose condition this test causes.
PENDING = {"DataStorageEmbeddingFallback", "DataStorageDatabaseErrors"}


def rules_of_each_second() -> str:
    """Returns the rules with an interval of 1 s instead of 30 s."""
    text = RULES.read_text()
    faster = text.replace("interval: 30s", "interval: 1s").replace("]) * 30", "]) * 1")
    if text.count("30s") != 1 or text.count("]) * 30") != 4:
        raise AssertionError("the rules do not say how often as this test expects it")
    return faster


def why_empty(expression: str) -> str | None:
    """Returns why an expression has no result here, if known."""
    return next((why for what, why in KNOWN_EMPTY.items() if what in expression), None)


def without_scrapes(requests: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    """Returns requests without scrapes, which Prometheus also sends."""
    return Counter(
        {labels: count for labels, count in requests.items() if "/metrics" not in labels}
    )


class ServiceTest(unittest.TestCase):
    """One Prometheus scrapes one service as two replicas."""

    prometheus: Prometheus
    traffic: Traffic
    before: dict[str, Metric]
    after: dict[str, Metric]

    @classmethod
    def setUpClass(cls) -> None:
        provider = Provider(os.environ["PROVIDER_LISTEN"])
        cls.addClassCleanup(provider.stop)
        cls.traffic = Traffic(provider)
        cls.before = families()
        address = URL.removeprefix("http://")
        targets = {address: "writers", address.replace("127.0.0.1", "localhost"): "readers"}
        prometheus = Prometheus(rules_of_each_second(), NAMESPACE, targets)
        cls.prometheus = cls.enterClassContext(prometheus)
        # The first value of a series is no increase, so counting starts with the second round.
        for _ in range(2):
            cls.traffic.round()
            wait_until(lambda: cls.shown() >= cls.traffic.writes.total(), COUNT_SECONDS_MAX)
            time.sleep(SETTLE_SECONDS)
        wait_until(lambda: cls.counted() >= cls.traffic.requests.total(), COUNT_SECONDS_MAX)
        cls.after = families()

    @classmethod
    def shown(cls) -> float:
        """Returns the number of writes that Prometheus knows."""
        each = "max by (namespace, type, status) (datastorage_audit_writes_total)"
        return cls.prometheus.total(f"sum({each})")

    @classmethod
    def counted(cls) -> float:
        """Returns the number of counted requests without scrapes."""
        cls.after = families()
        return without_scrapes(cls.grown("http_requests", "method", "path", "status")).total()

    @classmethod
    def grown(cls, name: str, *labels: str, suffix: str = "_total") -> Counter[tuple[str, ...]]:
        """Returns the increase of a family's series by these labels."""
        sums: Counter[tuple[str, ...]] = Counter()
        for found, sign in [(cls.after, 1), (cls.before, -1)]:
            for sample in found[name].samples if name in found else []:
                if sample.name == f"{name}{suffix}":
                    key = tuple(sample.labels[label] for label in labels)
                    sums[key] += sign * int(sample.value)
        return Counter({key: count for key, count in sums.items() if count})

    # The exposition.

    def test_promtool_finds_no_fault_with_the_exposition(self) -> None:
        self.assertEqual(promtool("check", "metrics", stdin=exposition().encode()), "")

    def test_the_exposition_has_the_metrics_of_the_contract_and_no_others(self) -> None:
        self.assertEqual(set(self.after), set(FAMILIES))
        for name, (kind, labels) in FAMILIES.items():
            family = self.after[name]
            self.assertEqual(family.type, kind, name)
            self.assertTrue(family.documentation, name)
            for sample in family.samples:
                self.assertEqual(set(sample.labels) - {"le"}, labels, sample)

    def test_each_series_is_there_once_and_histograms_add_up(self) -> None:
        for family in self.after.values():
            keys = [(sample.name, *sorted(sample.labels.items())) for sample in family.samples]
            self.assertEqual(len(keys), len(set(keys)), family.name)
            if family.type == "histogram":
                check_histograms(self, family)

    def test_every_request_is_counted_once_under_its_route_and_status(self) -> None:
        grown = without_scrapes(self.grown("http_requests", "method", "path", "status"))
        sent = Counter(
            {
                (method, route, str(status)): count
                for (method, route, status), count in self.traffic.requests.items()
            }
        )
        self.assertEqual(grown, sent)
        durations = self.grown("http_request_duration_seconds", "method", "path", suffix="_count")
        by_route: Counter[tuple[str, ...]] = Counter()
        for (method, route, _), count in sent.items():
            by_route[method, route] += count
        self.assertEqual(without_scrapes(durations), by_route)

    def test_every_write_is_counted_once_by_what_became_of_it(self) -> None:
        grown = self.grown("datastorage_audit_writes", "type", "status")
        self.assertEqual(grown, Counter(self.traffic.writes))
        durations = self.grown("datastorage_audit_write_duration_seconds", "type", suffix="_count")
        self.assertEqual(durations, self.traffic.stored)

    def test_every_vector_is_found_or_made_and_made_ones_name_their_model(self) -> None:
        reused = self.grown("datastorage_embedding_reused").total()
        hits = self.grown("datastorage_embedding_cache_hits").total()
        misses = self.grown("datastorage_embedding_cache_misses").total()
        created = sum(
            count for (_, status), count in self.traffic.writes.items() if status == "created"
        )
        self.assertEqual(reused + hits + misses, created + self.traffic.searches)
        self.assertGreater(reused, 0)
        made = self.grown(
            "datastorage_embedding_generation_duration_seconds", "model", suffix="_count"
        )
        self.assertEqual(made.total(), misses)
        self.assertEqual(made[("static-v1",)], self.traffic.fallbacks)
        self.assertEqual(set(made), {("static-v1",), (MODEL,)})

    def test_failures_of_the_database_name_their_class(self) -> None:
        grown = self.grown("datastorage_database_write_errors", "sqlstate_class")
        self.assertEqual(set(grown), {("42",)})

    def test_rounds_of_the_log_are_counted_and_its_size_is_shown(self) -> None:
        rounds = self.grown("datastorage_log_rounds", "status")
        self.assertGreater(rounds[("signed",)], 0)
        self.assertEqual(rounds[("failed",)], 0)
        created = sum(
            count for (_, status), count in self.traffic.writes.items() if status == "created"
        )
        leaves = self.grown("datastorage_log_leaves", suffix="").total()
        pending = self.grown("datastorage_log_pending", suffix="").total()
        self.assertGreater(leaves, 0)
        self.assertEqual(leaves + pending, created)

    # What Prometheus makes of it.

    def test_prometheus_reads_every_target(self) -> None:
        targets = self.prometheus.ask("targets")["activeTargets"]
        self.assertEqual([target["lastError"] for target in targets], ["", ""])
        self.assertEqual([target["health"] for target in targets], ["up", "up"])

    def test_prometheus_evaluates_every_rule(self) -> None:
        groups = self.prometheus.ask("rules")["groups"]
        evaluated = [rule for group in groups for rule in group["rules"]]
        self.assertEqual(len(evaluated), len(rules()))
        for rule in evaluated:
            self.assertEqual((rule["health"], rule.get("lastError", "")), ("ok", ""), rule["name"])

    def test_no_alert_waits_or_fires_but_those_that_were_made_to(self) -> None:
        active = {alert["labels"]["alertname"] for alert in self.prometheus.ask("alerts")["alerts"]}
        self.assertEqual(active, PENDING)

    def test_every_metric_and_label_that_is_asked_for_exists(self) -> None:
        series = self.prometheus.ask("series", **{"match[]": '{__name__=~".+"}'})
        labels: dict[str, set[str]] = {}
        for one in series:
            labels.setdefault(one["__name__"], set()).update(one)
        for expression in all_expressions():
            with self.subTest(str(expression)):
                names = asked(expression.text)
                of_all: set[str] = set()
                for metric, chosen_by in names.metrics.items():
                    self.assertIn(metric, labels)
                    self.assertLessEqual(chosen_by, labels[metric], metric)
                    of_all |= labels[metric]
                self.assertLessEqual(names.groupings, of_all)

    def test_every_expression_yields_something_or_it_is_known_why_not(self) -> None:
        for expression in all_expressions():
            # For an alert, check the operands of its condition.
            parts = operands(expression.text)
            for part in [*parts, *([] if is_condition(expression) else [expression.text])]:
                with self.subTest(str(expression), part=part):
                    found = self.prometheus.query(part)
                    why = why_empty(part)
                    if why is None:
                        self.assertTrue(found, "nothing")
                        self.assertFalse(any(math.isnan(value_of(one)) for one in found), found)
                    else:
                        self.assertFalse(found, f"it was thought that {why}")

    def test_what_is_known_to_yield_nothing_is_still_asked(self) -> None:
        texts = [expression.text for expression in all_expressions()]
        for known in KNOWN_EMPTY:
            self.assertTrue(any(known in text for text in texts), known)

    def test_the_variables_of_the_dashboard_have_values(self) -> None:
        for variable in dashboard()["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = (
                    variable["definition"].removeprefix("label_values(")[:-1].split(", ")
                )
                values = self.prometheus.ask(f"label/{label}/values", **{"match[]": metric})
                self.assertEqual(values, [NAMESPACE], variable["name"])

    def test_totals_of_all_replicas_are_counted_once(self) -> None:
        """Both targets show the same totals: their sum would be double."""
        self.assertEqual(self.shown(), self.traffic.writes.total())
        rate = "sum(datastorage:slo_total:rate5m{slo='writes'})"
        one = 'sum(rate(datastorage_audit_writes_total{instance=~"127.*",status!="refused"}[5m]))'
        ratio = self.prometheus.total(f"{rate} / {one}")
        self.assertAlmostEqual(ratio, 1, delta=0.3)


def is_condition(expression: Expression) -> bool:
    """Whether it is an alert's expression, which is true only on faults."""
    return any(rule.is_alert and rule.expression == expression for rule in rules())


def value_of(series: dict[str, Any]) -> float:
    """Returns the value of a series in a result."""
    return float(series["value"][1])


def families() -> dict[str, Metric]:
    """Returns `/metrics` as parsed by Prometheus' Python library."""
    found = list(text_string_to_metric_families(exposition()))
    by_name = {family.name: family for family in found}
    if len(by_name) != len(found):
        raise AssertionError("a family is there twice")
    return by_name


def check_histograms(test: unittest.TestCase, family: Metric) -> None:
    """Buckets grow with their bounds up to the count, and the sum fits them."""
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    totals: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for sample in family.samples:
        labels = dict(sample.labels)
        bound = labels.pop("le", None)
        key = tuple(sorted(labels.items()))
        if bound is None:
            totals[sample.name.removeprefix(family.name), key] = sample.value
        else:
            buckets.setdefault(key, []).append((float(bound), sample.value))
    for key, steps in buckets.items():
        bounds = [bound for bound, _ in steps]
        counts = [count for _, count in steps]
        test.assertEqual(bounds, sorted(bounds))
        test.assertEqual(counts, sorted(counts))
        test.assertEqual(bounds[-1], math.inf)
        test.assertEqual(counts[-1], totals["_count", key])
        test.assertTrue(0 <= totals["_sum", key] <= counts[-1] * bounds[-2])
        test.assertEqual(totals["_sum", key] > 0, counts[-1] > 0)
