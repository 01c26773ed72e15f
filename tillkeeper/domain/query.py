"""Defines a query about one payment or refund, and which queries a gateway's API supports."""

from typing import Final, Literal

import msgspec

Queryable = Literal["payment", "order", "refund"]
QUERYABLE_ALL: Final[frozenset[Queryable]] = frozenset({"payment", "order", "refund"})


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One payment or one refund that a gateway is asked about, by all the references that are known of it.

    A payment that no event has named yet is asked about by `order_ref` alone.  A delivery that says only that something
    changed names a payment or refund whose order is not known yet: then `order_ref` is None, and the answer tells it.
    """

    about: Literal["payment", "refund"]
    order_ref: str | None = None
    payment_ref: str | None = None
    refund_ref: str | None = None
    amount_due: int | None = None  # what its order comes to, in minor units, where that is known
    sub_mch_id: str | None = None  # in whose name a service provider asks, where it serves several merchants


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an account's gateway can be asked."""

    queryable: frozenset[Queryable] = QUERYABLE_ALL  # a payment by its own reference, by its order's, a refund
    single_payment: bool = False  # an order reference names one payment at most: who asks of it asked of both
    refunds_in_payments: bool = False  # a refund is only found by its payment's reference
