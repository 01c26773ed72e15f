"""Tillkeeper as four processes, each with its metrics on a port of its own, and a Prometheus that scrapes them."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import yaml

from tests.system.commands import Serving, serving
from tests.system.receiving import ACCOUNT, AUTHORIZED, SECRET, TOKEN, until
from tillkeeper.sandbox.servers import Prometheus
from tillkeeper.sandbox.servers.child import free_ports

ROLES = ("ingest", "work", "sweep", "notify")
STARTED = {
    "ingest": "ingest_listening",
    "work": "worker_started",
    "sweep": "sweep_started",
    "notify": "notify_started",
}
PROMETHEUS = Path(__file__).parents[3] / "deploy" / "prometheus"
SCRAPES = "1s"
LOOKS_BACK = "20s"
API_KEY = "sk_test_of_the_watching_tests"


class Stack:
    """The processes by role.  Made by `running`, which ends what still runs."""

    def __init__(self, directory: Path, *, database: str, shop_url: str, api_base: str, broker: dict[str, str]) -> None:
        self.directory = directory
        self.port, *metrics = free_ports(1 + len(ROLES))
        self.metrics_ports = dict(zip(ROLES, metrics, strict=True))
        self.database = database
        self.processes: dict[str, Serving] = {}
        self._shop_url = shop_url
        self._api_base = api_base
        self._broker = broker
        self._accounts = ""
        self._stacks: dict[str, AsyncExitStack] = {}

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        directory: Path,
        *,
        database: str,
        shop_url: str,
        api_base: str = "",
        broker: dict[str, str] | None = None,
        accounts: str = "",
    ) -> AsyncIterator["Stack"]:
        stack = cls(directory, database=database, shop_url=shop_url, api_base=api_base, broker=broker or {})
        stack._accounts = accounts
        stack.configure()
        try:
            for role in ROLES:
                await stack.start(role)
            yield stack
        finally:
            for role in list(stack.processes):
                await stack.kill(role)

    @property
    def config(self) -> Path:
        return self.directory / "tillkeeper.toml"

    @property
    def policy(self) -> Path:
        return self.directory / "policy.toml"

    def configure(self, *, secret: str = SECRET, api_key: str = API_KEY, accounts: str = "") -> None:
        """Writes the configuration; running processes take over changed accounts."""
        lines = [f'database_url = "{self.database}"', f'api_tokens = ["{TOKEN}"]', f'policy = "{self.policy}"']
        lines += [f'{name} = "{value}"' for name, value in self._broker.items()]
        lines += ["[ingest]", f"port = {self.port}"]
        for role, port in self.metrics_ports.items():
            lines += [] if role == "ingest" else [f"[{role}]"]
            lines.append(f"metrics_port = {port}")
        lines += ["allow_private_addresses = true", "allow_plain_http = true"]  # of notify, the last role
        lines += ["[notify.webhooks.shop]", f'url = "{self._shop_url}"', f'secrets = ["whsec_{"QUFB" * 8}"]']
        lines += ["[accounts.stripe-main]", f'gateway = "{ACCOUNT["gateway"]}"', f'webhook_secrets = ["{secret}"]']
        lines += [f'api_key = "{api_key}"', f'api_base = "{self._api_base}"'] * bool(self._api_base)
        lines += [self._accounts, accounts]
        self.config.write_text("\n".join(lines) + "\n")
        if not self.policy.exists():
            self.policy.write_text("")

    async def start(self, role: str, **environ: str) -> None:
        exit_stack = AsyncExitStack()
        environ[f"TILLKEEPER_{role.upper()}__METRICS_PORT"] = str(self.metrics_ports[role])
        process = await exit_stack.enter_async_context(serving(role, "--config", self.config, **environ))
        self.processes[role], self._stacks[role] = process, exit_stack
        await process.saw(STARTED[role])

    async def kill(self, role: str) -> None:
        del self.processes[role]
        await self._stacks.pop(role).aclose()

    async def figures(self, role: str) -> dict[str, float]:
        """What the process tells now."""
        async with aiohttp.request("GET", f"http://127.0.0.1:{self.metrics_ports[role]}/metrics") as answer:
            text = await answer.text()
        return {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", text, re.MULTILINE)}

    async def reads(self, role: str, figure: str, holds: Callable[[float], bool]) -> None:
        """Returns once the process's figure is so; 0 where it tells none."""

        async def is_so() -> bool:
            return holds((await self.figures(role)).get(figure, 0.0))

        await until(is_so, within_s=60)

    async def post(self, path: str, headers: dict[str, str], body: bytes) -> int:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with aiohttp.request("POST", url, headers=headers, data=body) as answer:
            return answer.status

    async def register(self, order_ref: str, **fields: object) -> int:
        order = {"amount": 12900, "currency": "CNY", "accounts": ["stripe-main"], **fields}
        url = f"http://127.0.0.1:{self.port}/orders/{order_ref}"
        async with aiohttp.request("PUT", url, headers=AUTHORIZED, json=order) as answer:
            return answer.status


def config_for(stack: Stack) -> str:
    """deploy/prometheus/prometheus.yml for these ports, and quicker."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": SCRAPES, "evaluation_interval": SCRAPES}
    [job] = config["scrape_configs"]
    del job["file_sd_configs"]
    job["static_configs"] = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"role": role}} for role, port in stack.metrics_ports.items()
    ]
    return yaml.safe_dump(config)


def impatient_rules(directory: Path) -> Path:
    """The rules as they are, but for how long an alert must hold and how far it looks back: promtool holds those."""
    rules = directory / "rules"
    rules.mkdir()
    for path in (PROMETHEUS / "rules").glob("*.yml"):
        text = re.sub(r"^( +for:) .*$", r"\1 0s", path.read_text(), flags=re.MULTILINE)
        rules.joinpath(path.name).write_text(re.sub(r"\[\d+[mh]\]", f"[{LOOKS_BACK}]", text))
    return rules


class Watched(msgspec.Struct, frozen=True):
    """A stack, and the Prometheus that watches it."""

    stack: Stack
    prometheus: Prometheus

    async def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        alerts = await self.prometheus.alerts()
        return {each["labels"]["alertname"].removeprefix("Tillkeeper") for each in alerts if each["state"] == "firing"}

    async def fires(self, alert: str) -> None:
        async def is_so() -> bool:
            return alert in await self.firing()

        await until(is_so, within_s=90)

    async def is_over(self, alert: str) -> None:
        async def is_so() -> bool:
            return alert not in await self.firing()

        await until(is_so, within_s=400)


@asynccontextmanager
async def watching(stack: Stack) -> AsyncIterator[Watched]:
    rules = impatient_rules(stack.directory)
    async with Prometheus(config_for(stack), rules=rules) as prometheus:
        yield Watched(stack, prometheus)
