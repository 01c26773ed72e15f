"""Classifies the HTTP status of an API's response for every gateway: retry later, call a person, or read on."""

from collections.abc import Container
from typing import Final

from tillkeeper.gateways.errors import AccessDenied, BadPayload, Unavailable
from tillkeeper.gateways.messages import Response

OK: Final = 200
BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404
TOO_MANY_REQUESTS: Final = 429
SERVER_ERROR_MIN: Final = 500  # from here on it is the gateway's own failure

ONLY_OK: Final = frozenset({OK})
OK_OR_NOT_FOUND: Final = frozenset({OK, NOT_FOUND})
RETRY_STATUSES: Final = frozenset({TOO_MANY_REQUESTS})
DENIED_STATUSES: Final = frozenset({401, 403})


def is_retry_status(status: int, retry: Container[int] = RETRY_STATUSES) -> bool:
    """Says whether the same request may succeed later."""
    return status in retry or status >= SERVER_ERROR_MIN


def status_error(
    response: Response,
    detail: str = "",
    *,
    retry: Container[int] = RETRY_STATUSES,
    denied: Container[int] = DENIED_STATUSES,
    is_retry: bool = False,
    is_denied: bool = False,
) -> Unavailable | AccessDenied | BadPayload:
    """Returns the error to raise for a response that holds nothing to read.

    `retry` and `denied` are an API's own statuses; `is_retry` and `is_denied` are what its error code says besides.
    """
    reason = f"status {response.status}{detail}"
    if is_retry or is_retry_status(response.status, retry):
        return Unavailable(reason)
    if is_denied or response.status in denied:
        return AccessDenied(reason)
    return BadPayload(reason)


def check_status(
    response: Response,
    *,
    accepted: Container[int] = ONLY_OK,
    retry: Container[int] = RETRY_STATUSES,
    denied: Container[int] = DENIED_STATUSES,
) -> None:
    """Passes a response whose status is one of `accepted`.  Raises Unavailable, AccessDenied, or BadPayload."""
    if response.status not in accepted:
        raise status_error(response, retry=retry, denied=denied)
