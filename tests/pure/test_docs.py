"""What docs/ names exists: metrics, log events, failure classes, files, tests, statements."""

import ast
import re
import runpy
import tomllib
from pathlib import Path

import pytest
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

from tillkeeper import database_metrics, telemetry
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.metric_definitions import DEFINITIONS
from tillkeeper.tracing.spans import LOG_FIELD

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
LEVELS = ("debug", "info", "warning", "error", "exception")
FOLDERS = ("tillkeeper", "desk", "ingest", "workers", "sandbox", "tests", "deploy", "docs", "bench")


def told_in_tables(text: str, section: str) -> set[str]:
    """The names in the first column of a section's table."""
    body = text.split(f"## {section}\n")[1].split("\n## ", maxsplit=1)[0]
    first = [line.split("|")[1] for line in body.splitlines() if line.startswith("| `")]
    return {name for cell in first for name in re.findall(r"`([^`]+)`", cell)}


def exposed_names() -> set[str]:
    metrics = [var for var in (vars(telemetry) | vars(database_metrics)).values() if isinstance(var, MetricWrapperBase)]
    return {f"{metric._name}_total" if isinstance(metric, Counter) else metric._name for metric in metrics}


def logged_events() -> set[str]:
    return {
        node.args[0].value
        for folder in ("tillkeeper", "desk", "ingest", "workers")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr) in {("log", level) for level in LEVELS}
    }


def test_every_metric_is_defined_with_its_labels_and_meaning():
    assert {metric.name for metric in DEFINITIONS} == exposed_names()


def test_every_metric_that_docs_name_exists():
    named = {name for doc in DOCS for name in re.findall(r"`(tillkeeper_[a-z_]+)`", doc.read_text())}
    assert named <= exposed_names() | {LOG_FIELD}


def test_every_log_event_is_explained_to_operators():
    assert told_in_tables(OPERATIONS, "Log events") == logged_events()


def test_every_failure_class_is_explained_in_both_languages():
    text = (ROOT / "docs" / "failures.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert [row[0].strip("`") for row in rows] == [str(each) for each in FailureClass]
    for _, name_zh, meaning, meaning_zh in rows:
        assert re.search(r"[\u4e00-\u9fff]", name_zh)
        assert meaning.isascii()
        assert re.search(r"[\u4e00-\u9fff]", meaning_zh)


def test_what_is_printed_of_the_gateways_is_what_stands_there():
    printing = runpy.run_path(str(ROOT / "docs" / "gateways.py"))
    assert printing["page"]() == printing["PAGE"].read_text()
    assert printing["accounts"]() == printing["ACCOUNTS"].read_text()


def test_what_is_printed_of_the_states_is_what_stands_there():
    printing = runpy.run_path(str(ROOT / "docs" / "states.py"))
    assert printing["page"]() == printing["PAGE"].read_text()


def test_what_is_printed_of_the_rights_is_what_stands_there():
    printing = runpy.run_path(str(ROOT / "docs" / "access.py"))
    assert printing["page"]() == printing["PAGE"].read_text()


def test_what_is_printed_of_the_metrics_is_what_stands_there():
    printing = runpy.run_path(str(ROOT / "docs" / "metrics.py"))
    assert printing["page"]() == printing["PAGE"].read_text()


def test_the_printed_accounts_name_each_setting_once():
    printed = (ROOT / "deploy" / "accounts.toml").read_text()
    accounts = tomllib.loads(re.sub(r"^#(\w+ = )", r"\1", printed, flags=re.MULTILINE))
    told = {account["gateway"]: set(account) for account in accounts["accounts"].values()}
    assert told == {name: set(gateway.settings.model_fields) for name, gateway in GATEWAYS.items()}


@pytest.mark.parametrize("doc", [*DOCS, ROOT / "CONTRIBUTING.md"], ids=lambda doc: doc.name)
def test_files_and_tests_that_a_doc_names_exist(doc):
    for named in re.findall(r"`([\w./-]+(?:::\w+)?)`", doc.read_text()):
        path, _, test = named.partition("::")
        if path.startswith(tuple(f"{folder}/" for folder in FOLDERS)) and "acmepay" not in path:
            assert (ROOT / path).exists(), named
            assert not test or re.search(rf"^ *(async )?def {test}\(", (ROOT / path).read_text(), re.MULTILINE), named


@pytest.mark.parametrize("doc", [*DOCS, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda doc: doc.name)
def test_links_to_other_files_lead_somewhere(doc):
    for link in re.findall(r"\]\(([\w./-]+)\)", doc.read_text()):
        assert (doc.parent / link).exists(), link


def test_commands_of_make_that_a_doc_names_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        name
        for doc in [*DOCS, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
        for name in re.findall(r"`make ([a-z-]+)", doc.read_text())
    }
    assert named <= targets
