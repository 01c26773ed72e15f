"""Payouts that gateways' statements list are found in the bank's, and what is missing is a case until it is there."""

import hashlib
import io
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from tests.database.factories import NOON
from tests.statement_writers.bank import IBAN, camt, mt940
from tillkeeper.banks.reading import bank_statements
from tillkeeper.domain.books.bank import PayoutVerdict, Terms
from tillkeeper.domain.books.statement import StatementRefused
from tillkeeper.domain.policy import Policy
from tillkeeper.store.books.bank import list_payouts, settle_payouts, take_bank_file, way_of_order

MONDAY = date(2026, 11, 23)
TERMS = Terms(words={"stripe-main": "STRIPE"}, within_days=2, covered_until=None)
STATEMENT = """
INSERT INTO statements (account, form, digest, name, run, begins, ends, zone, covers, lines, sums, taken_at, taken_by)
VALUES ($1, 'test.trade', sha256($2::text::bytea), $2, gen_random_uuid(), now() - interval '1 day', now(), 'UTC', '{}',
        1, '[]', now(), 'mei') RETURNING id
"""
LINE = """
INSERT INTO statement_lines (statement_id, place, number, account, kind, amount_minor, currency, settled_on,
                             payment_ref, payout_ref, order_ref)
VALUES ($1, $2, $2, $3, $4, $5, 'EUR', $6, $7, $8, $9)
"""


@pytest.fixture
async def conn(pool):
    async with pool.acquire() as connection:
        yield connection


async def lists(conn, *lines, account="stripe-main", name="one"):
    """A gateway's statement with these lines: (kind, cents, day, payment, payout)."""
    number = await conn.fetchval(STATEMENT, account, name)
    for place, (kind, cents, day, payment, payout) in enumerate(lines, 1):
        await conn.execute(LINE, number, place, account, kind, cents, day, payment, payout, None)


async def at_bank(conn, content, *, bank="main", now=NOON, iban=IBAN, terms=TERMS):
    async with conn.transaction():
        taken = await take_bank_file(
            conn,
            bank,
            bank_statements(io.BytesIO(content)),
            digest=hashlib.sha256(content).digest(),
            name="s",
            iban=iban,
            by="mei",
            now=now,
        )
        return taken, await settle_payouts(conn, bank, terms, policy=Policy().cases, now=now)


async def cases(conn):
    return [tuple(row) for row in await conn.fetch("SELECT kind, subject, closed_by FROM cases ORDER BY id")]


SENT = ("payout", -10_000, MONDAY, None, "po_1ABCDEFG")
MISSING = ("payout_missing", "payout:stripe-main/po_1ABCDEFG")


async def test_a_payout_that_arrives_is_found_once(conn):
    await lists(conn, SENT)
    day = MONDAY + timedelta(days=1)
    content = camt([(10_000, day, "STRIPE po_1ABCDEFG")], day=day)
    (taken,), (arrival,) = await at_bank(conn, content)
    assert (taken.entries, taken.new_entries, taken.gap) == (1, 1, None)
    assert (arrival.verdict, arrival.entry.booked_on) == (PayoutVerdict.ARRIVED, day)
    (taken,), again = await at_bank(conn, content)
    assert (taken.new_entries, again, await cases(conn)) == (0, [], [])
    (listed,) = await list_payouts(conn, account=None, verdicts=set(PayoutVerdict), limit=10)
    assert (listed.verdict, listed.arrived_on, listed.arrived_minor, listed.found_by) == (
        "arrived",
        day,
        10_000,
        "reference",
    )


async def test_what_is_missing_is_a_case_until_a_later_statement_has_it(conn):
    await lists(conn, SENT)
    _, (arrival,) = await at_bank(conn, camt([], day=MONDAY, last=MONDAY + timedelta(days=1)))
    assert (arrival.verdict, await cases(conn)) == (PayoutVerdict.ON_ITS_WAY, [])
    _, (arrival,) = await at_bank(conn, camt([], day=MONDAY + timedelta(days=2)))
    assert (arrival.verdict, await cases(conn)) == (PayoutVerdict.MISSING, [(*MISSING, None)])
    late = MONDAY + timedelta(days=3)
    _, (arrival,) = await at_bank(conn, mt940([(10_000, late, "STRIPE EUROPE")], day=late))
    assert (arrival.verdict, await cases(conn)) == (PayoutVerdict.ARRIVED, [(*MISSING, "system")])


async def test_another_amount_is_a_case_too(conn):
    await lists(conn, SENT)
    content = camt([(9_000, MONDAY, "STRIPE po_1ABCDEFG")], day=MONDAY)
    _, (arrival,) = await at_bank(conn, content)
    assert arrival.verdict is PayoutVerdict.DIFFERS
    details = msgspec.json.decode(await conn.fetchval("SELECT details::text FROM cases"))
    assert (details["amount"], details["listed"]) == (10_000, 9_000)


async def test_an_entry_that_stands_in_two_files_is_kept_once_and_two_alike_are_two(conn):
    alike = [(500, MONDAY, "Rent"), (500, MONDAY, "Rent")]
    entries = [*alike, (700, MONDAY, "Other")]
    await at_bank(conn, camt(entries, day=MONDAY).replace(b"REF202611230002", b"REF202611230001"))
    content = camt(entries, day=MONDAY, last=MONDAY + timedelta(days=1))
    (taken,), _ = await at_bank(conn, content.replace(b"REF202611230002", b"REF202611230001"))
    assert (taken.new_entries, await conn.fetchval("SELECT count(*) FROM bank_entries")) == (0, 3)


