"""The scenarios, small: days on a real PostgreSQL and over real HTTP, in seconds; and that they would notice."""

import io
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from rich.console import Console

from tests.notice_servers import smtp_server
from tests.system.commands import tillkeeper
from tillkeeper.gateways.messages import Answer
from tillkeeper.sandbox.scenarios.command import SCENARIOS
from tillkeeper.sandbox.scenarios.lossy_day import LossyDay, lossy_day
from tillkeeper.sandbox.scenarios.report import print_lossy_day, print_stuck, span
from tillkeeper.sandbox.scenarios.run import BEGINS_AT, ScenarioOptions
from tillkeeper.sandbox.scenarios.stuck import Stuck, stuck_at_gateway
from tillkeeper.sandbox.scenarios.system import Workers
from tillkeeper.sandbox.scenarios.workers import start_workers
from tillkeeper.sandbox.servers import Postgres
from tillkeeper.sandbox.servers.memory import place_in_memory

ORDERS = 24
SOON = BEGINS_AT + timedelta(days=2)  # seven more days cost more than the day itself: tests/faults/test_lossy_day.py


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
async def lossy(quick_server) -> LossyDay:
    return await lossy_day(options_of(), quick_server, quiet, ends_at=SOON)


def test_on_a_lossy_day_every_order_comes_to_its_truth_with_nobodys_help(lossy):
    told = lossy.as_dict()
    assert told["problems"] == []
    assert told["holds"]
    swept, unswept = told["with_sweeps"], told["without_sweeps"]
    assert swept["never"] == 0 < unswept["never"]
    assert sum(swept["resolved_by"].values()) == told["to_find_out"]
    assert swept["resolved_by"]["query"] > 0 < swept["resolved_by"]["webhook"]
    assert swept["resolved_by"]["operator"] == 0
    assert swept["queries"] == sum(swept["queries_by_account"].values()) > 0
    assert (unswept["queries"], unswept["resolved_by"]["query"]) == (0, 0)
    assert swept["asked_to_pay"] > 0
    assert swept["time_to_truth_s"]["p99"] is not None
    assert unswept["time_to_truth_s"]["p99"] is None


async def test_the_same_seed_ends_the_same(quick_server, lossy):
    again = await lossy_day(options_of(), quick_server, quiet, ends_at=SOON)
    assert without_duration(again.as_dict()) == without_duration(lossy.as_dict())


def without_duration(told: dict) -> dict:
    halves = ("with_sweeps", "without_sweeps")
    return told | {half: {name: figure for name, figure in told[half].items() if name != "took_s"} for half in halves}


def test_a_lossy_day_says_for_people_how_it_ended(lossy):
    console = Console(file=io.StringIO(), width=200)
    print_lossy_day(lossy, console)
    said = console.file.getvalue()
    assert f"lossy-day, seed 3: {ORDERS} payments" in said
    assert said.strip().endswith(f"{ORDERS} orders of {ORDERS} are as their gateways know them, none by a person")


async def test_a_day_whose_answers_are_not_heard_does_not_hold(quick_server):
    """Otherwise the sweeps would prove nothing."""

    async def nothing_found(_account, _question) -> Answer:
        return Answer(found=False)

    async def start_deaf_workers(context, stack) -> Workers:
        context.api_client.query, context.api_client.can_query = nothing_found, lambda _account: False
        return await start_workers(context, stack)

    day = await lossy_day(options_of(start_workers=start_deaf_workers), quick_server, quiet, ends_at=SOON)
    assert day.as_dict()["with_sweeps"]["queries"] == 0
    assert any("not as their gateways know them" in problem for problem in day.problems())
    assert any("asked for what was paid or under way" in problem for problem in day.problems())


# --- stuck-at-gateway -------------------------------------------------------------------------------------------------


@pytest.mark.long
async def test_stuck_orders_climb_their_ladders_and_their_payers_are_told_once(monkeypatch):
    """As people run it; what the command makes of it is kept, so that one run shows both."""
    orders, kept = 9, []

    async def keeping(*arguments) -> Stuck:
        kept.append(await stuck_at_gateway(*arguments))
        return kept[0]

    monkeypatch.setitem(SCENARIOS, "stuck-at-gateway", (keeping, print_stuck, 0))
    async with smtp_server() as mailbox:
        options = ("--scenario", "stuck-at-gateway", "--seed", 3, "--payments", orders, "--smtp-port", mailbox.port)
        ended = await tillkeeper("sandbox", *options)
    assert ended.code == 0, ended.err + ended.out
    assert ended.out.strip().endswith("every step on time and once; no order was failed or closed in doubt")
    told = kept[0].as_dict()
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


async def test_a_step_that_is_taken_twice_is_noticed(quick_server, monkeypatch):
    monkeypatch.setattr("tillkeeper.sandbox.scenarios.stuck.ENDS_AT", BEGINS_AT + timedelta(hours=8))

    async def start_workers_that_ask_twice(context, stack) -> Workers:
        api_client = context.api_client
        ask_once = api_client.query

        async def query(account, query):
            await ask_once(account, query)
            return await ask_once(account, query)

        api_client.query = query
        return await start_workers(context, stack)

    stuck = await stuck_at_gateway(options_of(6, start_workers=start_workers_that_ask_twice), quick_server, quiet)
    assert any("times is right" in wrong for wrong in stuck.wrong)
    assert stuck.problems()


# --- as people run them -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [("--scenario", "rainy-day"), ("--scenario", "lossy-day", "--up"), ("--payments", "0")]
)
async def test_wrong_usage_is_said_plainly(arguments):
    ended = await tillkeeper("sandbox", *arguments)
    assert ended.code == 2
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "never"), (3.2, "3.2 s"), (180, "3.0 min"), (3 * 3600, "3.0 h"), (7 * 86400, "7.0 d")]
)
def test_spans_are_told_in_few_words(seconds, said):
    assert span(seconds) == said
