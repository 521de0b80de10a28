"""prometheusrule.yaml: the rules as an object of the Prometheus operator.

`python3 tests/observability/prometheusrule.py` writes it anew, from rules.yaml.
"""

from pathlib import Path

FOLDER = Path(__file__).parents[2] / "deploy" / "observability"
RULES = FOLDER / "rules.yaml"
OBJECT = FOLDER / "prometheusrule.yaml"

HEAD = """\
# Made of rules.yaml by tests/observability/prometheusrule.py: change that, not this.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: data-storage
  labels:
    app.kubernetes.io/name: data-storage
    app.kubernetes.io/component: observability
spec:
"""


def prometheus_rule(rules: str) -> str:
    """The object with these rules, their comments included."""
    lines = rules.splitlines()
    return HEAD + "".join(f"  {line}\n" if line else "\n" for line in lines)


if __name__ == "__main__":
    OBJECT.write_text(prometheus_rule(RULES.read_text()))
