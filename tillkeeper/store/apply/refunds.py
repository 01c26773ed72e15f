"""Registers refunds that the merchant asked its gateway for, so that one that never finishes is noticed."""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import asyncpg
import msgspec

from tillkeeper.domain.events import REF_CHARS_MAX, Evidence, Kind, PaymentEvent
from tillkeeper.domain.order.facts import WITHDRAWN
from tillkeeper.domain.order.registration import Contradiction
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_found
from tillkeeper.store.orders.acts import NoSuchOrder
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.transactions import repeat_when_raced, wait_for_standbys

# Facts are ordered by the gateway's clock, which the merchant's requests are not dated by.  They count as the first
# events of their refund: whatever the gateway says of it, also about an order that was registered long after, is
# later.  The merchant's requests follow each other by the second: requested, withdrawn, requested under the same number
# once more.
BEFORE_ANY_WORD: Final = datetime(2000, 1, 1, tzinfo=UTC)
WORD_APART: Final = timedelta(seconds=1)
WORDS_MAX: Final = 1000  # the last one's second is still long before any gateway event
REFUND_REF_CHARS_MAX: Final = REF_CHARS_MAX - len(f"merchant:undone{WORDS_MAX}:")


class AskedRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund as the merchant requested it.  `amount` is in minor units of the order's currency; `refund_ref` is the
    gateway's name for it: Stripe's re_..., Alipay's out_request_no, WeChat Pay's out_refund_no."""

    order_ref: str
    account: str
    refund_ref: str
    payment_ref: str | None = None
    amount: int


class NoSuchRefund(Exception):
    """The order has no refund of this reference."""


class GatewaySpoke(Exception):
    """The gateway knows the refund, so that the merchant cannot withdraw it any more."""


async def register_refund(
    pool: asyncpg.Pool, asked: AskedRefund, *, policy: Policy, now: datetime
) -> Literal["created", "unchanged"]:
    """Makes the order `refunding`, until the gateway says more.

    The same again is "unchanged".  Raises NoSuchOrder, or Contradiction where it differs from what is known.
    """
    return await repeat_when_raced(pool, lambda conn: _register(conn, asked, policy, now))


ITS_ORDER = "SELECT id, currency, accounts FROM orders WHERE order_ref = $1"


async def _register(conn: Conn, asked: AskedRefund, policy: Policy, now: datetime) -> Literal["created", "unchanged"]:
    order = await conn.fetchrow(ITS_ORDER, asked.order_ref)
    if order is None:
        raise NoSuchOrder
    if asked.account not in order["accounts"]:
        raise Contradiction("account")
    word = await _word_of(conn, asked)
    if await _is_registered(conn, asked, order["id"], word):
        await wait_for_standbys(conn)
        return "unchanged"
    await _refuse_difference(conn, asked, order["id"])
    tally = await apply_found(conn, [_event(asked, order["currency"], word)], policy=policy, now=now)
    await _is_registered(conn, asked, order["id"], word)  # or its references belong to another order
    return "created" if tally.outcomes else "unchanged"  # another request registered it just now


ITS_WORD = """
SELECT (facts -> 'standing' ->> 'at')::timestamptz AS told_at, facts -> 'standing' ->> 'failure_code' AS failure_code
FROM refunds WHERE account = $1 AND refund_ref = $2
"""


async def _word_of(conn: Conn, asked: AskedRefund) -> int:
    """Returns the number of this request among the merchant's: the first, or the next after the last withdrawal."""
    row = await conn.fetchrow(ITS_WORD, asked.account, asked.refund_ref)
    if row is None or _is_gateways(row["told_at"]):
        return 0
    said = _word_at(row["told_at"])
    if row["failure_code"] != WITHDRAWN:
        return said
    if said + 1 >= WORDS_MAX:
        raise Contradiction("refund_ref")
    return said + 1


def _word_at(told_at: datetime) -> int:
    return (told_at - BEFORE_ANY_WORD) // WORD_APART


def _is_gateways(told_at: datetime) -> bool:
    return told_at >= BEFORE_ANY_WORD + WORDS_MAX * WORD_APART


def _event_id(what: Literal["refund", "undone"], word: int, refund_ref: str) -> str:
    return f"merchant:{what}{word or ''}:{refund_ref}"


