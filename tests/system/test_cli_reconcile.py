"""`tillkeeper reconcile` and `tillkeeper books`: how a file was read, what differs, and what is left."""

import gzip
import json
from datetime import date, timedelta

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.plain_statement import PlainForm, plain
from tests.system.commands import tillkeeper, toml, written
from tillkeeper.domain.books.calendar import NextAttempt
from tillkeeper.domain.policy import Policy
from tillkeeper.gateways.stripe.gateway import Stripe
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.books.exclusive import alone_at
from tillkeeper.store.jobs.statement_days import add_days, claim_day, put_off_day
from tillkeeper.store.postgres.transactions import repeat_on_conflict

POLICY = Policy()


@pytest.fixture
def config(tmp_path, database, monkeypatch):
    monkeypatch.setattr(Stripe, "statement_forms", (PlainForm,))
    return written(tmp_path, toml(database))


@pytest.fixture
def run(config):
    async def run(*arguments, code=0):
        ended = await tillkeeper(*arguments, "--config", config)
        assert ended.code == code, ended.out + ended.err
        return ended

    return run


@pytest.fixture
def file(tmp_path):
    def write(text, name="bill.csv"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write


@pytest.fixture
async def orders(pool):
    """Two orders, of which one is paid."""
    for ref in ("A1", "A2"):
        await register(pool, a_registration(ref), policy=POLICY, now=NOON)
    await repeat_on_conflict(
        pool, lambda conn: apply_deliveries(conn, [a_delivery(an_event())], policy=POLICY, now=NOON)
    )


LINES = (("payment", 100, "A1", "pi_1"), ("payment", 100, "A2", "pi_2"))


@pytest.mark.usefixtures("orders")
async def test_a_file_is_shown_as_it_was_read_and_what_was_lost_is_applied(run, file, pool):
    bill = file(plain(*LINES), "bill.csv.gz")
    shown = (await run("reconcile", "stripe-main", bill, "--dry-run", code=1)).out
    for part in ("plain.trade", "payment", "2.00 CNY", "A2", "at_gateway_only", "Nothing was changed."):
        assert part in shown, part
    assert await pool.fetchval("SELECT count(*) FROM statements") == 0
    done = (await run("reconcile", "stripe-main", bill, "--json")).json
    assert (done["outcomes"], done["settled"], done["left"], done["cases"]) == ({"applied": 1}, 1, 0, {})
    [statement] = done["statements"]
    assert (statement["form"], statement["lines"], statement["is_new"]) == ("plain.trade", 2, True)
    assert [each["verdict"] for each in statement["verdicts"]] == ["matched", "at_gateway_only"]
    again = (await run("reconcile", "stripe-main", bill)).out
    assert "it was taken in before" in again
    assert "Nothing differs." in again
    assert await pool.fetchval("SELECT count(*) FROM orders WHERE status = 'paid'") == 2


@pytest.mark.usefixtures("orders")
async def test_what_differs_is_listed_until_a_person_accepts_it(run, file, pool):
    told = (await run("reconcile", "stripe-main", file(plain(("payment", 90, "A1", "pi_1"))), code=1)).out
    assert "cases opened: 1 statement_differs" in told
    [found] = (await run("books", "differences", "--json", code=1)).json["differences"]
    assert (found["verdict"], found["order_ref"], found["said_minor"], found["known_minor"]) == (
        *("amount_differs", "A1"),
        *(90, 100),
    )
    listed = (await run("books", "differences", "--account", "stripe-main", code=1)).out
    assert "0.90 CNY" in listed
    assert (await run("books", "differences", "--verdict", "twice")).out == "Nothing differs.\n"
    assert "is no verdict that differs" in (await run("books", "differences", "--verdict", "x", code=2)).err
    case = found["case_id"]
    await run("case", "resolve", case, "--outcome", "written off", "--by", "mei")
    await run("case", "confirm", case, "--by", "jun")
    assert (await run("books", "differences")).out == "Nothing differs.\n"
    [found] = (await run("books", "differences", "--all", "--json", code=1)).json["differences"]
    assert found["accepted_by"] == "mei"


async def test_statements_are_listed_with_the_time_that_is_missing_between_them(run, file):
    assert (await run("books", "statements")).out == "No statement was taken in.\n"
    for day in (20, 22):
        await run(
            "reconcile",
            "stripe-main",
            file(plain(("payment", 1, "X", f"p{day}", f"2026-11-{day}T12:00:00+00:00"))),
            code=1,
        )
    told = (await run("books", "statements", "--json", code=1)).json
    assert [each["lines"] for each in told["statements"]] == [1, 1]
    [gap] = told["missing"]
    assert (gap["begins"], gap["ends"]) == ("2026-11-21T00:00:00+00:00", "2026-11-22T00:00:00+00:00")
    assert "Missing between them" in (await run("books", "statements", code=1)).out


async def test_a_day_that_the_gateway_has_not_given_is_listed_with_the_reason(run, pool):
    day, now = date(2026, 11, 21), NOON
    async with pool.acquire() as conn:
        await add_days(conn, {"stripe-main": [day]}, now=now)
        assert (await run("books", "statements")).out == "No statement was taken in.\n"
        claimed = await claim_day(conn, ["stripe-main"], now=now)
        then = NextAttempt(now + timedelta(hours=6), is_late=True)
        await put_off_day(conn, claimed, then, "busy: status 500", policy=POLICY.cases, now=now)
    told = (await run("books", "statements", "--json")).json
    assert [(each["day"], each["state"], each["last_error"]) for each in told["awaited"]] == [
        ("2026-11-21", "late", "busy: status 500")
    ]
    shown = (await run("books", "statements")).out
    assert "Asked for, and not there yet" in shown
    assert (await run("books", "statements", "--account", "other", "--json")).json["awaited"] == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "it is no statement of stripe that can be read; these are: plain.trade"),
        (plain(*LINES, total=3), "line 4: it says 3 lines, and has 2; nothing was taken in"),
        ("\n".join(plain(*LINES).splitlines()[:-1]), "the file is cut"),
        ("", "it is no statement of stripe"),
    ],
)
async def test_a_file_that_cannot_be_read_is_refused_whole(run, file, pool, text, says):
    refused = await run("reconcile", "stripe-main", file(text), code=2)
    assert refused.err.startswith("tillkeeper: bill.csv: ")
    assert says in refused.err
    assert await pool.fetchval("SELECT count(*) FROM statements") == 0


