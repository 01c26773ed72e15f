"""Defines a simulated API: a pure response to a request, signed by the gateway in a separate step."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from tillkeeper.sandbox.formats import http_date


class ApiRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request as received: header names in lower case, the query decoded, in order."""

    method: str
    path: str  # raw, without the query
    target: str  # raw, as it stood in the request line
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes

    def first(self, name: str) -> str | None:
        """Returns the first value of a query field."""
        return next((value for field, value in self.query if field == name), None)


class ApiResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, not yet sealed.  The last three are for the log: what was asked about, and what was said of it."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes
    about: str  # payment, refund, charge, session, events, or nothing
    ref: str = ""
    order_ref: str = ""
    summary: str


class SignedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it goes out."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Api(Protocol):
    """One gateway's API for one account."""

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:
        """Returns the gateway's answer at `now`, from books that were last written at `as_of`."""
        ...

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:
        """Returns what the gateway says when it is broken (5xx) or limits our calls (429)."""
        ...

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Returns the answer with its signature; by a key that is not the gateway's if `forged`."""
        ...


def unsigned(
    content: ApiResponse, *, now: datetime, forged: bool, content_type: str = "application/json", **headers: str
) -> SignedResponse:
    """Returns an answer of a gateway that signs none; a forged one breaks off in the middle.  `headers` with _ for
    -."""
    own = {name.replace("_", "-"): value for name, value in headers.items()}
    return SignedResponse(
        status=content.status,
        headers={"Content-Type": content_type, "Date": http_date(now), **own, **content.headers},
        body=content.body[: len(content.body) // 2] if forged else content.body,
    )
