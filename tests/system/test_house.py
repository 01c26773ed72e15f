"""Who may import whom: the contracts in pyproject.toml hold, know every module, and notice a breach."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("tillkeeper", "desk", "ingest", "workers", "sandbox")
LINES_MAX = 400


def contracts() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        check=False,
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the house, to be spoilt."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=without, symlinks=True)
    return tmp_path


def test_the_house_keeps_its_rules(tree):
    verdict = lint_imports(tree)
    assert verdict.returncode == 0, verdict.stdout


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("tillkeeper/domain/__init__.py", "tillkeeper.clock"),
        ("tillkeeper/domain/policy.py", "tillkeeper.domain.order.status"),
        ("tillkeeper/gateways/__init__.py", "tillkeeper.store"),
        ("tillkeeper/gateways/kit/__init__.py", "tillkeeper.gateways.base"),
        ("tillkeeper/gateways/klarna/__init__.py", "tillkeeper.gateways.stripe.gateway"),
        ("tillkeeper/store/__init__.py", "tillkeeper.lanes"),
        ("tillkeeper/lanes/__init__.py", "tillkeeper.gateways"),
        ("tillkeeper/loops.py", "tillkeeper.ingest"),
        ("ingest/__init__.py", "tillkeeper.workers"),
        ("workers/__init__.py", "tillkeeper.sandbox"),
        ("ingest/__init__.py", "tillkeeper.sandbox"),
        ("desk/__init__.py", "tillkeeper.workers"),
        ("desk/__init__.py", "tillkeeper.sandbox"),
        ("workers/__init__.py", "tillkeeper.desk"),
        ("tillkeeper/store/__init__.py", "tillkeeper.desk"),
        ("sandbox/story.py", "tillkeeper.desk"),
        ("tillkeeper/cli/run.py", "tillkeeper.sandbox.accounts"),
        ("sandbox/story.py", "tillkeeper.sandbox.story_generator"),
    ],
)
def test_a_planted_import_breaks_the_rules(tree, module, imported):
    with (tree / module).open("a") as source:
        source.write(f"\nimport {imported}\n")
    verdict = lint_imports(tree)
    assert verdict.returncode == 1
    assert "BROKEN" in verdict.stdout


def test_every_module_has_its_place():
    (house,) = [contract for contract in contracts()["contracts"] if contract["name"] == "The house"]
    placed = {
        name.strip("()") for layer in house["layers"] for name in layer.replace("|", " ").replace(":", " ").split()
    }
    top = [path for path in (ROOT / "tillkeeper").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    modules = {f"tillkeeper.{path.stem}" for path in top if path.stem != "__init__"}
    assert modules - placed == set()


def product_modules() -> list[Path]:
    return sorted(module for package in PACKAGES for module in (ROOT / package).rglob("*.py"))


def test_a_module_fits_four_hundred_lines():
    long = [str(module) for module in product_modules() if module.read_text().count("\n") > LINES_MAX]
    assert long == []


def test_a_class_name_stands_for_one_thing():
    """A gateway may call its own objects as its neighbours do, and the API's types mirror what they tell of."""
    where: dict[str, list[str]] = {}
    for module in product_modules():
        if "gateways" in module.parts or module.is_relative_to(ROOT / "desk" / "api" / "types"):
            continue
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(str(module.relative_to(ROOT)))
    assert {name: modules for name, modules in where.items() if len(modules) > 1} == {}
