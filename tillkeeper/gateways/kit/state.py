"""Defines the meaning of a gateway's status word for a payment or a refund: the values of the tables of words."""

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a payment or refund, and the cause of a failure.  A word that changes nothing has None instead."""

    kind: Kind
    failure: FailureClass | None = None
