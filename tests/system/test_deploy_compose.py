"""Compose: what it starts is started here as plain processes, behind a real nginx with TLS, and an order is paid."""

import asyncio
import json
import os
import re
import shlex
import shutil
import ssl
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from typer.testing import CliRunner
from yarl import URL

from tests.system.checking import Authority, an_authority
from tests.system.commands import ENVIRON, Serving, in_process
from tests.system.deploying import DEPLOY, ROOT
from tests.system.receiving import PATH, SECRET, a_delivery, until
from tillkeeper.cli import app
from tillkeeper.sandbox.servers import RabbitMQ
from tillkeeper.sandbox.servers.child import free_ports
from tillkeeper.settings import load_settings

ROLES = ("ingest", "work", "sweep", "notify", "desk")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = {name: it for name, it in COMPOSE["services"].items() if it["image"].startswith("tillkeeper:")}
PORTS = ("INGEST__PORT", "DESK__PORT", *(f"{role.upper()}__METRICS_PORT" for role in ROLES))


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """What `tillkeeper init --for compose` writes, with the secrets of a gateway filled in."""
    directory = tmp_path_factory.mktemp("compose")
    ended = in_process("init", directory, "--gateway", "stripe", "--for", "compose", "--yes", told=b"")
    assert ended.code == 0, ended.err
    env_file = directory / "config" / "tillkeeper.env"
    text = env_file.read_text().replace("STRIPE_WEBHOOK_SECRET=", f"STRIPE_WEBHOOK_SECRET={SECRET}")
    env_file.write_text(text.replace("STRIPE_API_KEY=", "STRIPE_API_KEY=sk_test_of_the_compose_55"))
    return directory


# --- what stands in it ------------------------------------------------------------------------------------------------


