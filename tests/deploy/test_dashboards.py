"""Dashboards, rules and alerts name what there is, and are what was built."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from deploy.grafana.__main__ import BOARDS, path_of, text_of
from deploy.grafana.panels import Board
from gateway.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
PROMISES = sorted((Path(__file__).parent / "prometheus").glob("*.yml"))
SUFFIXES = ("_bucket", "_sum", "_count")


def rules(name: str) -> list[dict[str, Any]]:
    """The rules of a file, of all its groups."""
    groups = yaml.safe_load((PROMETHEUS / name).read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def written(expr: str) -> str:
    """PromQL as Grafana sends it."""
    return expr.replace("$__rate_interval", "30s").replace("$job", ".*")


def every_expression() -> Iterator[str]:
    """What any panel, rule or alert asks for."""
    yield from (query.expr for board in BOARDS for panel in board.panels for query in panel.queries)
    yield from (rule["expr"] for name in ("rules.yml", "alerts.yml") for rule in rules(name))


def selectors(expr: str) -> list[promql_parser.VectorSelector]:
    """Every series selector in it."""
    found: list[promql_parser.VectorSelector] = []

    def look(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)

    promql_parser.walk(promql_parser.parse(written(expr)), pre_visit=look)
    return list({str(one): one for one in found}.values())


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_a_dashboards_json_is_what_is_built(board: Board) -> None:
    assert path_of(board).read_text("utf-8") == text_of(board), "run `python -m deploy.grafana`"
    assert all(panel.told.endswith(".") and 0 < len(panel.queries) <= 6 for panel in board.panels)


def test_there_is_no_dashboard_that_nobody_builds() -> None:
    assert {path_of(board) for board in BOARDS} == set((ROOT / "deploy" / "grafana").glob("*.json"))


def test_every_name_is_one_that_is_measured_or_recorded() -> None:
    families = list(Metrics().registry.collect())
    known = {f"{one.name}_total" if one.type == "counter" else one.name for one in families}
    series = known | {f"{one.name}{suffix}" for one in families if one.type == "histogram" for suffix in SUFFIXES}
    recorded = {rule["record"] for rule in rules("rules.yml")}
    named = {str(selector.name) for expr in every_expression() for selector in selectors(expr)}
    assert named <= series | recorded | {"up"}
    shown = named | {re.sub(r"_(bucket|sum|count)$", "", name) for name in named}
    assert known - shown == set(), "measured, and on no dashboard"


def test_every_alert_has_its_section_in_the_runbook_and_the_reverse() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    alerts = rules("alerts.yml")
    assert re.findall(r"^## (Twinpin\w+)$", runbook, re.MULTILINE) == [alert["alert"] for alert in alerts]
    for alert in alerts:
        assert alert["annotations"]["runbook"] == f"docs/runbook.md#{alert['alert'].lower()}"
        assert alert["labels"]["severity"] in ("page", "ticket")


def test_every_alert_is_tried() -> None:
    tried = {name for promise in PROMISES for name in re.findall(r"alertname: (\w+)", promise.read_text("utf-8"))}
    assert tried == {alert["alert"] for alert in rules("alerts.yml")}


def test_prometheus_takes_the_files() -> None:
    promtool("check", "config", PROMETHEUS / "prometheus.yml")


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.stem)
def test_alerts_fire_when_they_should_and_not_before(promise: Path) -> None:
    promtool("test", "rules", promise)


def promtool(*arguments: object) -> None:
    """Prometheus's own tool, which `make test` installs."""
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
