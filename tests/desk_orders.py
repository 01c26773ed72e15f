"""Orders for tests of the desk: one whose history has everything, and one whose every text is hostile."""

from datetime import timedelta

import asyncpg

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.database.sweeps import SHIPPED
from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order.registration import Instalment
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.cases import acts as case_acts
from tillkeeper.store.orders import acts as order_acts
from tillkeeper.store.postgres.transactions import repeat_on_conflict

ACCOUNT = "alipay-main"
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
# Markup, a script, quotes, a template's braces, overrides of the direction, a control character, no place to break.
HOSTILE = "</bdi><script>alert(1)</script>\"'>\u202e\u2066exe.gpj\u0007{{7*7}}" + "W" * 60


async def tell(pool: asyncpg.Pool, *events, at=NOON, body=b'{"id": "evt"}', **delivery):
    """Has a delivery with these events come in, and applied a second later."""
    fields = {"account": ACCOUNT, "received_at": at, "body": body, "key": "alipay_public_key", **delivery}
    made = a_delivery(*events, **fields)
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [made], policy=SHIPPED, now=at + SECOND))


def of_alipay(kind=Kind.PAYMENT_SUCCEEDED, second=0, **fields):
    defaults = {"account": ACCOUNT, "order_ref": "ORD-1042", "payment_ref": "2026112222001466881402837156"}
    return an_event(kind, second, **{**defaults, **fields})


async def an_order(pool: asyncpg.Pool, order_ref="ORD-1042", **fields):
    defaults = {"amount": 12_900, "currency": "CNY", "accounts": (ACCOUNT,)}
    await register(pool, a_registration(order_ref, **{**defaults, **fields}), policy=SHIPPED, now=NOON - 5 * MINUTE)


async def a_paid_order(pool: asyncpg.Pool):
    """Pending, paid, and what is heard twice or late, with an act and a parting refund that failed."""
    await an_order(pool)
    paid = {"amount": 12_900, "method": "ALIPAYACCOUNT"}
    await tell(pool, of_alipay(Kind.PAYMENT_PENDING, 0), at=NOON + 1 * SECOND)
    await tell(
        pool,
        of_alipay(second=130, **paid),
        at=NOON + 131 * SECOND,
        body=b"trade_status=TRADE_SUCCESS&buyer_email=mei@example.com&buyer_phone=13812345678&total_amount=129.00",
    )
    await tell(pool, of_alipay(second=130, event_id="again", **paid), at=NOON + 190 * SECOND)
    await tell(
        pool,
        of_alipay(
            Kind.PAYMENT_FAILED, 60, failure=FailureClass.INSUFFICIENT_FUNDS, failure_code="ACQ.BALANCE_NOT_ENOUGH"
        ),
        at=NOON + 200 * SECOND,
    )
    await tell(
        pool,
        of_alipay(second=260, amount=12_900, currency="USD", payment_ref="2026112222001466881402837157"),
        at=NOON + 261 * SECOND,
    )
    by = {"by": "mei", "note": "The customer calls back tomorrow."}
    until = NOON + timedelta(hours=24)
    await repeat_on_conflict(
        pool, lambda conn: order_acts.hold(conn, "ORD-1042", until=until, now=NOON + 5 * MINUTE, **by)
    )


async def a_refunded_order(pool: asyncpg.Pool):
    """Paid in parts by a plan, part of it going back."""
    plan = tuple(Instalment(amount=4_300, due_at=NOON + timedelta(days=30 * part)) for part in range(3))
    await an_order(pool, "ORD-1043", instalments=plan)
    await tell(pool, of_alipay(order_ref="ORD-1043", payment_ref="P-1043-1", amount=4_300))
    await tell(pool, of_alipay(order_ref="ORD-1043", payment_ref="P-1043-2", amount=4_300), at=NOON + MINUTE)
    refund = {"order_ref": "ORD-1043", "payment_ref": "P-1043-1"}
    await tell(
        pool, of_alipay(Kind.REFUND_SUCCEEDED, 120, refund_ref="R-1", amount=1_000, **refund), at=NOON + 2 * MINUTE
    )
    await tell(pool, of_alipay(Kind.REFUND_PENDING, 180, refund_ref="R-2", amount=900, **refund), at=NOON + 3 * MINUTE)
    await tell(
        pool, of_alipay(Kind.DISPUTE_OPENED, 240, dispute_ref="D-1", amount=4_300, **refund), at=NOON + 4 * MINUTE
    )