async def test_a_statement_between_that_is_missing_is_said(conn):
    await at_bank(conn, camt([], day=MONDAY, opening=100))
    (taken,), _ = await at_bank(conn, camt([], day=MONDAY + timedelta(days=2), opening=300))
    assert "a statement between is missing" in taken.gap


async def test_a_statement_of_another_account_is_refused(conn):
    with pytest.raises(StatementRefused, match="it is of the account DE00"):
        await at_bank(conn, camt([], day=MONDAY, iban="DE00123"))
    assert await conn.fetchval("SELECT count(*) FROM bank_statements") == 0


async def test_what_came_back_and_what_changed_is_looked_for_anew(conn):
    await lists(conn, SENT)
    content = camt([(10_000, MONDAY, "STRIPE po_1ABCDEFG")], day=MONDAY)
    await at_bank(conn, content)
    await lists(conn, ("payout", 10_000, MONDAY + timedelta(days=1), None, "po_1ABCDEFG"), name="two")
    _, (arrival,) = await at_bank(conn, content)
    assert arrival.verdict is PayoutVerdict.CAME_BACK


# --- a quarter --------------------------------------------------------------------------------------------------------

GATEWAYS = {"stripe-main": "STRIPE", "paypal-main": "PAYPAL", "adyen-main": "ADYEN"}
QUARTER = Terms(words=GATEWAYS, within_days=2, covered_until=None)
ORDER = """
INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, status, captured_minor, registered_at,
                    changed_at, phase_since)
VALUES ($1, $2, 'EUR', ARRAY[$3], '{}', 'paid', $2, $4, $4, $4) RETURNING id
"""
PAYMENT = """
INSERT INTO payments (account, payment_ref, order_id, status, facts, amount_minor, currency, captured_minor)
VALUES ($1, $2, $3, 'succeeded', '{}', $4, 'EUR', $4)
"""


async def test_of_a_quarter_of_three_gateways_every_order_has_its_way_and_every_missing_amount_its_case(conn):
    """Each gateway pays its day's sales out, less fees, and the bank has them a day later.  One payout never arrives,
    one comes a week late, one with another amount, and two come in one entry."""
    begins, days = date(2026, 7, 1), 92
    lost, late, short, joined = ("stripe-main", 20), ("paypal-main", 33), ("adyen-main", 47), ("adyen-main", 60)
    arriving: dict[date, list[tuple[int, date, str]]] = {}
    opened_on: dict[str, date] = {}
    carried = 0
    for number in range(days):
        day = begins + timedelta(days=number)
        for account, word in GATEWAYS.items():
            sales = [10_000 + 100 * number + len(account) + place for place in range(2)]
            payout, fee = f"po-{word}-{number:03d}", 25
            net = sum(sales) - 2 * fee
            lines = [("payment", cents, day, f"pay-{payout}-{at}", payout) for at, cents in enumerate(sales)]
            await lists(conn, *lines, ("fee", -2 * fee, day, None, payout), ("payout", -net, day, None, payout),
                        account=account, name=payout)  # fmt: skip
            for at, cents in enumerate(sales):
                at_noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
                order_id = await conn.fetchval(ORDER, f"{payout}-{at}", cents, account, at_noon)
                await conn.execute(PAYMENT, account, f"pay-{payout}-{at}", order_id, cents)
            when = day + timedelta(days=1 + 7 * ((account, number) == late))
            if (account, number) == joined:
                carried = net
                continue
            if (account, number - 1) == joined:
                net, carried = net + carried, 0
            if (account, number) != lost:
                text = f"{word} TRANSFER" + ("" if carried or (account, number - 1) == joined else f" {payout}")
                arriving.setdefault(when, []).append((net - 7 * ((account, number) == short), when, text))
        content = camt(arriving.get(day, []), day=day)
        async with conn.transaction():
            statements = bank_statements(io.BytesIO(content))
            digest = f"{day}".rjust(32).encode()
            await take_bank_file(conn, "main", statements, digest=digest, name="s", iban=None, by="mei", now=NOON)
            await settle_payouts(conn, "main", QUARTER, policy=Policy().cases, now=NOON)
        for row in await conn.fetch("SELECT subject FROM cases"):
            opened_on.setdefault(row["subject"], day)
    found = {
        subject.rpartition("-")[0].rpartition("/")[2] + subject[-4:]: closed for _, subject, closed in await cases(conn)
    }
    assert found == {"po-STRIPE-020": None, "po-PAYPAL-033": "system", "po-ADYEN-047": None}
    due = {20: begins + timedelta(days=22), 33: begins + timedelta(days=35), 47: begins + timedelta(days=48)}
    for subject, on in opened_on.items():
        assert abs((on - due[int(subject[-3:])]).days) <= 3  # week-ends are not counted
    ways = {
        f"{word}-{number:03d}": {line.where for line in await way_of_order(conn, f"po-{word}-{number:03d}-0")}
        for word in GATEWAYS.values()
        for number in range(days - 3)
    }
    odd = {ref: where for ref, where in ways.items() if where != {"arrived at the bank"}}
    assert odd == {"STRIPE-020": {"missing at the bank"}, "ADYEN-047": {"at the bank, with another amount"}}
