"""The scenarios, small: days on a real PostgreSQL and over real HTTP, in seconds; and that they would notice."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.notice_servers import smtp_server
from tillkeeper.gateways.messages import Answer
from tillkeeper.sandbox.scenarios.lossy_day import lossy_day
from tillkeeper.sandbox.scenarios.report import span
from tillkeeper.sandbox.scenarios.run import BEGINS_AT, ScenarioOptions
from tillkeeper.sandbox.scenarios.stuck import stuck_at_gateway
from tillkeeper.sandbox.scenarios.system import Workers
from tillkeeper.sandbox.scenarios.workers import start_workers
from tillkeeper.sandbox.servers import Postgres
from tillkeeper.sandbox.servers.memory import place_in_memory

ORDERS = 50
FEW = 40
SOON = BEGINS_AT + timedelta(days=2)  # seven more days of looking cost more than the day itself


@pytest.fixture(scope="module")
async def quick_server() -> AsyncIterator[Postgres]:
    """A PostgreSQL that waits for no disk, where the machine has the memory."""
    async with Postgres(place_in_memory()) as server:
        yield server


def options_of(payments: int = ORDERS, *, start_workers=start_workers, **changes) -> ScenarioOptions:
    return ScenarioOptions(**({"seed": 3, "payments": payments, "start_workers": start_workers} | changes))


def quiet(_line: str) -> None:
    """Nobody listens."""


# --- lossy-day --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def lossy() -> dict:
    """What a small lossy-day told, as a command."""
    told = ("--seed", "3", "--payments", str(ORDERS), "--json")
    code, output, errors = await run_sandbox("--scenario", "lossy-day", *told)
    assert code == 0, errors + output
    return json.loads(output)


def test_on_a_lossy_day_every_order_comes_to_its_truth_with_nobodys_help(lossy):
    assert lossy["problems"] == []
    assert lossy["holds"]
    swept, unswept = lossy["with_sweeps"], lossy["without_sweeps"]
    assert swept["never"] == 0 < unswept["never"]
    assert sum(swept["resolved_by"].values()) == lossy["to_find_out"]
    assert swept["resolved_by"]["query"] > 0 < swept["resolved_by"]["webhook"]
    assert swept["resolved_by"]["operator"] == 0
    assert swept["queries"] == sum(swept["queries_by_account"].values()) > 0
    assert (unswept["queries"], unswept["resolved_by"]["query"]) == (0, 0)
    assert swept["asked_to_pay"] > 0
    assert swept["time_to_truth_s"]["p99"] is not None
    assert unswept["time_to_truth_s"]["p99"] is None


async def test_the_same_seed_ends_the_same(quick_server):
    one, other = [await lossy_day(options_of(FEW), quick_server, quiet, ends_at=SOON) for _ in range(2)]
    assert one.as_dict()["with_sweeps"]["queries"] > 0
    assert without_duration(one.as_dict()) == without_duration(other.as_dict())


def without_duration(told: dict) -> dict:
    halves = ("with_sweeps", "without_sweeps")
    return told | {half: {name: it for name, it in told[half].items() if name != "took_s"} for half in halves}


async def test_a_day_whose_answers_are_not_heard_does_not_hold(quick_server):
    """Otherwise the sweeps would prove nothing."""

    async def nothing_found(_account, _question) -> Answer:
        return Answer(found=False)

    async def start_deaf_workers(context, stack) -> Workers:
        context.api_client.query, context.api_client.can_query = nothing_found, lambda _account: False
        return await start_workers(context, stack)

    day = await lossy_day(options_of(FEW, start_workers=start_deaf_workers), quick_server, quiet, ends_at=SOON)
    assert day.as_dict()["with_sweeps"]["queries"] == 0
    assert any("not as their gateways know them" in it for it in day.problems())
    assert any("asked for what was paid or under way" in it for it in day.problems())


# --- stuck-at-gateway -------------------------------------------------------------------------------------------------


async def test_stuck_orders_climb_their_ladders_and_their_payers_are_told_once(quick_server):
    orders = 24
    async with smtp_server() as mailbox:
        stuck = await stuck_at_gateway(options_of(orders, smtp_port=mailbox.port), quick_server, quiet)
    told = stuck.as_dict()
    assert told["wrong"] == ()
    assert told["holds"]
    assert (told["ladder_steps"]["case"], told["ladder_steps"]["escalate"]) == (orders, 2 * orders)
    assert told["cases"]["stuck"] == orders
    assert told["in_doubt"] == told["cases"].get("close_in_doubt", 0) > 0
    assert told["unanswered"] > 0
    # By the mail server's own log: each payer once that it is under way, in the language of the order.
    said = Counter((mail["To"], mail["Subject"]) for mail in mailbox.mails())
    assert set(said.values()) == {1}
    assert len({to for to, _ in said}) == orders
    assert told["payers_told"]["payer.processing"] == orders
    assert len(mailbox.mails()) == sum(told["payers_told"].values())


async def test_a_step_that_is_taken_twice_is_noticed(quick_server):
    async def start_workers_that_ask_twice(context, stack) -> Workers:
        api_client = context.api_client
        ask_once = api_client.query

        async def query(account, query):
            await ask_once(account, query)
            return await ask_once(account, query)

        api_client.query = query
        return await start_workers(context, stack)

    stuck = await stuck_at_gateway(options_of(6, start_workers=start_workers_that_ask_twice), quick_server, quiet)
    assert any("times is right" in it for it in stuck.wrong)
    assert stuck.problems()


# --- as people run them -----------------------------------------------------------------------------------------------


async def run_sandbox(*arguments: str) -> tuple[int, str, str]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tillkeeper", "sandbox", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await child.communicate()
    return child.returncode, output.decode(), errors.decode()


async def test_a_scenario_says_for_people_how_it_ended():
    code, output, errors = await run_sandbox("--scenario", "stuck-at-gateway", "--payments", "6")
    assert code == 0, errors + output
    assert output.strip().endswith("every step on time and once; no order was failed or closed in doubt")


@pytest.mark.parametrize(
    "arguments", [("--scenario", "rainy-day"), ("--scenario", "lossy-day", "--up"), ("--payments", "0")]
)
async def test_wrong_usage_is_said_plainly(arguments):
    code, _, errors = await run_sandbox(*arguments)
    assert code == 2
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "never"), (3.2, "3.2 s"), (180, "3.0 min"), (3 * 3600, "3.0 h"), (7 * 86400, "7.0 d")]
)
def test_spans_are_told_in_few_words(seconds, said):
    assert span(seconds) == said