def test_every_port_is_published_on_the_loopback_alone():
    published = [port for each in COMPOSE["services"].values() for port in each.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_every_role_of_tillkeeper_run_has_a_service():
    code = (ROOT / "tillkeeper" / "cli" / "run.py").read_text()
    assert set(re.findall(r'keep_running_child\(_role\("(\w+)"\)', code)) == set(ROLES)
    assert set(ROLES) <= {each["command"][0] for each in OURS.values()}


def test_services_name_only_what_init_writes(written):
    for service in COMPOSE["services"].values():
        assert set(service.get("depends_on", ())) <= set(COMPOSE["services"])
        secrets = {each if isinstance(each, str) else each["source"] for each in service.get("secrets", ())}
        assert secrets <= set(COMPOSE["secrets"])
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            assert (written / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], mount
    assert all((written / each["file"]).is_file() for each in COMPOSE["secrets"].values())


def test_logs_of_every_service_are_rotated():
    for service in COMPOSE["services"].values():
        assert service["logging"] == {"driver": "json-file", "options": {"max-size": "20m", "max-file": "5"}}


def test_what_changes_while_it_runs_is_mounted_as_a_folder(written):
    for service in OURS.values():
        assert service["volumes"] == ["./config:/etc/tillkeeper:ro"]
        assert service["environment"]["TILLKEEPER_CONFIG"] == "/etc/tillkeeper/tillkeeper.toml"
    named = re.findall(r'"(/[^"]+)"', (written / "config" / "tillkeeper.toml").read_text())
    assert {str(Path(path).parent) for path in named} == {"/etc/tillkeeper"}
    assert {Path(path).name for path in named} <= {path.name for path in (written / "config").iterdir()}


def test_containers_run_as_the_owner_of_the_secrets(written):
    user, group = re.findall(r"=(\d+)$", (written / ".env").read_text(), re.MULTILINE)
    env_file = (written / "config" / "tillkeeper.env").stat()
    assert (int(user), oct(env_file.st_mode & 0o777)) == (env_file.st_uid, "0o600")
    assert user != "0"
    assert {each["user"] for each in OURS.values()} == {"${TILLKEEPER_UID:-10001}:${TILLKEEPER_GID:-10001}"}
    assert oct((written / "secrets").stat().st_mode & 0o777) == "0o700"
    assert group != "0"


def test_the_env_file_leads_to_the_servers_of_compose(written):
    settings = load_settings_of(written)
    postgres = COMPOSE["services"]["postgres"]["environment"]
    password = (written / "secrets" / "postgres_password").read_text().strip()
    assert settings.database_url == (
        f"postgresql://{postgres['POSTGRES_USER']}:{password}@postgres:5432/{postgres['POSTGRES_DB']}"
    )
    user, broker_password = re.findall(r" = (\w+)", (written / "secrets" / "rabbitmq_user.conf").read_text())
    [vhost] = re.findall(r"^default_vhost = (\w+)$", (DEPLOY / "rabbitmq.conf").read_text(), re.MULTILINE)
    assert settings.broker_url == f"amqp://{user}:{broker_password}@rabbitmq:5672/{vhost}"


def load_settings_of(written: Path, **environ: str) -> Any:
    here = {"TILLKEEPER_ENV_FILE": str(written / "config" / "tillkeeper.env")}
    return load_settings(written / "config" / "tillkeeper.toml", here | environ)


@pytest.mark.parametrize("name", ROLES)
def test_health_checks_and_prometheus_ask_the_ports_that_are_set(written, name):
    service = OURS[name]
    environ = {key: str(value) for key, value in service["environment"].items() if key != "TILLKEEPER_CONFIG"}
    section = getattr(load_settings_of(written, **environ), name)
    assert section.metrics_host == "0.0.0.0"
    assert service["expose"] == [str(section.metrics_port)]
    if "healthcheck" in service:
        assert f":{section.metrics_port}/healthz" in service["healthcheck"]["test"][-1]
    scraped = yaml.safe_load((written / "prometheus" / "prometheus-compose.yml").read_text())["scrape_configs"][0]
    assert {"names": [name], "type": "A", "port": section.metrics_port} in scraped["dns_sd_configs"]


def test_the_commands_exist():
    for service in OURS.values():
        assert CliRunner().invoke(app, [*service["command"], "--help"]).exit_code == 0


# --- run as it says ---------------------------------------------------------------------------------------------------


class Stack:
    """The services of compose as processes of this machine: hosts, ports and paths are others, nothing else."""

    def __init__(self, written: Path, *, database_url: str, broker_url: str) -> None:
        self.config = written / "config"
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        text = (self.config / "tillkeeper.env").read_text()
        for name, url in {"DATABASE_URL": database_url, "BROKER_URL": broker_url}.items():
            text = re.sub(rf"^{name}=.*$", f"{name}={url}", text, flags=re.MULTILINE)
        (self.config / "tillkeeper.env").write_text(text)
        toml = self.config / "tillkeeper.toml"
        toml.write_text(toml.read_text().replace("/etc/tillkeeper", str(self.config)))
        [self.token] = re.findall(r"^API_TOKEN=(.+)$", text, re.MULTILINE)

    def environ(self, service: dict[str, Any]) -> dict[str, str]:
        environ = {name: str(value) for name, value in service["environment"].items()}
        environ["TILLKEEPER_CONFIG"] = str(self.config / "tillkeeper.toml")
        for key, port in self.ports.items():
            if f"TILLKEEPER_{key}" in environ:
                environ[f"TILLKEEPER_{key}"] = str(port)
        return ENVIRON | environ

    def command(self, service: dict[str, Any]) -> list[str]:
        return [str(ROOT / ".venv" / "bin" / "tillkeeper"), *service["command"]]

    @asynccontextmanager
    async def running(self, name: str) -> AsyncIterator[Serving]:
        service = OURS[name]
        child = await asyncio.create_subprocess_exec(
            *self.command(service), env=self.environ(service), stdin=DEVNULL, stderr=PIPE
        )
        try:
            yield Serving(child)
        finally:
            with suppress(ProcessLookupError):
                child.terminate()
            await asyncio.wait_for(child.communicate(), 90)

    async def is_healthy(self, name: str) -> bool:
        """What Docker would ask."""
        if "healthcheck" not in OURS[name]:
            return True
        _, *check = OURS[name]["healthcheck"]["test"]
        declared = OURS[name]["environment"][f"TILLKEEPER_{name.upper()}__METRICS_PORT"]
        here = self.ports[f"{name.upper()}__METRICS_PORT"]
        line = shlex.join(check).replace(f":{declared}/", f":{here}/")
        asked = await asyncio.create_subprocess_exec("sh", "-c", line, stderr=DEVNULL)
        return await asked.wait() == 0


NGINX = """
daemon off;
pid {directory}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/site.conf;
}}
"""


@pytest.fixture
def nginx() -> str:
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("nginx is not installed (`make tools`)")
        pytest.skip("nginx is not installed (`make tools`)")
    return found


@asynccontextmanager
async def proxied(
    nginx: str, directory: Path, authority: Authority, *, to_port: int, to_desk: int
) -> AsyncIterator[str]:
    """deploy/nginx.conf, with another port, other certificates, upstreams and people."""
    [port] = free_ports(1)
    pem = authority.certificate()
    site = (DEPLOY / "nginx.conf").read_text()
    for shipped, here, times in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;", 2),
        ("listen [::]:443 ssl;", "", 2),
        ("server 127.0.0.1:8080;", f"server 127.0.0.1:{to_port};", 1),
        ("server 127.0.0.1:8090;", f"server 127.0.0.1:{to_desk};", 1),
        ("allow 10.0.0.0/8; # people", "allow 127.0.0.1;", 1),
        *((f"/etc/ssl/{name}.example.com/fullchain.pem", str(pem), 1) for name in ("pay", "desk")),
        *((f"/etc/ssl/{name}.example.com/privkey.pem", str(pem), 1) for name in ("pay", "desk")),
    ):
        assert site.count(shipped) == times
        site = site.replace(shipped, here)
    (directory / "site.conf").write_text(site)
    (directory / "nginx.conf").write_text(NGINX.format(directory=directory))
    command = [nginx, "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", "stderr"]
    tested = await asyncio.create_subprocess_exec(*command, "-t", stderr=PIPE)
    _, told = await tested.communicate()
    assert tested.returncode == 0, told.decode()
    child = await asyncio.create_subprocess_exec(*command, stderr=DEVNULL)
    try:
        yield f"https://127.0.0.1:{port}"
    finally:
        child.terminate()
        await child.wait()


