"""What can happen to an order, as a table: the gateway's words in the order of their event, and how it must end.

The ends are written by hand from the design's table of statuses and never computed, so that they can prove it wrong.
Amounts are tenths of the order's amount.
"""

from typing import Final

import msgspec

from tillkeeper.domain.statuses import Status

ALL: Final = 10  # tenths

LATER_S: Final = (1, 4, 30, 90)  # seconds since the word before
AT_ONCE_S: Final = (0, 0, 1, 30)  # also within one second, where rank decides


class Event(msgspec.Struct, frozen=True):
    """One word of a gateway's."""

    event_type: str
    tenths: int = ALL
    part: str = ""  # which refund of the payment, where one word alone does not tell
    after_s: tuple[int, ...] = LATER_S


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of story.  `weight` is how often it is told among those of its gateway."""

    name: str
    weight: int
    events: tuple[Event, ...] = ()
    status: Status
    paid: int = 0
    refunded: int = 0
    in_other_currency: bool = False  # the order is due in another currency than it is paid in
    at_other_account: bool = False  # the order is expected at another account than it is paid at
