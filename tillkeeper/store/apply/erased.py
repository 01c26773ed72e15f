"""Finds deliveries of orders whose payer's data was erased: what they hold of it is not kept again."""

from collections.abc import Iterable, Mapping, Sequence

from tillkeeper.domain.batch import BatchItem, DeliveryKey, erased_among
from tillkeeper.domain.delivery import Delivery
from tillkeeper.domain.order.state import OrderState
from tillkeeper.store.postgres.pool import Conn, as_json

# Of deliveries that say only what to query: no event leads from them to an order.
ERASED_BY_FETCH = """
SELECT w.i
FROM json_to_recordset($1::json) AS w (i int, account text, payment_ref text, refund_ref text, order_ref text),
     LATERAL (SELECT id FROM orders o WHERE o.order_ref = w.order_ref
              UNION ALL
              SELECT order_id FROM payments p WHERE p.account = w.account AND p.payment_ref = w.payment_ref
              UNION ALL
              SELECT order_id FROM refunds r WHERE r.account = w.account AND r.refund_ref = w.refund_ref) AS found
JOIN orders USING (id)
WHERE terms ? 'erased'
"""


async def erased_deliveries(
    conn: Conn, deliveries: Sequence[Delivery], items: Iterable[BatchItem], orders: Mapping[int, OrderState]
) -> set[DeliveryKey]:
    """Returns those of the deliveries that tell of erased orders, by their events or by the queries they ask for."""
    asking = [(delivery, fetch) for delivery in deliveries for fetch in delivery.fetches]
    found = erased_among(items, orders)
    if asking:
        rows = [
            {
                "i": position,
                "account": delivery.account,
                "payment_ref": fetch.payment_ref,
                "refund_ref": fetch.refund_ref,
                "order_ref": fetch.order_ref,
            }
            for position, (delivery, fetch) in enumerate(asking)
        ]
        named = [asking[row["i"]][0] for row in await conn.fetch(ERASED_BY_FETCH, as_json(rows))]
        found |= {(delivery.run, delivery.number) for delivery in named}
    return found
