"""`tillkeeper bank`, `books payouts` and `books order`: what gateways sent, and what arrived at the bank."""

import json
from datetime import date, timedelta

import pytest

from tests.database.test_bank import SENT, lists
from tests.statement_writers.bank import IBAN, camt
from tests.system.commands import tillkeeper, toml, written

MONDAY = date(2026, 11, 23)
BANK = f"""
[banks.main]
iban = "{IBAN}"
within_days = 2

[banks.main.payouts]
stripe-main = "STRIPE"
"""


@pytest.fixture
def config(tmp_path, database):
    path = written(tmp_path, toml(database))
    path.write_text(path.read_text() + BANK)
    return path


@pytest.fixture
def run(config):
    async def run(*arguments, code=0):
        ended = await tillkeeper(*arguments, "--config", config)
        assert ended.code == code, ended.out + ended.err
        return ended

    return run


@pytest.fixture
def statement(tmp_path):
    def write(entries, day=MONDAY, **more):
        path = tmp_path / f"{day}.xml"
        path.write_bytes(camt(entries, day=day, **more))
        return path

    return write


async def test_a_missing_payout_is_found_by_following_the_commands(run, statement, pool):
    async with pool.acquire() as conn:
        await lists(conn, ("payment", 10_000, MONDAY, "pi_1", "po_1ABCDEFG"), SENT)
    later = MONDAY + timedelta(days=4)
    shown = await run("bank", "main", statement([], day=later), "--dry-run", code=1)
    assert "missing" in shown.out
    assert await pool.fetchval("SELECT count(*) FROM bank_statements") == 0
    await run("bank", "main", statement([], day=later), code=1)
    shown = await run("books", "payouts", "--verdict", "missing", code=1)
    assert "po_1ABCDEFG" in shown.out
    assert "100.00 EUR" in shown.out
    shown = await run("bank", "main", statement([(10_000, later, "STRIPE po_1ABCDEFG")], day=later + timedelta(days=1)))
    assert "1 arrived." in shown.out
    (payout,) = json.loads((await run("books", "payouts", "--json")).out)["payouts"]
    assert (payout["verdict"], payout["arrived_minor"], payout["case_id"]) == ("arrived", 10_000, None)


async def test_the_way_of_an_order_is_shown(run, statement, pool):
    nothing = await run("books", "order", "SHOP-1", code=1)
    assert "No statement that was taken in lists it." in nothing.out
    async with pool.acquire() as conn:
        await lists(conn, ("payment", 10_000, MONDAY, "pi_1", "po_1ABCDEFG"), SENT)
        number = await conn.fetchval(
            "INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, registered_at, changed_at,"
            " phase_since) VALUES ('SHOP-1', 10000, 'EUR', '{stripe-main}', '{}', now(), now(), now()) RETURNING id"
        )
        await conn.execute(
            "INSERT INTO payments (account, payment_ref, order_id, status, facts, captured_minor)"
            " VALUES ('stripe-main', 'pi_1', $1, 'succeeded', '{}', 10000)",
            number,
        )
    shown = await run("books", "order", "SHOP-1")
    assert "100.00" in shown.out
    assert json.loads((await run("books", "order", "SHOP-1", "--json")).out)["lines"][0]["where"] == "sent to the bank"
    await run("bank", "main", statement([(10_000, MONDAY, "STRIPE po_1ABCDEFG")]))
    (line,) = json.loads((await run("books", "order", "SHOP-1", "--json")).out)["lines"]
    assert (line["where"], line["arrived_on"]) == ("arrived at the bank", "2026-11-23")


async def test_what_is_wrong_is_said_and_nothing_is_taken_in(run, statement, pool, tmp_path):
    assert "known are main" in (await run("bank", "other", statement([]), code=2)).err
    assert "No such file" in (await run("bank", "main", tmp_path / "nowhere.xml", code=2)).err
    wrong = await run("bank", "main", statement([(5, MONDAY, "x")]), statement([], day=MONDAY, closing=1), code=2)
    assert "the entries add up to 0" in wrong.err
    assert "nothing was taken in" in wrong.err
    foreign = await run("bank", "main", statement([], iban="FR7630006000011234567890189"), code=2)
    assert "it is of the account FR7630006000011234567890189" in foreign.err
    assert await pool.fetchval("SELECT count(*) FROM bank_statements") == 0
    assert "is no verdict; these are: arrived" in (await run("books", "payouts", "--verdict", "lost", code=2)).err
