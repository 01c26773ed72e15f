"""Notices, orders and settings with defaults."""

from itertools import count

import msgspec

from tests.database.factories import NOON
from tillkeeper.domain.order.notices import Audience, Notice
from tillkeeper.notices.settings import NotifySettings
from tillkeeper.store.outbox.writing import write_notices

_keys = count(1)

INSERT_ORDER = """
INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, status, captured_minor, refunding_minor,
                    refunded_minor, registered_at, changed_at, phase_since)
VALUES ($1, $2, $3, '{stripe-main}', $4, $5, $6, $7, $8, $9, $9, $9) RETURNING id
"""


def a_payload(**fields):
    defaults = {
        "order_ref": "A1",
        "status": "processing",
        "amount": 12900,
        "currency": "CNY",
        "paid": 0,
        "refunding": 0,
        "refunded": 0,
        "remaining": 12900,
    }
    return {**defaults, **fields}


def some_settings(mailbox=None, *, receiver=None, **fields):
    told = {
        "merchant_name": "Lantern & Tea",
        "support": "help@lantern.example",
        "from_address": "pay@lantern.example",
        "allow_private_addresses": True,
        "allow_plain_http": True,
    }
    if mailbox is not None:
        told["smtp"] = {"host": "127.0.0.1", "port": mailbox.port, "security": "none", "timeout_s": 5}
    if receiver is not None:
        told["webhooks"] = {"shop": {"url": receiver.url, "secrets": [receiver.secret]}}
    return NotifySettings.model_validate(told | fields)


async def an_order(
    pool,
    order_ref="A1",
    *,
    status="processing",
    email="payer@example.com",
    locale="en",
    paid=0,
    refunded=0,
    amount=12900,
):
    payer = {"email": email, "locale": locale}
    terms = {"order_ref": order_ref, "payer": {name: value for name, value in payer.items() if value is not None}}
    return await pool.fetchval(
        INSERT_ORDER, order_ref, amount, "CNY", msgspec.json.encode(terms).decode(), status, paid, 0, refunded, NOON
    )


async def told(pool, *notices, now=NOON):
    async with pool.acquire() as conn:
        await write_notices(conn, notices, now=now)


def to_payer(order_id, topic="payer.processing", **fields):
    return Notice(
        key=fields.pop("key", f"n{next(_keys)}"),
        audience=Audience.PAYER,
        topic=topic,
        order_id=order_id,
        version=fields.pop("version", 2),
        payload=a_payload(**fields),
    )


def to_merchant(topic="order.status_changed", *, key=None, version=2, **fields):
    return Notice(
        key=key or f"n{next(_keys)}",
        audience=Audience.MERCHANT,
        topic=topic,
        version=version,
        payload=a_payload(**fields),
    )


def to_ops(topic="case.opened", *, key=None, **fields):
    payload = {"level": 1, "kind": "stuck", **fields}
    return Notice(key=key or f"n{next(_keys)}", audience=Audience.OPS, topic=topic, payload=payload)


async def row_of(pool, key):
    row = dict(await pool.fetchrow("SELECT * FROM outbox WHERE key = $1", key))
    return {**row, "channels": msgspec.json.decode(row["channels"])}