SAID_BEFORE = """
SELECT order_id, amount_minor AS amount, payment_ref, outcome FROM inbox WHERE account = $1 AND event_id = $2
"""


async def _is_registered(conn: Conn, asked: AskedRefund, order_id: int, word: int) -> bool:
    """Returns True if the merchant registered just this before.  Raises Contradiction."""
    before = await conn.fetchrow(SAID_BEFORE, asked.account, _event_id("refund", word, asked.refund_ref))
    if before is None:
        return False
    if before["order_id"] != order_id or before["outcome"] == "mismatched":
        raise Contradiction("payment_ref" if asked.payment_ref is not None else "refund_ref")
    for field in ("amount", "payment_ref"):
        if before[field] != getattr(asked, field):
            raise Contradiction(field)
    return True


KNOWN_REFUND = """
SELECT order_id, payment_ref, amount_minor AS amount FROM refunds WHERE account = $1 AND refund_ref = $2
"""


async def _refuse_difference(conn: Conn, asked: AskedRefund, order_id: int) -> None:
    """Raises Contradiction where the request differs from what the gateway said of this refund."""
    known = await conn.fetchrow(KNOWN_REFUND, asked.account, asked.refund_ref)
    if known is None:
        return
    if known["order_id"] != order_id:
        raise Contradiction("refund_ref")
    if known["amount"] not in (None, asked.amount):
        raise Contradiction("amount")
    if asked.payment_ref is not None and known["payment_ref"] not in (None, asked.payment_ref):
        raise Contradiction("payment_ref")


def _event(asked: AskedRefund, currency: str, word: int = 0) -> PaymentEvent:
    return PaymentEvent(
        event_id=_event_id("refund", word, asked.refund_ref),
        kind=Kind.REFUND_PENDING,
        account=asked.account,
        occurred_at=BEFORE_ANY_WORD + word * WORD_APART,
        evidence=Evidence.OPERATOR,
        order_ref=asked.order_ref,
        payment_ref=asked.payment_ref,
        refund_ref=asked.refund_ref,
        amount=asked.amount,
        currency=currency,
    )


ITS_REFUND = """
SELECT r.account, r.payment_ref, r.amount_minor, r.currency, (r.facts -> 'standing' ->> 'at')::timestamptz AS told_at,
       r.facts -> 'standing' ->> 'failure_code' AS failure_code
FROM refunds r JOIN orders o ON o.id = r.order_id
WHERE o.order_ref = $1 AND r.refund_ref = $2
ORDER BY told_at LIMIT 1
"""


async def withdraw_refund(
    pool: asyncpg.Pool, order_ref: str, refund_ref: str, *, policy: Policy, now: datetime
) -> Literal["withdrawn", "unchanged"]:
    """Withdraws a refund that was never made because the gateway refused it.

    Raises NoSuchRefund, or GatewaySpoke.
    """
    return await repeat_when_raced(pool, lambda conn: _withdraw(conn, order_ref, refund_ref, policy, now))


async def _withdraw(
    conn: Conn, order_ref: str, refund_ref: str, policy: Policy, now: datetime
) -> Literal["withdrawn", "unchanged"]:
    refund = await conn.fetchrow(ITS_REFUND, order_ref, refund_ref)
    if refund is None:
        raise NoSuchRefund
    if _is_gateways(refund["told_at"]):
        raise GatewaySpoke
    if refund["failure_code"] == WITHDRAWN:
        await wait_for_standbys(conn)
        return "unchanged"
    word = _word_at(refund["told_at"]) + 1
    event = PaymentEvent(
        event_id=_event_id("undone", word, refund_ref),
        kind=Kind.REFUND_FAILED,
        account=refund["account"],
        occurred_at=BEFORE_ANY_WORD + word * WORD_APART,
        evidence=Evidence.OPERATOR,
        order_ref=order_ref,
        payment_ref=refund["payment_ref"],
        refund_ref=refund_ref,
        amount=refund["amount_minor"],
        currency=refund["currency"],
        failure_code=WITHDRAWN,
    )
    tally = await apply_found(conn, [event], policy=policy, now=now)
    return "withdrawn" if tally.outcomes else "unchanged"
