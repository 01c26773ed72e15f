"""Reads the references that an unverified delivery claims, for gateways that post one flat JSON object."""

from collections.abc import Callable, Mapping

from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.messages import ClaimedReferences


def claimed_in_object(
    body: bytes, references_in: Callable[[Mapping[str, object]], tuple[str | None, str | None]]
) -> ClaimedReferences | None:
    """Returns the order's and the payment's reference that `references_in` finds; None where nothing can be read."""
    try:
        fields = strictjson.loads_unsigned(body)
    except BadPayload:
        return None
    if not isinstance(fields, dict):
        return None
    order_ref, payment_ref = references_in(fields)
    return ClaimedReferences.of(order_ref=order_ref, payment_ref=payment_ref)