async def a_hostile_order(pool: asyncpg.Pool, order_ref: str = HOSTILE, text: str = HOSTILE):
    """Each text that a stranger decides is hostile."""
    await an_order(pool, order_ref)
    of = {"order_ref": order_ref, "payment_ref": f"P{text}"}
    await tell(
        pool,
        of_alipay(
            Kind.PAYMENT_FAILED,
            failure=FailureClass.UNKNOWN,
            failure_code=text,
            method=text,
            event_id=f"E{text}",
            **of,
        ),
        body=text.encode() * 100,
        headers=((text, text),),
        query=text,
    )
    await tell(pool, of_alipay(amount=12_900, second=5, method=text, **of), at=NOON + 5 * SECOND)
    await tell(pool, of_alipay(Kind.REFUND_FAILED, 10, refund_ref=f"R{text}", amount=5, **of), at=NOON + 10 * SECOND)
    await tell(pool, of_alipay(Kind.DISPUTE_OPENED, 20, dispute_ref=f"D{text}", amount=5, **of), at=NOON + 20 * SECOND)
    await repeat_on_conflict(
        pool, lambda conn: order_acts.ask_gateway(conn, order_ref, by=text, note=text * 40, now=NOON + MINUTE)
    )
    for row in await pool.fetch("SELECT id FROM cases WHERE closed_at IS NULL"):
        await repeat_on_conflict(
            pool, lambda conn, row=row: case_acts.assign(conn, row["id"], owner=text, by=text, now=NOON)
        )


QUIET = "INSERT INTO silences (account, kind, since, noticed_at, asked_at) VALUES ($1, 'silent', $2, $3, $3)"
ACTIVE = "INSERT INTO activity VALUES ($1, $2, 1, 1, $3, $2)"
SPOOLED = "INSERT INTO spool (id, shard, body, put_at) VALUES (gen_random_uuid(), 0, '', $1)"


async def a_busy_till(pool: asyncpg.Pool, *, now=NOON + 24 * MINUTE, stuck: int = 7):
    """An evening on which something of everything is open, just before `now`."""
    for number in range(stuck):
        since = now - timedelta(minutes=35 + 11 * number)
        ref = f"ORD-2{number:03}"
        await register(
            pool,
            a_registration(ref, amount=9_900 + number, accounts=(ACCOUNT,)),
            policy=SHIPPED,
            now=since - MINUTE,
        )
        second = int((since - NOON).total_seconds())
        kind = Kind.PAYMENT_FAILED if number % 3 == 2 else Kind.PAYMENT_PENDING
        await tell(pool, of_alipay(kind, second, order_ref=ref, payment_ref=f"P-{ref}"), at=since)
    await an_order(pool, "ORD-1044")
    for number in range(9):
        at = now - timedelta(seconds=5 + 6 * number)
        second = int((at - NOON).total_seconds())
        payment = {"order_ref": "ORD-1044", "payment_ref": f"P-late-{number}", "amount": 100}
        await tell(pool, of_alipay(Kind.PAYMENT_PENDING, second, **payment), at=at - 2 * SECOND)
    await tell(pool, of_alipay(order_ref="ORD-1O42", payment_ref="P-lost", amount=12_900), at=now - 40 * MINUTE)
    await pool.execute(SPOOLED, now - timedelta(seconds=20))
    await pool.execute(QUIET, "wechatpay-main", now - 22 * MINUTE, now - 2 * MINUTE)
    hour = now.replace(minute=0)
    for ago in range(24):
        await pool.execute(ACTIVE, "stripe-main", hour - timedelta(hours=ago), 40 + 37 * ago % 90)
        if ago:
            await pool.execute(ACTIVE, "wechatpay-main", hour - timedelta(hours=ago), 10 + 17 * ago % 40)
