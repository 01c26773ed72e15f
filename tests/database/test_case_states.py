"""A case is about a state of the world: what a person resolved stays resolved, and another state is told again."""

from datetime import timedelta

import msgspec
import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.resolving import resolve_by_two
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.registration import Payer
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.order import show

PENDING, AUTHORIZED, PAID = Kind.PAYMENT_PENDING, Kind.PAYMENT_AUTHORIZED, Kind.PAYMENT_SUCCEEDED
ELSEWHERE = {"account": "stranger", "payment_ref": "pi_9", "amount": 100}
IN_USD = {"payment_ref": "pi_9", "amount": 100, "currency": "USD"}
SECOND = timedelta(seconds=1)
CONTESTED = {"dispute_ref": "dp_1", "amount": 100}
BACK = {"refund_ref": "re_1", "amount": 30}


async def told(pool, kind, second, **fields):
    delivery, now = a_delivery(an_event(kind, second, **fields)), NOON + timedelta(seconds=second)
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=Policy(), now=now))


async def open_kinds(pool):
    return [case["kind"] for case in (await show(pool, "A1"))["cases"] if case["closed_at"] is None]


async def resolved(pool):
    for case in (await show(pool, "A1"))["cases"]:
        if case["closed_at"] is None:
            await repeat_on_conflict(pool, lambda conn, row=case: resolve_by_two(conn, row["id"]))


@pytest.mark.parametrize(
    ("kind", "before", "after", "is_told_again"),
    [
        ("wrong_currency", [(PENDING, IN_USD)], [(PAID, IN_USD)], True),
        ("wrong_currency", [(PENDING, IN_USD)], [(AUTHORIZED, IN_USD)], True),
        ("wrong_currency", [(PENDING, IN_USD)], [(PENDING, IN_USD)], False),
        ("wrong_currency", [(PENDING, IN_USD)], [(Kind.PAYMENT_FAILED, IN_USD)], False),
        ("wrong_currency", [(PENDING, IN_USD)], [(Kind.PAYMENT_FAILED, IN_USD), (PAID, IN_USD)], True),
        ("wrong_currency", [(PAID, IN_USD)], [(PAID, {**IN_USD, "capture_ref": "c2"})], True),
        ("wrong_currency", [(PAID, IN_USD)], [(PAID, {"amount": 50})], False),
        ("wrong_currency", [(Kind.REFUND_PENDING, {**BACK, "currency": "USD"})],
         [(Kind.REFUND_SUCCEEDED, {**BACK, "currency": "USD"})], True),
        ("unexpected_account", [(PENDING, ELSEWHERE)], [(PAID, ELSEWHERE)], True),
        ("unexpected_account", [(PENDING, ELSEWHERE)], [(Kind.PAYMENT_CANCELLED, ELSEWHERE)], False),
        ("unexpected_account", [(PAID, ELSEWHERE)], [(PAID, {**ELSEWHERE, "amount": 120})], True),
        ("disputed", [(Kind.DISPUTE_OPENED, CONTESTED)], [(Kind.DISPUTE_LOST, CONTESTED)], True),
        ("disputed", [(Kind.DISPUTE_OPENED, CONTESTED)], [(Kind.DISPUTE_OPENED, CONTESTED)], False),
        ("disputed", [(Kind.DISPUTE_LOST, CONTESTED)], [(Kind.DISPUTE_WON, CONTESTED)], False),
        ("disputed", [(Kind.DISPUTE_LOST, CONTESTED)],
         [(Kind.DISPUTE_WON, CONTESTED), (Kind.DISPUTE_LOST, CONTESTED)], True),
        ("refund_failed", [(Kind.REFUND_FAILED, BACK)], [(Kind.REFUND_FAILED, BACK)], False),
        ("refund_failed", [(Kind.REFUND_FAILED, BACK)], [(Kind.REFUND_SUCCEEDED, BACK)], False),
        ("refund_failed", [(Kind.REFUND_FAILED, BACK)],
         [(Kind.REFUND_SUCCEEDED, BACK), (Kind.REFUND_FAILED, BACK)], True),
        ("overpaid", [(PAID, {"amount": 150})], [(PENDING, {"payment_ref": "pi_2"})], False),
        ("overpaid", [(PAID, {"amount": 150})],
         [(Kind.REFUND_SUCCEEDED, {**BACK, "amount": 50}), (Kind.REFUND_FAILED, {**BACK, "amount": 50})], True),
    ],
)  # fmt: skip
async def test_another_state_than_the_one_a_person_resolved_is_told_again(pool, kind, before, after, is_told_again):
    await register(pool, a_registration(), policy=Policy(), now=NOON)
    steps = [(kind, {"payment_ref": "pi_1", **fields}) for kind, fields in (*before, *after)]
    if kind in ("disputed", "refund_failed"):
        steps.insert(0, (PAID, {"payment_ref": "pi_1"}))
    last_before = len(steps) - len(after)
    for second, (what, fields) in enumerate(steps):
        if second == last_before:
            assert kind in await open_kinds(pool)
            await resolved(pool)
        await told(pool, what, second, **fields)
    assert (kind in await open_kinds(pool)) is is_told_again
    notices = await pool.fetchval(
        "SELECT count(*) FROM outbox WHERE topic = 'case.opened' AND payload ->> 'kind' = $1", kind
    )
    assert notices == (2 if is_told_again else 1)
    assert (await audit(pool, settled_until=NOON, now=NOON)).stale == []


