"""Says who may do what at the desk, and what takes two people: one table, printed in docs/access.md.

Routes name these roles; an act that takes two people is proposed by one and confirmed by another, as
store/people/approvals.py keeps it.  Whatever moves what money means takes two.
"""

from typing import Final

import msgspec

from tillkeeper.domain.people import Role


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """Something that people may do: from which role on, and whether a second person of that role confirms it."""

    name: str
    role: Role
    what: str
    takes_two: bool = False


RIGHTS: Final = (
    Right(
        name="look", role=Role.VIEWER, what="see whether the till is true, orders, what is stuck; contacts are masked"
    ),
    Right(name="own", role=Role.VIEWER, what="see and end one's own sessions, change one's password and language"),
    Right(name="look_raw", role=Role.SUPPORT, what="see what a gateway sent; each look is written down"),
    Right(
        name="look_up",
        role=Role.SUPPORT,
        what="find orders by a payer's mail address or phone number; each look is written down",
    ),
    Right(name="ask", role=Role.SUPPORT, what="have a gateway asked about an order now"),
    Right(name="remind", role=Role.SUPPORT, what="have a payer reminded"),
    Right(name="hold", role=Role.SUPPORT, what="have an order left alone for a while, and release it"),
    Right(name="case", role=Role.SUPPORT, what="take, note, follow up and resolve cases"),
    Right(name="handover", role=Role.SUPPORT, what="hand over a shift"),
    Right(name="escalate", role=Role.OPERATOR, what="tell the next level of a case now"),
    Right(name="close", role=Role.OPERATOR, what="expect no payment of an order any more, and expect it again"),
    Right(name="replay", role=Role.OPERATOR, what="replay and discard parked messages, retry refused deliveries"),
    Right(name="retry", role=Role.OPERATOR, what="have a notice sent again"),
    Right(name="bind", role=Role.OPERATOR, what="bind money that waits to an order", takes_two=True),
    Right(
        name="resolve_mismatch",
        role=Role.OPERATOR,
        what="resolve a case that says whether money counts",
        takes_two=True,
    ),
    Right(name="close_in_doubt", role=Role.OPERATOR, what="close an order while money waits", takes_two=True),
    Right(name="guard_go", role=Role.OPERATOR, what="let events be applied that the blast guard holds", takes_two=True),
    Right(name="read_log", role=Role.ADMIN, what="read what people did and looked at"),
)
_BY_NAME: Final = {right.name: right for right in RIGHTS}


def role_for(name: str) -> Role:
    """Returns the role that a right needs.  Routes are built with it, so that a name that is none is found at once."""
    return _BY_NAME[name].role


def right_of(name: str) -> Right:
    """Returns a right by its name."""
    return _BY_NAME[name]


def takes_two(name: str) -> bool:
    """Returns whether one person proposes this, and another confirms it."""
    return _BY_NAME[name].takes_two
