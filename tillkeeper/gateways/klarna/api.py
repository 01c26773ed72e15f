"""Responses of Klarna's Order Management API."""

from collections.abc import Mapping
from typing import Final

from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.http_status import BAD_REQUEST, NOT_FOUND, OK, check_status
from tillkeeper.gateways.messages import Response

NO_ORDER_CODES: Final = frozenset({"NO_SUCH_ORDER", "NOT_FOUND", "INVALID_ORDER_ID"})  # the last: of another shape


def order_in(response: Response) -> Mapping[str, object] | None:
    """Returns the order in the response; None where Klarna knows of no such order."""
    check_status(response, accepted={OK, BAD_REQUEST, NOT_FOUND})
    content = strictjson.object_in(response.body)
    if response.status == OK:
        return content
    if content.get("error_code") not in NO_ORDER_CODES:
        raise BadPayload(f"status {response.status}, and not for want of an order")
    return None
