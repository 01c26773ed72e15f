"""What `pip install` brings: one name in site-packages, all that is read at run time, and commands that work without
the repository."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.system.first_order import fill_in, is_paid_by
from tillkeeper.sandbox.servers.child import free_ports

ROOT = Path(__file__).parents[2]
SOURCES = ("tillkeeper", "desk", "ingest", "workers", "sandbox")
ENVIRON = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


def run(*command: object, within: Path) -> str:
    """Runs a command where nothing leads to the repository; gives back what it printed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=within,
        env=ENVIRON,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    """The directory with the wheel and the source distribution of this repository."""
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "--directory", directory, within=ROOT)
    return directory


@pytest.fixture(scope="module")
def wheel(dist) -> Path:
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The programs of an environment with the wheel in it; what it depends on is lent by the tests' own."""
    venv, uv = tmp_path_factory.mktemp("elsewhere") / "venv", Path(sys.executable).with_name("uv")
    run(uv, "venv", "--quiet", "--offline", "--python", sys.executable, venv, within=venv.parent)
    python = venv / "bin" / "python"
    run(uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel, within=venv.parent)
    (site_packages,) = venv.glob("lib/python*/site-packages")
    # A plain path: the files .pth that stand there, the editable install's among them, are not read.
    (site_packages / "lent.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")
    return venv / "bin"


def test_one_name_comes_into_site_packages(wheel):
    with ZipFile(wheel) as archive:
        top = {name.split("/")[0] for name in archive.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"tillkeeper"}


def test_every_file_of_the_packages_is_in_the_wheel(wheel):
    listed = subprocess.run(["git", "ls-files", *SOURCES], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = {path for path in listed.split() if not (ROOT / path).is_symlink()}
    expected = {path if path.startswith("tillkeeper/") else f"tillkeeper/{path}" for path in files}
    expected |= {"tillkeeper/schema.sql", "tillkeeper/policy.toml"}
    expected |= {
        f"tillkeeper/deploy/{name}" for name in ("accounts.toml", "roles.sql", "tillkeeper.toml", "compose.yaml")
    }
    expected |= {f"tillkeeper/{path.relative_to(ROOT)}" for path in (ROOT / "migrations").iterdir()}
    folders = [path for name in ("systemd", "prometheus", "grafana") for path in (ROOT / "deploy" / name).rglob("*")]
    expected |= {f"tillkeeper/{path.relative_to(ROOT)}" for path in folders if path.is_file()}
    with ZipFile(wheel) as archive:
        assert expected - {*archive.namelist()} == set()


def test_a_wheel_of_the_source_distribution_has_the_same_modules(wheel, dist):
    (sources,) = dist.glob("*.tar.gz")
    with ZipFile(wheel) as archive, tarfile.open(sources) as packed:
        modules = {name for name in archive.namelist() if name.endswith(".py")}
        assert modules - {name.partition("/")[2] for name in packed.getnames()} == set()


def test_modules_and_data_are_found_under_the_one_name(installed, tmp_path):
    code = """
import importlib.util
import tillkeeper.desk.app, tillkeeper.ingest.server, tillkeeper.workers.process
import tillkeeper.notices.mail, tillkeeper.sandbox.command
from tillkeeper.policy import load_policy
from tillkeeper.store.schema.files import migrations, schema_sql
load_policy()
print(tillkeeper.__file__, len(migrations()), len(schema_sql()))
print([name for name in ("desk", "ingest", "workers", "sandbox") if importlib.util.find_spec(name)])
"""
    first, second = run(installed / "python", "-c", code, within=tmp_path).splitlines()
    path, found, characters = first.split()
    assert Path(path).is_relative_to(installed.parent)
    assert int(found) == len([*(ROOT / "migrations").iterdir()])
    assert int(characters) == len((ROOT / "schema.sql").read_text())
    assert second == "[]"


def test_an_installation_begins_away_from_the_repository(installed, tmp_path):
    tillkeeper, directory = installed / "tillkeeper", tmp_path / "till"
    run(tillkeeper, "init", directory, "--gateway", "stripe", "--yes", within=tmp_path)
    explained = (directory / "tillkeeper.toml").read_text().splitlines()[0].removeprefix("# Every key is explained in ")
    assert Path(explained.rstrip(",")).is_relative_to(installed.parent)
    assert Path(explained.rstrip(",")).read_text() == (ROOT / "deploy" / "tillkeeper.toml").read_text()
    assert run(tillkeeper, "db", "roles", within=tmp_path) == (ROOT / "deploy" / "roles.sql").read_text()
    told = subprocess.run(
        [tillkeeper, "check", "--config", directory / "tillkeeper.toml", "--json"],
        cwd=tmp_path,
        env=ENVIRON,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert told.returncode == 1
    lines = json.loads(told.stdout)["lines"]
    assert [line["says"] for line in lines if line["what"] == "policy"] == [f"{directory}/policy.toml"]


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_the_first_order_is_paid_away_from_the_repository(installed, tmp_path, empty_database):
    """`make installed` does the same in an empty Debian, with nothing lent."""
    tillkeeper, [port] = installed / "tillkeeper", free_ports(1)
    run(tillkeeper, "init", "till", "--gateway", "stripe", "--yes", "--database-url", empty_database, within=tmp_path)
    token = fill_in(tmp_path / "till" / "tillkeeper.env", port)
    config = str(tmp_path / "till" / "tillkeeper.toml")
    await is_paid_by([str(tillkeeper), "run", "--config", config], environ=ENVIRON, token=token, port=port)
    run(tillkeeper, "audit", "--config", config, within=tmp_path)


def test_the_commands_work_away_from_the_repository(installed, tmp_path):
    tillkeeper, directory = installed / "tillkeeper", tmp_path / "captured"
    assert "sandbox" in run(tillkeeper, "--help", within=tmp_path)
    capture = (tillkeeper, "sandbox", "--capture", directory, "--gateways", "stripe,adyen,square", "--json")
    config, files = json.loads(run(*capture, within=tmp_path)).values()
    genuine = [path for path in files if ".genuine." in path]
    lines = run(tillkeeper, "inspect", "--json", "--config", config, *genuine, within=tmp_path).splitlines()
    assert len(lines) == len(genuine) > 10
    assert all(json.loads(line)["verified"] for line in lines)
