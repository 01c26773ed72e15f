"""Registers orders, and applies the events that wait for them."""

from datetime import datetime
from typing import Literal

import asyncpg
import msgspec

from tillkeeper.domain.order.registration import Contradiction, Registration, first_look, refuse_difference
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.references import Bindings, Reference
from tillkeeper.store.apply.batch import load, write
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.transactions import repeat_on_conflict, wait_for_standbys

# orders.due_at, where 0.1.0 looks, is sooner than the order will ever be due: so it never changes, and no update of the
# order touches its index.
INSERT_ORDER = """
WITH registered AS (
    INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, registered_at, changed_at, phase_since,
                        expires_at, instalments, due_at)
    SELECT $1, $2, $3, $4::text[], $5::jsonb, $6::timestamptz, $6, $6, $7::timestamptz, $8::jsonb, $6
    WHERE (SELECT set_config('tillkeeper.due_orders', 'written', true)) = 'written'
    ON CONFLICT (order_ref) DO NOTHING
    RETURNING id
), due AS (
    INSERT INTO due_orders (order_id, due_at, accounts_key, status, phase_since, expires_at)
    SELECT id, $9::timestamptz, array_to_string($4, ' '), 'unpaid', $6, $7 FROM registered
)
SELECT id FROM registered
"""

TERMS = "SELECT terms, terms ? 'erased' AS erased FROM orders WHERE order_ref = $1"


async def register(
    pool: asyncpg.Pool, registration: Registration, *, policy: Policy, now: datetime, shadow: bool = False
) -> Literal["created", "unchanged"]:
    """Registers an order, and applies what waits for it in the same transaction.

    Nobody but ops is ever told about an order that was registered in shadow mode.

    The same registration again is "unchanged".  Raises Contradiction when it differs, or when it claims a payment that
    is another order's.
    """
    return await repeat_on_conflict(pool, lambda conn: _register(conn, registration, policy, now, shadow=shadow))


async def _register(
    conn: Conn, registration: Registration, policy: Policy, now: datetime, *, shadow: bool
) -> Literal["created", "unchanged"]:
    terms = msgspec.json.encode({**msgspec.structs.asdict(registration), "shadow": True} if shadow else registration)
    instalments = msgspec.json.encode(registration.instalments).decode() if registration.instalments else None
    order_id = await conn.fetchval(
        INSERT_ORDER,
        registration.order_ref,
        registration.amount,
        registration.currency,
        sorted(set(registration.accounts)),
        terms.decode(),
        now,
        registration.expires_at,
        instalments,
        first_look(registration, policy=policy, now=now),
    )
    if order_id is None:
        known = await conn.fetchrow(TERMS, registration.order_ref)
        assert known is not None, "orders are never removed"
        refuse_difference(registration, msgspec.json.decode(known["terms"], type=Registration), erased=known["erased"])
        await wait_for_standbys(conn)
        return "unchanged"
    await _claim(conn, order_id, registration)
    bindings, appearing = _appearing(order_id, registration)
    await write(conn, await load(conn, [], bindings=bindings, appearing=appearing), policy=policy, now=now)
    return "created"


def _appearing(order_id: int, registration: Registration) -> tuple[Bindings, list[Reference]]:
    appearing: list[Reference] = [("order", registration.order_ref)]
    appearing += [("payment", claim.account, claim.payment_ref) for claim in registration.payments]
    return Bindings(known=dict.fromkeys(appearing, order_id)), appearing


CLAIM_PAYMENTS = """
INSERT INTO payments (account, payment_ref, order_id, status, facts, captured_minor)
SELECT account, payment_ref, $3, 'created', '{}', 0 FROM unnest($1::text[], $2::text[]) AS w (account, payment_ref)
ORDER BY account, payment_ref
ON CONFLICT (account, payment_ref) DO NOTHING
RETURNING 1
"""


async def _claim(conn: Conn, order_id: int, registration: Registration) -> None:
    claims = set(registration.payments)
    if claims:
        rows = await conn.fetch(
            CLAIM_PAYMENTS, [claim.account for claim in claims], [claim.payment_ref for claim in claims], order_id
        )
        if len(rows) != len(claims):
            raise Contradiction("payments")