@pytest.mark.long
@pytest.mark.rabbitmq
@pytest.mark.timeout(300)
async def test_what_compose_starts_takes_an_order_from_webhook_to_paid(
    written, tmp_path, nginx, empty_database, broker_url
):
    shutil.copytree(written, tmp_path / "till")
    stack = Stack(tmp_path / "till", database_url=empty_database, broker_url=broker_url)
    init = OURS["init"]
    made = await asyncio.create_subprocess_exec(*stack.command(init), env=stack.environ(init), stdout=DEVNULL)
    assert await asyncio.wait_for(made.wait(), 90) == 0
    authority = an_authority(tmp_path)
    async with AsyncExitStack() as inside:
        for role in ROLES:
            await inside.enter_async_context(stack.running(role))
        port = stack.ports["INGEST__PORT"]
        to_desk = stack.ports["DESK__PORT"]
        proxy = proxied(nginx, tmp_path, authority, to_port=port, to_desk=to_desk)
        url = await inside.enter_async_context(proxy)
        trusting = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=authority.path))
        jar = aiohttp.CookieJar(unsafe=True)
        outside = await inside.enter_async_context(aiohttp.ClientSession(url, connector=trusting, cookie_jar=jar))
        own = {"Authorization": f"Bearer {stack.token}"}
        within = await inside.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=own))
        await until(lambda: answers(outside), within_s=120)
        await pays(outside, within)
        for role in ROLES:
            await until(lambda role=role: stack.is_healthy(role), within_s=60)
        await only_webhooks_are_public(outside)
        await people_come_by_https(stack, outside)
        await a_new_secret_counts_once_its_file_is_there(stack, outside)


async def answers(outside: aiohttp.ClientSession) -> bool:
    try:
        async with outside.head(PATH) as answer:
            return answer.status == 405
    except aiohttp.ClientError:
        return False


async def posted(outside: aiohttp.ClientSession, event_id: str, secret: str = SECRET) -> int:
    headers, body = a_delivery(event_id, secret=secret)
    async with outside.post(PATH, headers=headers, data=body) as answer:
        return answer.status