async def test_what_is_wrong_with_the_call_is_said(run, file, tmp_path):
    assert "no account 'x' is configured" in (await run("reconcile", "x", file(""), code=2)).err
    assert "cannot be read: No such file" in (await run("reconcile", "stripe-main", tmp_path / "none", code=2)).err
    many = [file("")] * 101
    assert "100 files are the most" in (await run("reconcile", "stripe-main", *many, code=2)).err


async def test_whoever_comes_second_is_told_so(run, file, pool):
    async with alone_at(pool, "stripe-main"):
        ended = await run("reconcile", "stripe-main", file(plain(*LINES)), code=1)
    assert "somebody else reconciles stripe-main" in ended.err


async def test_a_file_of_another_shop_is_refused_with_what_to_do(run, file):
    lines = [("payment", 100, f"X{number}", f"pi_{number}") for number in range(100)]
    refused = await run("reconcile", "stripe-main", file(plain(*lines)), code=2)
    assert "100 of 100 payments and refunds are of orders that are not registered here" in refused.err
    assert "order_prefixes of [books.accounts.stripe-main]" in refused.err


MAPPING = """
[books.statements.stripe-main]
kind = "payment"
currency = "CNY"
time_format = "%d.%m.%Y %H:%M"
decimal = ","
zone = "Asia/Shanghai"

[books.statements.stripe-main.columns]
occurred_at = "When"
amount = "Sum"
order = "Order"
payment = "Number"
"""


@pytest.mark.usefixtures("orders")
async def test_a_table_of_any_form_is_taken_in_by_a_mapping(run, config, file, pool):
    config.write_text(config.read_text() + MAPPING)
    table = file("When;Sum;Order;Number\n22.11.2026 20:00;1,00;A1;pi_1\n22.11.2026 20:01;1,00;A2;pi_2\n")
    shown = await run("reconcile", "stripe-main", table, "--dry-run", code=1)
    assert "mapped" in shown.out
    await run("reconcile", "stripe-main", table)
    assert await pool.fetchval("SELECT status FROM orders WHERE order_ref = 'A2'") == "paid"
    table = file("When;Sum;Order;Number\n22.11.2026 20:00;1.00;A1;pi_1\n", "other.csv")
    refused = await run("reconcile", "stripe-main", table, code=2)
    assert "line 2: Sum is no amount" in refused.err


async def test_how_a_table_is_read_is_shown_without_a_server(run, config, file):
    config.write_text(config.read_text() + MAPPING)
    good = file("When;Sum;Order;Number\n22.11.2026 20:00;1,00;A1;pi_1\n22.11.2026 20:01;-0,50;A2;pi_2\n")
    shown = await run("inspect", "--statement", "--account", "stripe-main", good)
    assert "mapped" in shown.out
    assert "-0.50 CNY" in shown.out
    cut = file("When;Sum;Order;Number\n22.11.2026 20:00;1,00;A1;pi_1\n22.11.2026 20:01;-0,5", "cut.csv")
    shown = await run("inspect", "--statement", "--account", "stripe-main", cut, code=1)
    assert "line 3: it has 2 cells, and the head 4" in shown.out
    assert "1.00 CNY" in shown.out
    as_json = await run("inspect", "--statement", "--account", "stripe-main", good, "--json")
    assert json.loads(as_json.out)["sums"] == [{"kind": "payment", "currency": "CNY", "lines": 2, "amount": 50}]
    refused = await run("inspect", "--statement", good, code=2)
    assert "--statement needs --account, one of:" in refused.err
    missing = await run("inspect", "--statement", "--account", "stripe-main", "nowhere.csv", code=2)
    assert "No such file" in missing.err
