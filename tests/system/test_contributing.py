"""The worked example of CONTRIBUTING.md: put in place as it stands there, it passes the conformance suite."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
REGISTRY = "tillkeeper/gateways/registry.py"
# What is drawn at random is drawn of every gateway of the registry; here the fixed part of the suite must do.
CHOSEN = "acmepay and not random"
FEW = ("acmepay", "standard", "stripe")  # the registry without the others is read in a tenth of the time


def files() -> dict[str, str]:
    """By path, the blocks that stand below a line which names nothing but a file."""
    return dict(re.findall(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE))


def added_to_the_registry() -> tuple[str, str]:
    imported, listed = (line.removeprefix("+") for line in files()[REGISTRY].splitlines())
    return imported, listed


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the gateways and their suite, with the example put in as a reader would."""
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tillkeeper", tmp_path / "tillkeeper", ignore=without)
    shutil.copytree(ROOT / "tests" / "gateways", tmp_path / "tests" / "gateways", ignore=without)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for path, content in files().items():
        if path != REGISTRY:
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(content)
    (tmp_path / REGISTRY).write_text(registry())
    return tmp_path


def registry() -> str:
    """The registry with the two lines of the guide, and few of the other gateways."""
    imported, listed = added_to_the_registry()
    text = (ROOT / REGISTRY).read_text()
    first = next(line for line in text.splitlines() if ".gateway import " in line)
    text = text.replace(first, f"{imported}\n{first}")
    text = re.sub(r"^(    for \w+ in \(\n)", rf"\1{listed}\n", text, count=1, flags=re.MULTILINE)
    assert text.count(listed) == 1
    gone = {
        found[2]
        for found in re.finditer(r"^from tillkeeper\.gateways\.(\w+)\.gateway import (\w+)$", text, re.MULTILINE)
        if found[1] not in FEW
    }
    return re.sub(rf"^(from .* import|       ) ({'|'.join(gone)}),?\n", "", text, flags=re.MULTILINE)


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        check=False,
        cwd=tree,
        env=os.environ | {"PYTHONPATH": f"{tree}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_registry_is_written_as_the_guide_says():
    text = (ROOT / REGISTRY).read_text().splitlines()
    for line in added_to_the_registry():
        assert line.replace("acmepay", "stripe").replace("AcmePay", "Stripe") in text


def test_the_example_passes_the_conformance_suite(tree):
    files = sorted(map(str, tree.glob("tests/gateways/test_conformance*.py")))
    suite = run(tree, "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", CHOSEN)
    assert suite.returncode == 0, suite.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", suite.stdout)[1]) > 25, suite.stdout[-500:]


def test_the_example_is_written_as_ruff_wants_it(tree):
    written = [path for path in files() if path.endswith(".py") and path != REGISTRY]
    for command in (("ruff", "check", "--no-cache"), ("ruff", "format", "--no-cache", "--check")):
        checked = run(tree, *command, *written)
        assert checked.returncode == 0, checked.stdout
