"""A wheel in an empty Debian, for an ordinary user without the repository: from `pip install` to a paid order.

`make installed` runs it, as root: debootstrap makes the Debian once, in .run/clean-root, and it is reused.  PostgreSQL
is the tests' own, which the user reaches over the loopback, as a database that somebody else runs.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.first_order import fill_in, is_paid_by
from tillkeeper.sandbox.servers.child import free_ports

ROOT = Path(__file__).parents[2]
CLEAN = ROOT / ".run" / "clean-root"
SUITE = "bookworm"
USER = 4242

pytestmark = [pytest.mark.installed, pytest.mark.timeout(1800)]


def ended(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)


def done(*command: object, **options: object) -> str:
    """What a command printed; its failure is the test's."""
    result = ended(*command, **options)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


@pytest.fixture
async def empty_database(postgres_server):
    name = f"empty_{secrets.token_hex(4)}"
    yield await postgres_server.create_database(name)
    await postgres_server.drop_database(name)


@pytest.fixture(scope="module")
def debian() -> Path:
    """An empty Debian with Python, and nothing of ours."""
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        pytest.fail("this needs root and debootstrap: apt-get install debootstrap, then make installed")
    if not (CLEAN / "usr" / "bin" / "python3").exists():
        shutil.rmtree(CLEAN, ignore_errors=True)
        CLEAN.parent.mkdir(exist_ok=True)
        done("debootstrap", "--variant=minbase", "--include=python3,python3-venv", SUITE, CLEAN, timeout=1500)
    return CLEAN


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> Path:
    """Our wheel, and those of what it needs, as a mirror of PyPI would have them."""
    directory = tmp_path_factory.mktemp("wheels")
    done(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", directory, cwd=ROOT)
    python = Path(sys.base_prefix) / "bin" / "python3"
    locked = ("--require-hashes", "--requirement", ROOT / "requirements.lock")
    done(python, "-m", "pip", "download", "--quiet", "--only-binary=:all:", *locked, "--dest", directory, timeout=900)
    return directory


class Shop:
    """A user of that Debian, with a home and no rights."""

    def __init__(self, root: Path, home: str) -> None:
        self._root = root
        self.home = home

    def command(self, line: str) -> list[str]:
        clean = ["/usr/bin/env", "-i", f"HOME={self.home}", f"PATH={self.home}/venv/bin:/usr/bin:/bin", "LANG=C.UTF-8"]
        return ["chroot", f"--userspec={USER}:{USER}", str(self._root), *clean, "sh", "-euc", f"cd {self.home}; {line}"]

    def path(self, name: str) -> Path:
        return self._root / self.home.removeprefix("/") / name


@pytest.fixture
def shop(debian, wheels):
    home = f"/home/shop-{secrets.token_hex(4)}"
    place = debian / home.removeprefix("/")
    shutil.copytree(wheels, place / "wheels")
    for path in (place, *place.rglob("*")):
        os.chown(path, USER, USER)
    yield Shop(debian, home)
    shutil.rmtree(place)


async def test_an_ordinary_user_gets_from_pip_install_to_a_paid_order(shop, empty_database):
    assert "ModuleNotFoundError" in ended(*shop.command("python3 -c 'import tillkeeper'")).stderr
    done(
        *shop.command(
            "python3 -m venv venv; pip install --quiet --no-index --find-links wheels tillkeeper; rm -r wheels"
        )
    )
    assert done(*shop.command("tillkeeper --version")).startswith("tillkeeper 0.")

    told = done(*shop.command(f"tillkeeper init till --gateway stripe --database-url {empty_database} --yes"))
    next_commands = re.findall(r"^  \d\. (.+)$", told, re.MULTILINE)
    [port] = free_ports(1)
    token = fill_in(shop.path("till/tillkeeper.env"), port)

    checked = ended(*shop.command(f"{next_commands[1]} --json"))
    left = {line["what"]: line["do"] for line in json.loads(checked.stdout)["lines"] if line["state"] == "to do"}
    assert checked.returncode == 1
    assert sorted(left) == ["public URL", "schema"]

    await is_paid_by(shop.command(f"exec {next_commands[2]}"), environ=None, token=token, port=port)
    assert "paid" in done(*shop.command("tillkeeper order show ORDER-1 --config till/tillkeeper.toml"))
    done(*shop.command("tillkeeper audit --config till/tillkeeper.toml"))
