"""Statements are taken in whole or not at all; what a gateway alone has is applied, and what differs is a case once."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.statement_lines import BOTH, DAY, a_file, a_line
from tillkeeper.domain.books.matching import Verdict
from tillkeeper.domain.books.statement import LineKind, StatementRefused
from tillkeeper.domain.events import Kind
from tillkeeper.domain.guard import GuardSign, Rule
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.retention import Days
from tillkeeper.domain.statement_terms import BooksPolicy, BooksTerms, FeeTerms
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.books.exclusive import AnotherReconciles, alone_at
from tillkeeper.store.guard.deciding import decide
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.recent_audit import audit_since
from tillkeeper.store.retention.passes import plan
from tillkeeper.store.retention.passes import run as run_retention
from tillkeeper.workers.compare_again import CompareAgain
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.reconcile import AccountPaused, MostlyForeign, Reconciler

LATER = NOON + timedelta(days=3)
DAYS_AROUND = {"begins": DAY - timedelta(days=2), "ends": DAY + timedelta(days=3)}
POLICY = Policy()


@pytest.fixture
def reconcile(pool):
    async def run(*files, policy=POLICY, dry_run=False, now=LATER, guard=None):
        rules = {} if guard is None else {"guard": guard}
        reconciler = Reconciler(pool, "stripe-main", policy=policy, run=uuid4(), by="mei", now=lambda: now, **rules)
        return await reconciler.reconcile(files, dry_run=dry_run)

    return run


@pytest.fixture
def paid(pool):
    async def pay(*events, order_ref="A1", **fields):
        await register(pool, a_registration(order_ref, **fields), policy=POLICY, now=NOON)
        if events:
            await repeat_on_conflict(
                pool, lambda conn: apply_deliveries(conn, [a_delivery(*events)], policy=POLICY, now=NOON)
            )

    return pay


def counts(done):
    return {
        verdict.value: count
        for verdict in Verdict
        if (count := sum(tally.of(verdict) for tally in done.tallies.values()))
    }


async def cases(pool):
    rows = await pool.fetch("SELECT kind, subject, closed_by FROM cases ORDER BY kind, subject")
    return [tuple(row) for row in rows]


async def test_what_agrees_is_counted_and_leaves_nothing(reconcile, paid, pool):
    await paid(an_event())
    done = await reconcile(a_file(a_line()))
    assert counts(done) == {"matched": 1}
    assert await cases(pool) == []
    [taken] = done.taken
    assert (taken.lines, [msgspec.to_builtins(each) for each in taken.sums]) == (
        1,
        [{"kind": "payment", "currency": "CNY", "lines": 1, "amount": 100}],
    )


async def test_a_payment_that_only_the_gateway_has_pays_its_order(reconcile, paid, pool):
    await paid()
    done = await reconcile(a_file(a_line()))
    assert (counts(done), done.outcomes, done.settled) == ({"at_gateway_only": 1}, {"applied": 1}, 1)
    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    assert await pool.fetchval("SELECT evidence FROM inbox") == "statement"
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE audience = 'merchant'") == 1
    assert await cases(pool) == []


async def test_a_refund_that_only_the_gateway_has_is_of_the_order(reconcile, paid, pool):
    await paid(an_event())
    done = await reconcile(a_file(a_line(), a_line(LineKind.REFUND, -100, refund_ref="re_1")))
    assert counts(done) == {"matched": 1, "refunded_there_only": 1}
    assert await pool.fetchval("SELECT status FROM orders") == "refunded"
    assert await cases(pool) == []


async def test_the_same_file_again_changes_nothing(reconcile, paid, pool):
    await paid()
    line = a_line(amount=90)
    for _ in range(2):
        await reconcile(a_file(line))
    assert await pool.fetchval("SELECT count(*) FROM statement_lines") == 1
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 1


async def test_a_dry_run_says_the_same_and_writes_nothing(reconcile, paid, pool):
    await paid()
    done = await reconcile(a_file(a_line(), a_line(amount=5, payment_ref="pi_9", order_ref="A1")), dry_run=True)
    assert counts(done) == {"at_gateway_only": 2}
    for table in ("statements", "statement_lines", "statement_differences", "inbox", "cases"):
        assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 0, table


async def test_what_is_known_here_alone_is_a_case_that_a_later_statement_closes(reconcile, paid, pool):
    await paid(an_event())
    assert counts(await reconcile(a_file(begins=DAY, name="the day alone"))) == {"carried_over": 1}
    assert counts(await reconcile(a_file(**DAYS_AROUND))) == {"here_only": 1}
    assert await cases(pool) == [("statement_here_only", "payment:stripe-main/pi_1", None)]
    done = await reconcile(a_file(a_line(), **DAYS_AROUND, name="again"))
    assert (done.settled, await cases(pool)) == (1, [("statement_here_only", "payment:stripe-main/pi_1", "system")])


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ({"amount": 90}, "statement_differs"),
        ({"currency": "USD"}, "statement_differs"),
        ({"occurred_at": DAY + timedelta(days=4)}, "statement_differs"),
        ({"fee": 7}, "statement_fee_differs"),
    ],
)
async def test_each_difference_is_a_case_once_and_closes_once_they_agree(reconcile, paid, pool, line, kind):
    await paid(an_event())
    terms = BooksTerms(fees={"CNY": FeeTerms(millionths=6000)})
    policy = Policy(books=BooksPolicy(terms=terms))
    for name in ("first", "second"):
        await reconcile(
            a_file(a_line(**line), name=name, begins=DAY - timedelta(days=9), ends=DAY + timedelta(days=9)),
            policy=policy,
        )
        assert await cases(pool) == [(kind, "payment:stripe-main/pi_1", None)]
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE topic = 'case.opened'") == 1
    done = await reconcile(
        a_file(a_line(fee=1), begins=DAY - timedelta(days=9), ends=DAY + timedelta(days=9)), policy=policy
    )
    assert (counts(done), await cases(pool)) == ({"matched": 1}, [(kind, "payment:stripe-main/pi_1", "system")])


async def test_a_line_that_stands_twice_is_told(reconcile, paid, pool):
    await paid(an_event())
    assert counts(await reconcile(a_file(a_line(), a_line(number=3)))) == {"twice": 1}
    assert await cases(pool) == [("statement_differs", "payment:stripe-main/pi_1", None)]


async def test_a_day_that_is_split_over_two_files_ends_as_one_that_is_not(reconcile, paid, pool):
    for number in (1, 2):
        await paid(an_event(order_ref=f"A{number}", payment_ref=f"pi_{number}"), order_ref=f"A{number}")
    lines = [a_line(order_ref=f"A{number}", payment_ref=f"pi_{number}") for number in (1, 2)]
    done = await reconcile(a_file(lines[0], **DAYS_AROUND), a_file(lines[1], **DAYS_AROUND))
    assert (counts(done), await cases(pool)) == ({"matched": 2}, [])
    # A newer file of the whole takes the place of both.
    done = await reconcile(a_file(*lines, **DAYS_AROUND))
    assert (counts(done), len(done.taken[0].superseded)) == ({"matched": 2}, 2)


async def test_lines_of_another_shop_are_counted_and_left_alone(reconcile, pool):
    policy = Policy(books=BooksPolicy(accounts={"stripe-main": BooksTerms(order_prefixes=("A",))}))
    done = await reconcile(a_file(a_line(order_ref="OTHER-7")), policy=policy)
    assert (counts(done), await pool.fetchval("SELECT count(*) FROM inbox")) == ({"not_ours": 1}, 0)


async def test_money_of_an_order_that_is_not_registered_waits_and_needs_no_second_case(reconcile, paid, pool):
    done = await reconcile(a_file(a_line()))
    assert (done.outcomes, await cases(pool)) == ({"waiting": 1}, [])
    await paid()
    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    assert (await reconcile(a_file(a_line()))).settled == 1


async def test_nothing_of_a_file_that_is_refused_at_its_end_is_kept(reconcile, paid, pool):
    await paid()

    def cut():
        yield a_line()
        raise StatementRefused("the totals line is missing", line=3)

    with pytest.raises(StatementRefused, match="line 3: the totals line is missing"):
        await reconcile(msgspec.structs.replace(a_file(), lines=cut()))
    assert await pool.fetchval("SELECT count(*) FROM statements") == 0
    assert await pool.fetchval("SELECT count(*) FROM statement_lines") == 0


async def test_one_at_a_time_reconciles_an_account(reconcile, pool):
    async with alone_at(pool, "stripe-main"):
        with pytest.raises(AnotherReconciles):
            await reconcile(a_file(a_line()))
    await reconcile(a_file(a_line()))


async def test_of_a_form_that_covers_nothing_a_repeated_line_counts_once(reconcile, paid, pool):
    await paid(an_event())
    settled = {"covers": (), "form": "test.settled"}
    for name in ("one", "another"):
        done = await reconcile(a_file(a_line(payout_ref="po_1"), name=name, begins=DAY, **settled))
        assert counts(done) == {"matched": 1}
    assert BOTH
    assert await pool.fetchval("SELECT count(*) FROM statement_lines WHERE superseded_by IS NULL") == 1


async def test_chargebacks_are_disputes(reconcile, paid, pool):
    await paid(an_event())
    line = a_line(LineKind.CHARGEBACK, -100, dispute_ref="dp_1")
    assert counts(await reconcile(a_file(a_line(), line)))["at_gateway_only"] == 1
    assert await pool.fetchval("SELECT status FROM disputes") == "opened"
    back = a_line(LineKind.CHARGEBACK_REVERSED, 100, dispute_ref="dp_1", number=4)
    await reconcile(a_file(a_line(), line, back))
    assert await pool.fetchval("SELECT status FROM disputes") == "won"
    assert Kind.DISPUTE_WON in {row["kind"] for row in await pool.fetch("SELECT kind FROM inbox")}


async def test_retention_removes_lines_of_statements_that_nothing_differs_about(reconcile, paid, pool):
    await paid(an_event())
    await reconcile(a_file(a_line(), name="agrees"), a_file(a_line(amount=90), form="test.other", name="differs"))
    days, later = Days(statements=10), LATER + timedelta(days=11)
    async with pool.acquire() as conn:
        [planned] = await plan(conn, days, now=later)
    gone = [share async for share in run_retention(pool, days, now=later)]
    assert [(share.part, share.rows) for share in (planned, *gone)] == [("statement_lines", 1)] * 2
    rows = await pool.fetch("SELECT form, lines_removed_at IS NULL AS kept FROM statements ORDER BY form")
    assert [tuple(row) for row in rows] == [("test.other", True), ("test.trade", False)]
    # What was removed is neither missing nor found anew.
    await reconcile(a_file(a_line(amount=90), form="test.other", name="differs"))
    assert await pool.fetchval("SELECT count(*) FROM cases WHERE closed_at IS NULL") == 1


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE statement_lines SET amount_minor = 99",
        "DELETE FROM statement_lines",
        "UPDATE statement_lines SET kind = 'fee'",
    ],
)
async def test_the_audit_sees_a_line_that_is_not_as_it_was_read(reconcile, paid, pool, tampering):
    await paid(an_event())
    await reconcile(a_file(a_line()))
    assert (await audit(pool, settled_until=LATER, now=LATER)).misadded == []
    await pool.execute(tampering)
    for books in (
        await audit(pool, settled_until=LATER, now=LATER),
        await audit_since(pool, NOON, settled_until=LATER, now=LATER),
    ):
        assert not books.balances
        assert {each["statement"] for each in books.misadded} == {await pool.fetchval("SELECT id FROM statements")}


async def test_an_event_settles_what_differed_without_another_statement(reconcile, paid, pool):
    await paid(an_event(amount=60))
    await reconcile(a_file(a_line()))
    assert await cases(pool) == [("statement_differs", "payment:stripe-main/pi_1", None)]
    again = CompareAgain(pool=pool, retry=DatabaseRetry(asyncio.Event()), policy=lambda: POLICY, now=lambda: LATER)
    await again.run_once()
    assert await cases(pool) == [("statement_differs", "payment:stripe-main/pi_1", None)]
    more = a_delivery(an_event(amount=40, capture_ref="c2"))
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [more], policy=POLICY, now=NOON))
    async with alone_at(pool, "stripe-main"):
        await again.run_once()  # somebody reconciles it
        assert await pool.fetchval("SELECT count(*) FROM statement_differences WHERE settled_at IS NULL") == 1
    await again.run_once()
    assert await cases(pool) == [("statement_differs", "payment:stripe-main/pi_1", "system")]


async def test_what_differs_in_another_way_by_now_is_another_case(reconcile, paid, pool):
    await paid(an_event(amount=60))
    terms = BooksTerms(fees={"CNY": FeeTerms(millionths=0)})
    policy = Policy(books=BooksPolicy(terms=terms))
    await reconcile(a_file(a_line(fee=9)), policy=policy)
    more = a_delivery(an_event(amount=40, capture_ref="c2"))
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [more], policy=POLICY, now=NOON))
    again = CompareAgain(pool=pool, retry=DatabaseRetry(asyncio.Event()), policy=lambda: policy, now=lambda: LATER)
    await again.run_once()
    assert await cases(pool) == [
        ("statement_differs", "payment:stripe-main/pi_1", "system"),
        ("statement_fee_differs", "payment:stripe-main/pi_1", None),
    ]


async def test_a_line_finds_its_payment_by_a_capture_or_by_its_order(reconcile, paid, pool):
    await paid(an_event(capture_ref="c1"))
    await paid(an_event(order_ref="A2", payment_ref="pi_2"), order_ref="A2")
    done = await reconcile(
        a_file(
            a_line(payment_ref=None, order_ref=None, capture_ref="c1"),
            a_line(payment_ref=None, order_ref="A2"),
            a_line(payment_ref=None, order_ref="A3", amount=7),
        )
    )
    assert counts(done) == {"matched": 2}
    assert [(each.kind, each.lines, each.amount) for each in done.taken[0].unnamed] == [("payment", 1, 7)]


async def test_a_chargeback_finds_the_one_dispute_of_its_payment(reconcile, paid, pool):
    await paid(an_event(), an_event(Kind.DISPUTE_OPENED, 9, dispute_ref="dp_1", amount=100))
    done = await reconcile(a_file(a_line(), a_line(LineKind.CHARGEBACK, -100)))
    assert (counts(done), done.taken[0].unnamed) == ({"matched": 2}, [])


async def test_a_statement_that_would_change_too_much_pauses_the_account_and_goes_on_once_decided(
    reconcile, paid, pool
):
    rules = {GuardSign.TAKEN_BACK: Rule(least=2, share=0.01)}
    lines = []
    for number in range(3):
        await paid(an_event(order_ref=f"A{number}", payment_ref=f"pi_{number}"), order_ref=f"A{number}")
        names = {"order_ref": f"A{number}", "payment_ref": f"pi_{number}"}
        lines += [a_line(**names), a_line(LineKind.REFUND, -100, refund_ref=f"re_{number}", **names)]
    with pytest.raises(AccountPaused):
        await reconcile(a_file(*lines), guard=rules)
    # All of the file was taken in, and none of its events applied.
    assert await pool.fetchval("SELECT count(*) FROM statement_lines") == 6
    assert await pool.fetchval("SELECT matched_at FROM statements") is None
    assert await pool.fetchval("SELECT count(*) FROM refunds") == 0
    assert [kind for kind, _, closed in await cases(pool) if not closed] == ["account_paused"]
    told = {"by": "mei", "note": "our own refunds", "deaf_s": 3600, "now": LATER}
    await repeat_on_conflict(pool, lambda conn: decide(conn, "stripe-main", "go", **told))
    await pool.execute("UPDATE account_pauses SET ended_at = $1, deaf_until = $2", LATER, LATER + timedelta(hours=1))
    done = await reconcile(a_file(*lines), guard=rules)
    assert (done.outcomes, done.settled) == ({"applied": 3}, 3)
    assert await pool.fetchval("SELECT matched_at FROM statements") == LATER
    assert await pool.fetchval("SELECT count(*) FROM orders WHERE status = 'refunded'") == 3


async def test_who_dies_after_events_were_applied_does_nothing_twice(reconcile, paid, pool, monkeypatch):
    await paid()

    async def die(*_arguments, **_named):
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("tillkeeper.workers.reconcile.mark_told", die)
        with pytest.raises(RuntimeError):
            await reconcile(a_file(a_line()))
    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    assert await pool.fetchval("SELECT matched_at FROM statements") is None
    done = await reconcile(a_file(a_line()))
    assert (done.left, await pool.fetchval("SELECT count(*) FROM inbox")) == (0, 1)
    assert await pool.fetchval("SELECT matched_at FROM statements") == LATER


async def test_a_statement_that_is_mostly_of_unknown_orders_is_refused_unless_the_policy_says_whose_they_are(
    reconcile, pool
):
    lines = [a_line(order_ref=f"X{number}", payment_ref=f"pi_{number}", number=number) for number in range(100)]
    with pytest.raises(MostlyForeign, match="100 of 100 payments and refunds are of orders that are not registered"):
        await reconcile(a_file(*lines))
    assert await pool.fetchval("SELECT count(*) FROM statements") == 0
    assert counts(await reconcile(a_file(*lines), dry_run=True)) == {"at_gateway_only": 100}
    policy = Policy(books=BooksPolicy(terms=BooksTerms(order_prefixes=("X",))))
    assert (await reconcile(a_file(*lines), policy=policy)).outcomes == {"waiting": 100}
