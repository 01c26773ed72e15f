"""What one word of a gateway's means for a payment or a refund: tables of words have these as values."""

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How something stands, and why where it failed.  A word that changes nothing has None instead."""

    kind: Kind
    failure: FailureClass | None = None
