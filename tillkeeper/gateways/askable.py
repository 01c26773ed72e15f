"""Says which of an order's accounts cannot be asked whether it was paid, where no payment of it is known."""

from collections.abc import Mapping
from datetime import datetime

from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.query import Query
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import CannotQuery
from tillkeeper.gateways.registry import AccountSettings, build


def unaskable_by_order(accounts: Mapping[str, AccountSettings], order: Order, *, now: datetime) -> frozenset[str]:
    """Returns those whose gateway finds nothing by an order's reference, lacks a key to be asked with, or is not
    configured any more."""
    return frozenset(
        account
        for account in order.accounts
        if account not in accounts or not _finds(build(account, accounts[account]), order, now)
    )


def _finds(gateway: Gateway, order: Order, now: datetime) -> bool:
    if "order" not in gateway.abilities.queryable:
        return False
    query = Query(about="payment", order_ref=order.order_ref, amount_due=order.amount)
    try:
        gateway.query_request(query, now=now, nonce="0" * 32)
    except CannotQuery:
        return False
    return True
