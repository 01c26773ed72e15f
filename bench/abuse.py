"""`python -m bench.abuse`: a good client beside each attack of an outsider, and what the receiver's memory comes to."""

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Final

import msgspec
import typer
import uvloop

from bench.attacks import ATTACKS, UNSIGNED
from tillkeeper import clock
from tillkeeper.sandbox.accounts import new_signers, write_config
from tillkeeper.sandbox.formats import Signed
from tillkeeper.sandbox.servers import Postgres
from tillkeeper.sandbox.servers.child import Child, free_ports, new_directory
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.registry import ALL_GATEWAYS, parse_gateways
from tillkeeper.sandbox.simulators.stripe.objects import stripe_payment_intent
from tillkeeper.sandbox.simulators.stripe.signing import stripe_delivery
from tillkeeper.store.schema.creating import create_schema

ROOT: Final = Path(__file__).parents[1]
ONE_GATEWAY: Final = tuple(f"unsigned_{name}" for name in UNSIGNED)
NOBODY: Final = "nobody"
POST_EVERY_S: Final = 0.05
SETTLE_S: Final = 2.0  # until an attack is in full swing
READY_WITHIN_S: Final = 30.0
STOP_WITHIN_S: Final = 30.0
ANSWER_WITHIN_S: Final = 20.0
P99_WANTED_MS: Final = 250.0
MEMORY_WANTED_MIB: Final = 256.0
OPEN_FILES: Final = 8_192


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """What a good client met beside an attack.  Status 0: no answer."""

    attack: str
    answers: dict[int, int]
    p50_ms: float
    p99_ms: float
    max_ms: float
    memory_mib: float
    open_files: int

    @property
    def is_good(self) -> bool:
        """Whether every delivery was taken, and the memory is bounded; how fast that went depends on the machine."""
        return set(self.answers) == {200} and self.memory_mib <= MEMORY_WANTED_MIB


class Attacked(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver of every gateway, under attack."""

    pid: int
    port: int
    directory: Path
    stripe: Signer

    def memory_mib(self) -> float:
        """The most that it ever had."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def open_files(self) -> int:
        """Connections are nearly all of them."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


def main(
    only: Annotated[str, typer.Option(help=f"Attacks, with commas between them: {', '.join(ATTACKS)}.")] = "",
    seconds: Annotated[float, typer.Option(min=1, help="How long each goes on.")] = 10.0,
) -> None:
    """Prints a line for each attack.  Sender, receiver and database share this machine's cores."""
    attacks = [name.strip() for name in only.split(",")] if only else [NOBODY, *ATTACKS, *ONE_GATEWAY]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        good = runner.run(_measure(attacks, seconds))
    raise typer.Exit(0 if good else 1)


async def _measure(attacks: Sequence[str], seconds: float) -> bool:
    good = True
    async with Postgres() as postgres:
        print(f"{'beside':22}{'answers':>24}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'most MiB':>10}")
        for attack in attacks:
            async with receiver(postgres) as attacked:
                served = await beside(attacked, attack, seconds=seconds)
            answers = " ".join(f"{status}x{count}" for status, count in sorted(served.answers.items()))
            fast = "" if served.p99_ms <= P99_WANTED_MS else "  slow"
            print(
                f"{served.attack:22}{answers:>24}{served.p50_ms:9.1f}{served.p99_ms:9.1f}{served.max_ms:9.1f}{served.memory_mib:10.1f}{fast}"
            )
            good = good and served.is_good
    return good


@asynccontextmanager
async def receiver(postgres: Postgres) -> AsyncIterator[Attacked]:
    """`tillkeeper ingest` with an account at every gateway, on a database of its own."""
    allow_open_files()
    directory, name = new_directory("abuse"), f"abuse_{token_hex(4)}"
    try:
        dsn = await postgres.create_database(name)
        await create_schema(dsn)
        signers, [port] = new_signers(parse_gateways(ALL_GATEWAYS)), free_ports(1)
        config = directory / "tillkeeper.toml"
        write_config(config, signers, database_url=dsn, broker_url=None, port=port, token=token_hex(32))
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TILLKEEPER_CONFIG": str(config)}
        command = (sys.executable, "-m", "tillkeeper", "ingest")
        child = await Child.start(command, directory=directory, log=directory / "log", environment=environment)
        try:
            await child.ready(lambda: _listens(port), within_s=READY_WITHIN_S)
            yield Attacked(pid=child.pid, port=port, directory=directory, stripe=signers["stripe-main"])
        finally:
            await child.stop(signal.SIGTERM, within_s=STOP_WITHIN_S)
    finally:
        shutil.rmtree(directory)
        await postgres.drop_database(name)


async def beside(attacked: Attacked, attack: str, *, seconds: float) -> Beside:
    """Posts genuine deliveries, each on a connection of its own, while the attack goes on."""
    async with _under(attacked, attack):
        await asyncio.sleep(0 if attack == NOBODY else SETTLE_S)
        answers: Counter[int] = Counter()
        times_ms: list[float] = []
        posts = []
        ends_at_s = clock.monotonic_s() + seconds
        while clock.monotonic_s() < ends_at_s:
            posts.append(asyncio.ensure_future(_post(attacked, len(posts))))
            await asyncio.sleep(POST_EVERY_S)
        for status, took_ms in await asyncio.gather(*posts):
            answers[status] += 1
            times_ms.append(took_ms)
        times_ms.sort()
        open_files = attacked.open_files()
        return Beside(
            attack=attack,
            answers=dict(answers),
            p50_ms=times_ms[len(times_ms) // 2],
            p99_ms=times_ms[len(times_ms) * 99 // 100],
            max_ms=times_ms[-1],
            memory_mib=attacked.memory_mib(),
            open_files=open_files,
        )


@asynccontextmanager
async def _under(attacked: Attacked, attack: str) -> AsyncIterator[None]:
    """While inside, a process of its own attacks."""
    if attack == NOBODY:
        yield
        return
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = (sys.executable, "-m", "bench.attacks", str(attacked.port), attack)
    log = attacked.directory / "attack"
    child = await Child.start(command, directory=attacked.directory, log=log, environment=environment)
    try:
        yield
        assert child.running, child.tail()
    finally:
        await child.kill()


async def _post(attacked: Attacked, number: int) -> tuple[int, float]:
    started_s = clock.monotonic_s()
    status = 0
    with contextlib.suppress(OSError, TimeoutError, IndexError, ValueError):
        async with asyncio.timeout(ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", attacked.port)
            try:
                writer.write(_wire(_delivery(attacked.stripe, number)))
                status = int((await reader.read(1024)).split(b" ", 2)[1])
            finally:
                writer.transport.abort()
    return status, (clock.monotonic_s() - started_s) * 1000


def _delivery(stripe: Signer, number: int) -> Signed:
    subject = stripe_payment_intent(f"pi_{number}", 12_900, "cny", f"ORDER-{number}")
    secret: str = stripe.secret  # type: ignore[attr-defined]
    return stripe_delivery(secret, clock.now(), "payment_intent.succeeded", subject, id=f"evt_{number}")


def _wire(signed: Signed) -> bytes:
    headers, body = signed
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST /webhooks/stripe-main HTTP/1.1\r\nHost: t\r\n{told}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def allow_open_files() -> None:
    """An attack opens many; its process inherits our limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    typer.run(main)
