"""Reads the body of PUT /orders/{order_ref}/refunds/{refund_ref}: a refund that the merchant asked its gateway for."""

from collections.abc import Collection

import msgspec

from tillkeeper.domain.order.refund_registration import REFUND_REF_CHARS_MAX, AskedRefund
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import strictjson
from tillkeeper.ingest.api_types import RefundBody
from tillkeeper.ingest.registration import BadRegistration


def refund_of(order_ref: str, refund_ref: str, body: bytes, *, accounts: Collection[str]) -> AskedRefund:
    """Reads the refund in a request's body.  Raises BadRegistration."""
    try:
        refund = msgspec.convert(strictjson.loads(body), RefundBody)
    except BadPayload as error:
        raise BadRegistration(error.reason) from None
    except msgspec.ValidationError as error:
        raise BadRegistration(str(error)) from None
    if refund.account not in accounts:
        raise BadRegistration(f"account: is not configured; known are {', '.join(sorted(accounts)) or 'none'}")
    if len(refund_ref) > REFUND_REF_CHARS_MAX:
        raise BadRegistration(f"the refund's reference has at most {REFUND_REF_CHARS_MAX} characters")
    return AskedRefund(
        order_ref=order_ref,
        account=refund.account,
        refund_ref=refund_ref,
        payment_ref=refund.payment_ref,
        amount=refund.amount,
    )