async def pays(outside: aiohttp.ClientSession, within: aiohttp.ClientSession) -> None:
    order = {"amount": 12900, "currency": "CNY", "accounts": ["stripe-main"]}
    async with within.put("/orders/ORDER-1", json=order) as answer:
        assert answer.status == 201, await answer.text()
    assert await posted(outside, "evt_forged", "whsec_of_somebody_else") == 401
    assert await posted(outside, "evt_1") == 200

    async def is_paid() -> bool:
        async with within.get("/orders/ORDER-1") as answer:
            return (await answer.json())["status"] == "paid"

    await until(is_paid, within_s=60)


async def only_webhooks_are_public(outside: aiohttp.ClientSession) -> None:
    for path, status in {"/orders/ORDER-1": 403, "/readyz": 404, "/metrics": 404, "/": 404}.items():
        async with outside.get(path) as answer:
            assert answer.status == status, path


async def people_come_by_https(stack: Stack, outside: aiohttp.ClientSession) -> None:
    """Cookies are for https alone whatever a browser claims, and what is live is not held back."""
    add = {**OURS["desk"], "command": ["user", "add", "mei", "--role", "viewer", "--json"]}
    added = await asyncio.create_subprocess_exec(*stack.command(add), env=stack.environ(add), stdout=PIPE)
    link = json.loads((await added.communicate())[0])["link"]
    path = URL(link).path
    desk = {"Host": "desk.example.com", "X-Forwarded-Proto": "http"}
    async with outside.get(path, headers=desk) as answer:
        page = await answer.text()
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert answer.headers["Set-Cookie"].startswith("__Host-tk_visitor=")
    [csrf] = re.findall(r'name="csrf" value="(\w+)"', page)
    fields = {"csrf": csrf, "password": "a fine long password", "again": "a fine long password"}
    origin = {"Origin": "https://desk.example.com", "Sec-Fetch-Site": "same-origin"}
    async with outside.post(path, headers=desk | origin, data=fields, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()
    async with outside.get("/now/stream", headers=desk | {"Accept": "text/event-stream"}) as stream:
        assert stream.status == 200
        assert (await stream.content.readline()).startswith(b"retry: ")


async def a_new_secret_counts_once_its_file_is_there(stack: Stack, outside: aiohttp.ClientSession) -> None:
    """A rename in the mounted folder is seen, without a restart."""
    env_file, new = stack.config / "tillkeeper.env", "whsec_of_the_next_quarter"
    assert await posted(outside, "evt_2", new) == 401
    fresh = stack.config / "fresh"
    fresh.write_text(env_file.read_text().replace(SECRET, new))
    fresh.replace(env_file)

    async def counts() -> bool:
        return await posted(outside, "evt_2", new) == 200

    await until(counts, within_s=60)


# --- RabbitMQ's configuration -----------------------------------------------------------------------------------------


class ConfiguredRabbitMQ(RabbitMQ):
    """A node with deploy/rabbitmq.conf and the user that init makes, but with a port, and limits, of this machine."""

    written: Path

    def _prepare(self) -> Path:
        directory = super()._prepare()
        user = (self.written / "secrets" / "rabbitmq_user.conf").read_text()
        shipped = (self.written / "rabbitmq.conf").read_text() + user
        [self._password] = re.findall(r"^default_pass = (.+)$", shipped, re.MULTILINE)
        (directory / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n{shipped}")
        return directory

    @property
    def url(self) -> str:
        return f"{super().url}tillkeeper"


@pytest.mark.long
@pytest.mark.rabbitmq
async def test_rabbitmq_takes_its_configuration_and_knows_no_guest(rabbitmq, written):
    node = ConfiguredRabbitMQ()
    node.written = written
    async with node:  # it starts only when a client may log in
        assert (await node.ctl("list_users")).split() == ["user", "tags", "tillkeeper", "[]"]
        assert (await node.ctl("list_vhosts", "--no-table-headers")).split() == ["tillkeeper"]
        assert "15" in await node.ctl("eval", "net_kernel:get_net_ticktime().")
        environment = await node.ctl("environment")
    assert "{consumer_timeout,86400000}" in environment
    assert "{cluster_partition_handling,pause_minority}" in environment
