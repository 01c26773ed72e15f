"""Reads what changed by a delivery of v3.  Anybody who has seen one knows the secret, so that what it names is fetched.

Sources: Flutterwave's page "Webhooks" of v3.
"""

from typing import Final

from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.fields import at, number, number_or_none, reference_or_none, text, text_or_none
from tillkeeper.gateways.messages import Query

FLAT_TRANSACTION: Final = "_TRANSACTION"  # v3's older form: CARD_TRANSACTION, ACCOUNT_TRANSACTION; also Transfer, ...


def queries_for(delivery: object, currency: str | None) -> tuple[Query, ...]:
    """Queries the charge or the refund of a delivery; `currency` is the currency of refunds, which name none."""
    data = at(delivery, ["data"])
    match text_or_none(delivery, "event"):
        case None:
            return _query_of_flat(delivery)
        case "charge.completed":
            return (Query(about="payment", payment_ref=_narrow(number(data, "id"))),)
        case "refund.completed":
            if currency is None:
                raise BadPayload("v3's refunds tell no currency, and the setting `currency` is not there")
            return (_query_of_refund(data),)
        case _:
            return ()


def _query_of_refund(refund: object) -> Query:
    payment_ref = number_or_none(refund, "TransactionId") or number_or_none(refund, "tx_id")
    return Query(
        about="refund",
        payment_ref=None if payment_ref is None else _narrow(payment_ref),
        refund_ref=_narrow(number(refund, "id")),
    )


def _query_of_flat(delivery: object) -> tuple[Query, ...]:
    """Reads v3's older form, which has no object: the transaction's fields stand beside the event's type."""
    if not text(delivery, "event.type").upper().endswith(FLAT_TRANSACTION):
        return ()
    return (Query(about="payment", payment_ref=_narrow(number(delivery, "id"))),)


def _narrow(ref: str) -> str:
    if reference_or_none(ref) is None:
        raise BadPayload("an id has characters that Flutterwave does not use")
    return ref
