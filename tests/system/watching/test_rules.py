"""The rules of deploy/prometheus: promtool reads them, and each alert fires when it should and not before."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.system.watching.alert_cases import CASES
from tillkeeper import database_metrics, telemetry  # noqa: F401 - they define what DEFINITIONS lists
from tillkeeper.metric_definitions import DEFINITIONS

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
RUNBOOKS = ROOT / "docs" / "runbooks.md"

pytestmark = [pytest.mark.prometheus, pytest.mark.usefixtures("prometheus_installed")]


def alerts() -> dict[str, dict]:
    groups = yaml.safe_load((PROMETHEUS / "rules" / "alerts.yml").read_text())["groups"]
    return {rule["alert"].removeprefix("Tillkeeper"): rule for group in groups for rule in group["rules"]}


def promtool(*arguments: object, cwd: Path = PROMETHEUS) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *map(str, arguments)], check=False, cwd=cwd, capture_output=True, text=True, timeout=120
    )


def told_by_promtool(directory: Path, tests: list[dict]) -> subprocess.CompletedProcess[str]:
    path = directory / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": list(map(str, RULES)), "evaluation_interval": "1m", "tests": tests}))
    return promtool("test", "rules", path)


def a_test(name: str, series: dict[str, str], at: dict[int, list[dict]]) -> dict:
    return {
        "interval": "1m",
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": f"Tillkeeper{name}", "exp_alerts": expected}
            for minute, expected in at.items()
        ],
    }


def expected(name: str) -> dict:
    case, rule = CASES[name], alerts()[name]
    return {
        "exp_labels": {"severity": rule["labels"]["severity"], **case.labels},
        "exp_annotations": {"summary": case.summary, "runbook_url": rule["annotations"]["runbook_url"]},
    }


@pytest.mark.parametrize("config", ["prometheus.yml", "prometheus-compose.yml"])
def test_promtool_finds_nothing_wrong_with_the_configuration_and_its_rules(config):
    checked = promtool("check", "config", "--lint=all", "--lint-fatal", config)
    assert checked.returncode == 0, checked.stderr


def test_every_alert_has_a_case_here():
    assert CASES.keys() == alerts().keys()


def test_each_alert_fires_after_its_time_and_not_before(tmp_path):
    tests = []
    for name, case in CASES.items():
        minutes = minutes_of(alerts()[name]["for"])
        assert minutes < case.fires
        tests.append(a_test(name, case.at, {minutes - 1: [], case.fires: [expected(name)]}))
    told = told_by_promtool(tmp_path, tests)
    assert told.returncode == 0, told.stdout + told.stderr


def test_each_alert_stays_quiet_while_things_are_as_usual(tmp_path):
    told = told_by_promtool(tmp_path, [a_test(name, case.quiet, {case.fires: []}) for name, case in CASES.items()])
    assert told.returncode == 0, told.stdout + told.stderr


def test_promtool_sees_an_alert_that_does_not_fire(tmp_path):
    case = CASES["Parked"]
    told = told_by_promtool(tmp_path, [a_test("Parked", case.quiet, {case.fires: [expected("Parked")]})])
    assert told.returncode == 1


def test_every_metric_that_rules_name_exists():
    known = {metric.name for metric in DEFINITIONS}
    known |= {f"{metric.name}_bucket" for metric in DEFINITIONS if metric.type == "histogram"}
    for path in RULES:
        assert set(re.findall(r"\btillkeeper_[a-z_]+", path.read_text())) <= known


def test_every_label_that_rules_ask_for_is_one_of_the_metric():
    values = {metric.name: metric.labels for metric in DEFINITIONS}
    for path in RULES:
        for name, selector in re.findall(r"\b(tillkeeper_[a-z_]+)\{([^}]*)\}", path.read_text()):
            for label, words in re.findall(r'(\w+)=~?"([^"]*)"', selector):
                known = values[name][label]
                assert isinstance(known, str) or set(words.split("|")) <= set(known), (name, label, words)


def minutes_of(duration: str) -> int:
    number, unit = int(duration[:-1]), duration[-1]
    return number * {"m": 1, "h": 60}[unit]


def test_each_alert_has_a_runbook_that_says_what_to_do():
    sections = {part.split("\n", 1)[0]: part for part in RUNBOOKS.read_text().split("\n### ")[1:]}
    assert sections.keys() == {f"Tillkeeper{name}" for name in alerts()}
    for name, section in sections.items():
        assert re.findall(r"^\*\*(\w[\w ]*):\*\*", section, re.MULTILINE) == [
            *("Means", "Look at", "Run", "Desk", "Terminal", "Over")
        ], name
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#tillkeeper{name.lower()}"
        assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
