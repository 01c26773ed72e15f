"""Money that the guard holds, for its account is paused: who says they paid is not told that nothing came."""

from uuid import uuid4

import pytest

from tests.database.factories import NOON, a_delivery
from tests.database.test_guard_sweeping import paused
from tests.desk_orders import ACCOUNT, MINUTE, an_order, of_alipay, tell
from tillkeeper.domain.delivery import EnvelopeKeys
from tillkeeper.domain.events import Kind
from tillkeeper.domain.payment_claim import ClaimSign, ClaimVerdict, answer
from tillkeeper.store.guard.holding import hold
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.search.claim import read_claim

REF = "ORD-1042"
# As after a query that found nothing: without what is held, this would be "not paid".
ANSWERED = """
INSERT INTO steps (order_id, phase, action, at, taken_at, result) SELECT id, phase, 'query', $1, $1, 'x' FROM orders
"""


async def held(pool, *events, keys=()):
    """Has deliveries with these events held."""
    pause = await pool.fetchval("SELECT id FROM account_pauses")

    async def work(conn):
        for event in events:
            delivery = a_delivery(event, run=uuid4(), number=1, account=ACCOUNT, received_at=NOON, body=b"{}")
            await hold(conn, [delivery], {ACCOUNT: pause}, EnvelopeKeys(keys), now=NOON)

    await repeat_on_conflict(pool, work)


@pytest.fixture
async def order(pool):
    await an_order(pool, REF)
    await pool.execute(ANSWERED, NOON)


async def claimed(pool):
    return answer(await read_claim(pool, REF, now=NOON + MINUTE))


async def test_without_a_pause_it_is_not_paid(pool, order):
    assert (await claimed(pool)).verdict is ClaimVerdict.NOT_PAID


@pytest.mark.parametrize("keys", [(), ("a key of thirty-two characters..",)])
async def test_a_success_that_is_held_is_being_taken_over(pool, order, keys):
    await paused(pool, ACCOUNT)
    others = [of_alipay(order_ref=f"OTHER-{number}", payment_ref=f"P-{number}", amount=5) for number in range(3)]
    await held(pool, *others, of_alipay(order_ref=REF, payment_ref="P-9", amount=12_900), keys=keys)
    found = await claimed(pool)
    assert found.verdict is ClaimVerdict.TAKING_OVER
    assert [(each.sign, each.ref, each.amount) for each in found.because] == [(ClaimSign.HELD_BACK, "P-9", 12_900)]


async def test_a_success_that_names_the_payment_alone_is_found_too(pool, order):
    await tell(pool, of_alipay(Kind.PAYMENT_PENDING, order_ref=REF, payment_ref="P-9"))
    await paused(pool, ACCOUNT)
    await held(pool, of_alipay(order_ref=None, payment_ref="P-9", amount=12_900, second=9))
    assert (await claimed(pool)).verdict is ClaimVerdict.TAKING_OVER


@pytest.mark.parametrize("order_ref", [f"{REF}1", "OTHER"])
async def test_while_its_account_is_paused_nothing_is_said_to_be_unpaid(pool, order, order_ref):
    await paused(pool, ACCOUNT)
    await held(pool, of_alipay(order_ref=order_ref, payment_ref="P-9", amount=12_900))
    found = await claimed(pool)
    assert (found.verdict, [each.sign for each in found.because]) == (ClaimVerdict.NOT_KNOWN, [ClaimSign.PAUSED])


async def test_what_is_held_and_tells_of_no_success_leaves_it_unknown(pool, order):
    await paused(pool, ACCOUNT)
    await held(pool, of_alipay(Kind.PAYMENT_FAILED, order_ref=REF, payment_ref="P-9"))
    found = await claimed(pool)
    assert (found.verdict, found.because[0].sign) == (ClaimVerdict.NOT_KNOWN, ClaimSign.HELD_BACK)
