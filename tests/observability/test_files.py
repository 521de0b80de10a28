"""Static checks of deploy/observability."""

import re
import unittest
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from expressions import all_expressions, dashboard, labels_of, rates, rules
from prometheus import promtool
from prometheusrule import FOLDER, OBJECT, RULES, prometheus_rule

HERE = Path(__file__).parent
RUNBOOK = FOLDER.parents[1] / "docs" / "runbook.md"

ROWS = ["Service levels", "Writes", "Reads", "Embeddings", "Database", "Log", "HTTP"]
ALERTS = {
    "DataStorageErrorBudgetBurn",
    "DataStorageLatencyBudgetBurn",
    "DataStorageListLatency",
    "DataStorageDown",
    "DataStorageMetricsMissing",
    "DataStorageEmbeddingFallback",
    "DataStorageDatabaseErrors",
    "DataStorageLogRoundsFail",
    "DataStorageLogBehind",
    "DataStorageLogPending",
}


class RulesTest(unittest.TestCase):
    """rules.yaml and prometheusrule.yaml."""

    def test_promtool_finds_no_fault_with_the_rules(self) -> None:
        promtool("check", "rules", "--lint-fatal", str(RULES))

    def test_alerts_fire_when_they_should_and_only_then(self) -> None:
        files = sorted(map(str, HERE.glob("*_test.yaml")))
        self.assertEqual(len(files), 2)
        promtool("test", "rules", *files)

    def test_the_operators_object_has_the_same_rules(self) -> None:
        how = "run tests/observability/prometheusrule.py"
        self.assertEqual(OBJECT.read_text(), prometheus_rule(RULES.read_text()), how)
        self.assertEqual(
            yaml.safe_load(OBJECT.read_text())["spec"], yaml.safe_load(RULES.read_text())
        )

    def test_every_alert_says_how_bad_it_is_and_what_to_do(self) -> None:
        alerts = [rule.content for rule in rules() if rule.is_alert]
        self.assertEqual({alert["alert"] for alert in alerts}, ALERTS)
        headings = re.findall(r"^#+ (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
        for alert in alerts:
            with self.subTest(alert["alert"]):
                self.assertIn(alert["labels"]["severity"], {"critical", "warning"})
                notes = alert["annotations"]
                self.assertEqual(set(notes), {"summary", "description", "runbook_url"})
                page, _, anchor = notes["runbook_url"].partition("#")
                self.assertEqual(page, "docs/runbook.md")
                self.assertEqual(anchor, alert["alert"].lower())
                self.assertIn(alert["alert"], headings, "the runbook has no such heading")


class ExpressionsTest(unittest.TestCase):
    """Every replica shows the totals of all."""

    def test_of_each_rate_the_greatest_of_all_replicas_is_taken_before_anything_is_summed(
        self,
    ) -> None:
        count = 0
        for expression in all_expressions():
            for rate in rates(expression.text):
                count += 1
                with self.subTest(str(expression), rate=rate):
                    by = rate.greatest_by
                    assert by is not None, "no max by (...) of a rate"
                    self.assertLessEqual(by, labels_of(rate.metric) | {"namespace"})
                    self.assertIn("namespace", by)
                    if rate.is_summed:
                        # Otherwise the maximum would mix different series.
                        free = labels_of(rate.metric) - rate.fixed
                        self.assertLessEqual(free, by)
        self.assertGreater(count, 40)


class DashboardTest(unittest.TestCase):
    """dashboard.json."""

    panels: list[dict[str, Any]] = dashboard()["panels"]

    def test_it_has_a_row_for_each_thing_and_panels_below_each(self) -> None:
        kinds = "".join("r" if panel["type"] == "row" else "p" for panel in self.panels)
        self.assertRegex(kinds, "^(rp+)+$")
        rows = [panel["title"] for panel in self.panels if panel["type"] == "row"]
        self.assertEqual(rows, ROWS)

    def test_panels_say_what_they_show_in_which_unit_from_the_chosen_source(self) -> None:
        for panel in self.panels:
            if panel["type"] == "row":
                continue
            with self.subTest(panel["title"]):
                self.assertTrue(panel["description"])
                self.assertTrue(panel["fieldConfig"]["defaults"]["unit"])
                self.assertTrue(panel["targets"])
                for asking in [panel, *panel["targets"]]:
                    source = {"type": "prometheus", "uid": "${datasource}"}
                    self.assertEqual(asking["datasource"], source)

    def test_panels_have_an_id_and_a_place_of_their_own(self) -> None:
        ids = [panel["id"] for panel in self.panels]
        self.assertEqual(len(ids), len(set(ids)))
        places = [(panel["title"], panel["gridPos"]) for panel in self.panels]
        for title, place in places:
            self.assertLessEqual(place["x"] + place["w"], 24, title)
        for (one, a), (other, b) in combinations(places, 2):
            apart = (
                a["x"] + a["w"] <= b["x"]
                or b["x"] + b["w"] <= a["x"]
                or a["y"] + a["h"] <= b["y"]
                or b["y"] + b["h"] <= a["y"]
            )
            self.assertTrue(apart, f"{one} and {other} overlap")

    def test_it_imports_anywhere(self) -> None:
        content = dashboard()
        self.assertNotIn("id", content, "Grafana gives an id; a foreign one would be overwritten")
        self.assertGreaterEqual(content["schemaVersion"], 38)
        variables = {variable["name"]: variable for variable in content["templating"]["list"]}
        self.assertEqual(set(variables), {"datasource", "namespace"})
        self.assertEqual(variables["datasource"]["type"], "datasource")
        self.assertEqual(variables["datasource"]["query"], "prometheus")
        self.assertEqual(variables["namespace"]["allValue"], ".*")
