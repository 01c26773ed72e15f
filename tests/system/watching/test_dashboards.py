"""The dashboards of deploy/grafana, and the recording rules: a real Prometheus has an answer to every query."""

import json
import math
import re
import runpy
from pathlib import Path

import pytest
import yaml

from tests.system.receiving import PATH, a_delivery, until
from tests.system.watching.stack import Stack, Watched, watching
from tillkeeper import database_metrics, telemetry  # noqa: F401 - they define what DEFINITIONS lists
from tillkeeper.metric_definitions import DEFINITIONS

ROOT = Path(__file__).parents[3]
GRAFANA = ROOT / "deploy" / "grafana"
NOBODY = "http://127.0.0.1:1/"  # the shop's system is away
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))


def panels_of(path: Path) -> list[dict]:
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


def queries() -> dict[str, str]:
    """Each query with what it is for; a variable is all accounts."""
    return {
        f"{path.stem}: {panel['title']}: {target['legendFormat']}": target["expr"].replace("$account", ".*")
        for path in DASHBOARDS
        for panel in panels_of(path)
        for target in panel["targets"]
    }


def recorded() -> dict[str, str]:
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules" / "recording.yml").read_text())["groups"]
    return {rule["record"]: rule["record"] for group in groups for rule in group["rules"]}


async def unanswered(watched: Watched, asked: dict[str, str]) -> list[str]:
    """The queries that yield no number, or not the labels of their legend."""
    return [what for what, query in asked.items() if not is_answer(what, await watched.prometheus.value(query))]


def is_answer(what: str, samples: list[dict]) -> bool:
    labels = re.findall(r"{{(\w+)}}", what)
    numbers = [sample for sample in samples if math.isfinite(float(sample["value"][1]))]
    return any(all(label in sample["metric"] for label in labels) for sample in numbers) or (
        bool(numbers) and "Open, by kind" in what  # none is open: a line at 0
    )


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.prometheus
@pytest.mark.usefixtures("prometheus_installed")
async def test_every_query_of_dashboards_and_rules_has_an_answer_of_a_running_tillkeeper(tmp_path, database):
    async with Stack.running(tmp_path, database=database, shop_url=NOBODY) as stack, watching(stack) as watched:
        assert await stack.register("ORDER-1") == 201
        for number in range(3):
            assert await stack.post(PATH, *a_delivery(f"evt_{number}")) == 200
        assert await stack.post(PATH, *a_delivery("evt_forged", secret="whsec_of_somebody_else")) == 401
        left = queries() | recorded()

        async def all_answered() -> bool:
            nonlocal left
            left = {what: left[what] for what in await unanswered(watched, left)}
            if "tillkeeper: Accepted, by account: {{account}}" in left:  # rates need a rise between two scrapes
                await stack.post(PATH, *a_delivery())
            return not left

        try:
            await until(all_answered)
        except TimeoutError:
            pytest.fail(f"no answer to: {left}")
        assert [rule["name"] for rule in await watched.prometheus.rules() if rule["health"] != "ok"] == []
        assert await unanswered(watched, {"nothing": "tillkeeper_no_such_metric"}) == ["nothing"]


async def test_what_a_running_tillkeeper_tells_is_defined_with_its_labels(tmp_path, database):
    values = {metric.name: metric.labels for metric in DEFINITIONS}
    async with Stack.running(tmp_path, database=database, shop_url=NOBODY) as stack:
        assert await stack.post(PATH, *a_delivery()) == 200
        await stack.reads("work", 'tillkeeper_applied_events_total{outcome="waiting"}', lambda events: events == 1)
        await stack.reads("sweep", "tillkeeper_database_gauges_timestamp_seconds", lambda seconds: seconds > 0)
        told = [series for role in stack.processes for series in await stack.figures(role)]
    ours = [series for series in told if series.startswith("tillkeeper_") and "_created" not in series]
    assert ours
    for series in ours:
        name, _, labels = series.partition("{")
        defined = values.get(re.sub("_(bucket|count|sum)$", "", name)) if name not in values else values[name]
        assert defined is not None, series
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            if label != "le":
                assert isinstance(defined[label], str) or value in defined[label], series


def test_what_is_printed_of_the_dashboards_is_what_stands_there():
    pages = runpy.run_path(str(ROOT / "docs" / "dashboards.py"))["pages"]()
    assert {path: path.read_text() for path in DASHBOARDS} == pages


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_fill_their_rows_and_overlap_nowhere(path):
    told = json.loads(path.read_text())["panels"]
    cells: set[tuple[int, int]] = set()
    for panel in told:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells
        assert place["x"] + place["w"] <= 24
        cells |= own
    assert len(cells) == 24 * (1 + max(y for _, y in cells)), "there is a gap"
    assert len({panel["id"] for panel in told}) == len(told)


def test_grafana_is_told_where_prometheus_and_the_dashboards_are():
    [source] = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "$PROMETHEUS_URL")
    [provider] = yaml.safe_load((GRAFANA / "provisioning/dashboards/tillkeeper.yml").read_text())["providers"]
    assert provider["type"] == "file"
