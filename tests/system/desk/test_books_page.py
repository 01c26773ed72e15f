"""The page of the books: what differs with its case, what is missing between statements, and which were taken in."""

from datetime import timedelta
from uuid import uuid4

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.database.test_bank import MONDAY, SENT, at_bank, lists
from tests.desk_orders import HOSTILE
from tests.desk_reading import page_of, shows_text_alone, text_of
from tests.desks import a_desk, a_person, desk_client
from tests.statement_lines import DAY, a_file, a_line
from tests.statement_writers.bank import camt
from tillkeeper.desk.person import Role
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.workers.reconcile import Reconciler

LATER = NOON + timedelta(days=3)
POLICY = Policy()


def at_desk(pool, locale="en"):
    return desk_client(a_desk(pool, now=lambda: LATER), a_person(Role.VIEWER, locale, "mei"))


async def reconcile(pool, *files, by="mei"):
    return await Reconciler(pool, "stripe-main", policy=POLICY, run=uuid4(), by=by, now=lambda: LATER).reconcile(files)


@pytest.fixture
async def paid(pool):
    await register(pool, a_registration(), policy=POLICY, now=NOON)
    delivery = a_delivery(an_event())
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=POLICY, now=NOON))


@pytest.mark.parametrize(("locale", "says"), [("en", "No statement was taken in."), ("zh", "还没有对账单。")])
async def test_without_a_statement_it_says_how_to_begin(pool, locale, says):
    async with at_desk(pool, locale) as client:
        text = await text_of(client, "/books")
    assert says in text
    assert "tillkeeper reconcile" in text


@pytest.mark.usefixtures("paid")
async def test_what_differs_leads_to_its_case_and_its_order(pool):
    await reconcile(pool, a_file(a_line(amount=90)), a_file(begins=DAY + timedelta(days=2), name="later"))
    number = await pool.fetchval("SELECT id FROM cases")
    async with at_desk(pool) as client:
        page, text = await page_of(client, "/books"), await text_of(client, "/books")
        elsewhere = await text_of(client, "/books?account=alipay-main")
    assert f'href="/cases/{number}"' in page
    assert 'href="/orders/A1"' in page
    for part in ("differ in 1 place", "another amount", "Missing between statements", "test.trade", "line 2"):
        assert part in text, part
    assert "No statement was taken in." in elsewhere


@pytest.mark.usefixtures("paid")
async def test_where_all_agrees_it_says_so(pool):
    await reconcile(pool, a_file(a_line()))
    async with at_desk(pool) as client:
        assert "Statements and orders agree." in await text_of(client, "/books")


async def test_payouts_that_have_not_arrived_are_listed_with_their_cases(pool):
    async with pool.acquire() as conn:
        await lists(conn, SENT, account="stripe-main")
        await at_bank(conn, camt([], day=MONDAY + timedelta(days=4)))
    number = await pool.fetchval("SELECT id FROM cases")
    async with at_desk(pool) as client:
        page, text = await page_of(client, "/books"), await text_of(client, "/books")
        payouts = (await (await client.get("/api/books")).json())["payouts"]
        case = await text_of(client, f"/cases/{number}")
    for part in ("payout", "po_1ABCDEFG", "100.00", "The gateway sent a payout"):
        assert part in case, part
    assert f'href="/cases/{number}"' in page
    for part in ("Payouts that have not arrived", "missing", "po_1ABCDEFG", "100.00", "2026-11-23"):
        assert part in text, part
    (payout,) = payouts
    assert (payout["verdict"], payout["amount_minor"], payout["case_id"]) == ("missing", 10_000, number)


async def test_what_strangers_wrote_is_shown_as_text(pool):
    await register(pool, a_registration(), policy=POLICY, now=NOON)
    line = a_line(payment_ref=HOSTILE[:200], order_ref=None, currency="USD")
    await reconcile(pool, a_file(line, form="test.<b>"), by="<script>")
    async with at_desk(pool) as client:
        shows_text_alone(await page_of(client, "/books"))


@pytest.mark.usefixtures("paid")
async def test_programs_read_the_same(pool):
    await reconcile(pool, a_file(a_line(amount=90)), a_file(begins=DAY + timedelta(days=2), name="later"))
    async with at_desk(pool) as client:
        told = await (await client.get("/api/books")).json()
        elsewhere = await (await client.get("/api/books?account=alipay-main")).json()
    [difference], [gap] = told["differences"], told["missing"]
    assert (difference["verdict"], difference["said_minor"], difference["known_minor"]) == ("amount_differs", 90, 100)
    assert (difference["order_ref"], difference["case_id"]) == ("A1", await pool.fetchval("SELECT id FROM cases"))
    assert (gap["begins"], gap["ends"]) == ("2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z")
    assert [each["lines"] for each in told["statements"]] == [0, 1]
    assert elsewhere == {"differences": [], "statements": [], "missing": [], "payouts": []}
