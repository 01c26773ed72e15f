"""`tillkeeper ledger` and `audit --money` as a person starts them; hledger itself reads what is exported for it."""

import asyncio
import csv
import io
import json
import shutil

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.system.commands import tillkeeper, toml, written
from tillkeeper.domain.events import Kind
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register

NOVEMBER = ("--month", "2026-11")


@pytest.fixture
def config(tmp_path, database):
    return written(tmp_path, toml(database))


@pytest.fixture
async def some_money(pool):
    """100.00 paid, 40.00 of it given back, and 7.00 that nobody expects."""
    await register(pool, a_registration("A1; --x", amount=10_000), policy=Policy(), now=NOON)
    paid = an_event(order_ref="A1; --x", amount=10_000)
    back = an_event(Kind.REFUND_SUCCEEDED, 1, order_ref="A1; --x", refund_ref="re_1", amount=4_000)
    stray = an_event(order_ref="A2", payment_ref="pi_2", amount=700)
    async with pool.acquire() as conn, conn.transaction():
        deliveries = [a_delivery(event) for event in (paid, back, stray)]
        await apply_deliveries(conn, deliveries, policy=Policy(), now=NOON)


async def ledger(config, *arguments):
    return await tillkeeper("ledger", *arguments, "--config", config)


async def test_a_month_is_summed_up(config, some_money):
    shown = await ledger(config, *NOVEMBER)
    assert shown.code == 0
    lines = [line.split() for line in shown.out.splitlines()]
    assert lines[0] == ["2026-11-01", "to", "2026-11-30", "(Asia/Shanghai):", "3", "transactions"]
    assert ["assets:gateways:stripe-main", "CNY", "107.00", "40.00", "67.00"] in lines
    assert ["liabilities:suspense:waiting", "CNY", "0.00", "7.00", "-7.00"] in lines


async def test_hledger_reads_the_export_and_finds_that_it_balances(config, some_money):
    program = shutil.which("hledger")
    if program is None:
        pytest.skip("there is no hledger on this machine (apt-get install hledger)")
    exported = await ledger(config, *NOVEMBER, "--format", "hledger")
    process = await asyncio.create_subprocess_exec(
        *(program, "-f", "-", "balance", "--output-format", "csv", "--layout", "bare"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"LANG": "C.UTF-8", "PATH": "/usr/bin"},
    )
    said, _ = await process.communicate(exported.out.encode())
    rows = {row["account"]: row["balance"] for row in csv.DictReader(io.StringIO(said.decode()))}
    assert process.returncode == 0
    assert rows == {
        "assets:gateways:stripe-main": "67.00",
        "expenses:refunds": "40.00",
        "income:payers": "-100.00",
        "liabilities:suspense:waiting": "-7.00",
        "total": "0",
    }


async def test_json_lines_and_filters(config, some_money):
    lines = (await ledger(config, *NOVEMBER, "--json")).out.splitlines()
    assert [json.loads(line)["kind"] for line in lines] == [
        "payment.succeeded",
        "refund.succeeded",
        "payment.succeeded",
    ]
    of_order = await ledger(config, *NOVEMBER, "--order", "A1; --x", "--format", "csv")
    assert len(of_order.out.splitlines()) == 1 + 2 * 2
    span = ("--from", "2026-11-23", "--to", "2026-11-23")
    assert (await ledger(config, *span, "--account", "stripe-main", "--json")).out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--month", "2026-13"], "'2026-13' is no month; write 2026-10"),
        (["--month", "last"], "'last' is no month; write 2026-10"),
        (["--from", "2026-02-30", "--to", "2026-03-01"], "'2026-02-30' is no day; write 2026-10-31"),
        (["--from", "2026-02-01"], "give --month, or both --from and --to"),
        (["--from", "2026-02-02", "--to", "2026-02-01"], "--from 2026-02-02 is after --to 2026-02-01"),
        (["--zone", "Mars/Base"], "'Mars/Base' is no time zone; write one such as Asia/Shanghai"),
        (["--account", "nope"], "there is no account 'nope'; there are: stripe-main"),
        (["--order", "nope"], "no order 'nope' is registered"),
        (["--json", "--format", "csv"], "--json and --format csv contradict each other"),
    ],
)
async def test_wrong_usage_is_said(config, arguments, said):
    refused = await ledger(config, *arguments)
    assert refused.code == 2
    assert said in " ".join(refused.err.replace("│", " ").split())


async def test_the_money_is_proven_and_what_was_changed_by_hand_is_named(pool, config, some_money):
    proven = await tillkeeper("audit", "--money", "--config", config)
    assert (proven.code, "The ledger holds" in proven.out) == (0, True)
    await pool.execute("UPDATE orders SET captured_minor = 20000")
    broken = await tillkeeper("audit", "--money", "--json", "--config", config)
    assert broken.code == 1
    (fault,) = json.loads(broken.out)["faults"]
    assert (fault["account"], fault["events_say"], fault["facts_say"]) == ("income:payers", -10_000, -20_000)
    shown = await tillkeeper("audit", "--money", "--config", config)
    assert "The ledger does NOT hold." in shown.out
    assert (await tillkeeper("audit", "--money", "--all", "--config", config)).code == 2