async def test_an_open_case_shows_how_things_stand_and_is_resolved_as_that(pool):
    await register(pool, a_registration(), policy=Policy(), now=NOON)
    await told(pool, PENDING, 0, **IN_USD)
    await told(pool, PAID, 1, **IN_USD)
    [case] = (await show(pool, "A1"))["cases"]
    assert case["details"]["state"] == "succeeded 100 USD"
    entries = await pool.fetch("SELECT what, by, note FROM case_entries ORDER BY id")
    assert [tuple(entry) for entry in entries] == [
        ("opened", "tillkeeper", None),
        ("noted", "tillkeeper", "now succeeded 100 USD"),
    ]
    await resolved(pool)
    await told(pool, PAID, 2, **IN_USD)
    assert await open_kinds(pool) == []


async def test_a_case_from_before_states_were_kept_opens_again_for_more_money_alone(pool):
    await register(pool, a_registration(), policy=Policy(), now=NOON)
    await told(pool, PAID, 0, amount=120)
    await told(pool, PAID, 0, amount=100, payment_ref="pi_3")
    await resolved(pool)
    await pool.execute("UPDATE cases SET state = NULL")
    await told(pool, PENDING, 1, payment_ref="pi_2")
    assert await open_kinds(pool) == []
    await told(pool, PAID, 2, payment_ref="pi_2")
    assert await open_kinds(pool) == ["paid_twice"]


@pytest.mark.parametrize(
    ("first", "then", "left"),
    [
        # A second attempt was begun in another currency by mistake, and failed in the right one.
        ([(PAID, {}), (PENDING, IN_USD)], [(Kind.PAYMENT_FAILED, {"payment_ref": "pi_9", "amount": 100})], []),
        (
            [(PAID, {"amount": 150}), (PAID, {"amount": 50, "payment_ref": "pi_2"})],
            [(PAID, {"amount": 100}), (PAID, {"amount": 100, "payment_ref": "pi_2"})],
            ["paid_twice"],
        ),
        ([(PAID, {}), (Kind.REFUND_FAILED, BACK)], [(Kind.REFUND_FAILED, {**BACK, "failure_code": "withdrawn"})], []),
        (
            [(PAID, {}), (Kind.REFUND_FAILED, {**BACK, "currency": "USD"})],
            [(Kind.REFUND_FAILED, BACK)],
            ["refund_failed"],
        ),
        (
            [(PAID, {}), (Kind.DISPUTE_OPENED, {**CONTESTED, "currency": "USD"})],
            [(Kind.DISPUTE_OPENED, CONTESTED)],
            ["disputed"],
        ),
    ],
)
async def test_a_case_whose_cause_is_gone_closes_though_no_sum_moved(pool, first, then, left):
    await register(pool, a_registration(), policy=Policy(), now=NOON)
    for second, (kind, fields) in enumerate((*first, *then)):
        await told(pool, kind, second, **fields)
    assert await open_kinds(pool) == left
    assert (await audit(pool, settled_until=NOON, now=NOON)).stale == []


async def test_a_late_word_in_another_currency_leaves_no_case_open(pool):
    await register(pool, a_registration(), policy=Policy(), now=NOON)
    await told(pool, PENDING, 2, amount=100)
    await told(pool, PENDING, 1, amount=100, currency="USD")
    [case] = (await show(pool, "A1"))["cases"]
    assert (case["kind"], case["closed_by"]) == ("wrong_currency", "system")
    assert (await audit(pool, settled_until=NOON, now=NOON)).stale == []


async def test_a_payment_that_its_gateway_took_back_is_told_to_merchant_and_ops_and_to_no_payer(pool):
    await register(pool, a_registration(payer=Payer(email="mei@example.com")), policy=Policy(), now=NOON)
    await told(pool, PAID, 0, payment_ref="pi_1")
    await told(pool, PAID, 1, payment_ref="pi_2", amount=40)
    await told(pool, Kind.PAYMENT_REVERSED, 2, payment_ref="pi_1")
    order = await show(pool, "A1")
    assert (order["status"], order["paid"]) == ("partially_paid", 40)
    assert await open_kinds(pool) == ["payment_reversed"]
    topics = [
        row["topic"] for row in await pool.fetch("SELECT topic FROM outbox WHERE created_at = $1", NOON + 2 * SECOND)
    ]
    assert sorted(topics) == ["case.opened", "order.status_changed"]
    await resolved(pool)
    await told(pool, PAID, 3, payment_ref="pi_1")
    await told(pool, Kind.PAYMENT_REVERSED, 4, payment_ref="pi_1")
    assert await open_kinds(pool) == ["payment_reversed"]
    await told(pool, PAID, 5, payment_ref="pi_3", amount=60)
    assert await open_kinds(pool) == []
    assert (await audit(pool, settled_until=NOON, now=NOON)).stale == []


async def test_what_was_charged_back_stands_beside_the_status_and_the_merchant_is_told(pool):
    await register(pool, a_registration(), policy=Policy(), now=NOON)
    await told(pool, PAID, 0)
    await told(pool, Kind.DISPUTE_LOST, 1, **CONTESTED)
    order = await show(pool, "A1")
    assert (order["status"], order["paid"], order["charged_back"]) == ("paid", 100, 100)
    [notice] = await pool.fetch("SELECT payload FROM outbox WHERE topic = 'order.amounts_changed'")
    assert msgspec.json.decode(notice["payload"])["charged_back"] == 100
