"""Says which accounts cannot be asked whether an order was paid, where no payment of it is known."""

from collections.abc import Mapping
from datetime import datetime

from tillkeeper.domain.query import Query
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import CannotQuery


def unaskable_by_order(gateways: Mapping[str, Gateway], order_ref: str, *, now: datetime) -> frozenset[str]:
    """Returns the accounts whose gateways find nothing by an order's reference, or lack a key to be asked with."""
    return frozenset(account for account, gateway in gateways.items() if not _finds(gateway, order_ref, now))


def _finds(gateway: Gateway, order_ref: str, now: datetime) -> bool:
    if "order" not in gateway.abilities.queryable:
        return False
    try:
        gateway.query_request(Query(about="payment", order_ref=order_ref), now=now, nonce="0" * 32)
    except CannotQuery:
        return False
    return True
