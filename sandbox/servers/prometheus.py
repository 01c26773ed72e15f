"""Runs a private Prometheus from an installed package, on a configuration that is handed to it."""

import shutil
import signal
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from tillkeeper.sandbox.servers.child import Child, ServerFailed, free_ports, new_directory

READY_WITHIN_S: Final = 60.0  # it takes under one
STOP_WITHIN_S: Final = 15.0
ANSWER_S: Final = 10.0


class Prometheus:
    """One server with its files in a temporary directory.  `async with` starts it, stops it and removes the files."""

    def __init__(self, config: str, *, rules: Path | None = None) -> None:
        """`config` names the rules as files under `rules/`, where `rules` is copied to."""
        self.port = free_ports(1)[0]
        self._config = config
        self._rules = rules
        self._directory: Path | None = None
        self._child: Child | None = None
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @staticmethod
    def available() -> str | None:
        """Returns why there can be no server here; None if there can."""
        missing = [program for program in ("prometheus", "promtool") if shutil.which(program) is None]
        return f"{' and '.join(missing)} not installed" if missing else None

    async def value(self, query: str) -> list[dict[str, Any]]:
        """Returns the samples that a query yields now: `metric` and `value`.  Raises ServerFailed."""
        return list((await self._get("query", query=query))["result"])

    async def alerts(self) -> list[dict[str, Any]]:
        """Returns the alerts that are pending or firing."""
        return list((await self._get("alerts"))["alerts"])

    async def rules(self) -> list[dict[str, Any]]:
        """Returns every rule with its health."""
        return [rule for group in (await self._get("rules"))["groups"] for rule in group["rules"]]

    async def targets(self) -> list[dict[str, Any]]:
        """Returns what is scraped, and how that went."""
        return list((await self._get("targets"))["activeTargets"])

    async def close(self) -> None:
        """Stops the server and removes its files."""
        if self._client is not None:
            await self._client.close()
        if self._child is not None:
            await self._child.stop(signal.SIGTERM, within_s=STOP_WITHIN_S)
        if self._directory is not None:
            shutil.rmtree(self._directory)
            self._directory = None

    async def _start(self) -> None:
        self._directory = directory = new_directory("prometheus")
        (directory / "prometheus.yml").write_text(self._config)
        if self._rules is not None:
            shutil.copytree(self._rules, directory / "rules")
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S))
        self._child = await Child.start(
            [
                "prometheus",
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            directory=directory,
            log=directory / "log",
        )
        await self._child.ready(self._answers, within_s=READY_WITHIN_S)

    async def _answers(self) -> bool:
        assert self._client is not None
        try:
            async with self._client.get(f"http://127.0.0.1:{self.port}/-/ready") as answer:
                return answer.ok
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        assert self._client is not None
        async with self._client.get(f"http://127.0.0.1:{self.port}/api/v1/{what}", params=parameters) as answer:
            told = await answer.json()
        if told["status"] != "success":
            raise ServerFailed(f"Prometheus refuses {parameters or what}: {told['error']}")
        data: dict[str, Any] = told["data"]
        return data
