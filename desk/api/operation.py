"""Defines an operation of the API: one row of the table that routes, access, checks and the document are made of."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from tillkeeper.desk.api.call import CheckedCall
from tillkeeper.domain.people import Scope

Subject = Literal[
    "Now",
    "Find",
    "Orders",
    "Stuck",
    "Cases",
    "Parked",
    "Refused",
    "Waiting",
    "Accounts",
    "Outbox",
    "Guard",
    "Books",
    "Reports",
    "Shift",
]

ORDER: Final = "/api/orders/{order_ref}"

ALWAYS: Final = (400, 401, 403, 429, 500, 503)  # what may be wrong with any request
OF_ACTS: Final = (404, 409, 413, 415, 422)


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path: the right that it takes, what it takes, and what it answers."""

    method: Literal["GET", "POST"] = "GET"
    path: str  # as the document writes it
    right: str  # of desk/access/roles.py
    name: str
    of: Subject
    summary: str
    description: str
    handler: Callable[[CheckedCall], Awaitable[object]]
    query: type[Any] | None = None
    takes: type[Any] | None = None
    answers: type[Any] | str  # the type, or the name of a schema
    status: int = 200
    finds_one: bool = False  # there may be none: 404
    others: tuple[int, ...] = ()  # further errors
    scope: Scope | None = None  # of the tokens that are for this alone
    cost: float = 1.0  # of a token's allowance

    @property
    def is_act(self) -> bool:
        """Returns whether it changes anything."""
        return self.method == "POST"

    @property
    def problems(self) -> tuple[int, ...]:
        """Returns the statuses of what may be wrong."""
        more = OF_ACTS if self.is_act else (404,) if self.finds_one else ()
        return tuple(sorted({*ALWAYS, *more, *self.others}))


def by_path(operations: tuple[Operation, ...]) -> Mapping[str, list[Operation]]:
    """Groups operations by their path, in their order."""
    found: dict[str, list[Operation]] = {}
    for operation in operations:
        found.setdefault(operation.path, []).append(operation)
    return found
