"""The errors that gateways raise, named by whose fault it is: a delivery is refused, or a query has no answer."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from tillkeeper.domain.masking import plain_text


class VerificationStep(StrEnum):
    """At which step of taking a delivery it was refused."""

    HEADER = "header"  # what the scheme needs is missing, repeated, or cannot be read
    TIME = "time"  # signed too long ago, or in the future
    KEY = "key"  # it names a key that is not configured, or not at hand
    SIGNATURE = "signature"  # it is signed, and by none of the configured keys
    MODE = "mode"  # test money at a live account, or the other way round
    CONTENT = "content"  # it is authentic, or needs no proof, and cannot be read


class Refused(Exception):
    """A delivery that is not taken; `reason` is for ops and never reaches the caller."""

    status: ClassVar[int] = 400
    step: VerificationStep = VerificationStep.CONTENT

    def __init__(self, reason: str, step: VerificationStep | None = None) -> None:
        self.reason = plain_text(reason)  # it may repeat what was sent
        super().__init__(self.reason)
        if step is not None:
            self.step = step


class BadSignature(Refused):
    """The delivery does not prove that the gateway sent it."""

    status = 401
    step = VerificationStep.SIGNATURE


class Stale(BadSignature):
    """The time that is signed is too far from now; nothing was said yet of the signature itself."""

    step = VerificationStep.TIME

    def __init__(self, reason: str, signed_at: datetime) -> None:
        super().__init__(reason)
        self.signed_at = signed_at


class BadPayload(Refused):
    """The delivery is authentic or unsigned, but cannot be read."""

    status = 400


class CannotQuery(Exception):
    """Nobody can ask that here: a credential is not configured, or the gateway has no such query."""


class Unavailable(Exception):
    """The gateway could not say: busy, broken, or limiting our calls.  Nothing is known; the same query may be put
    again."""


class AccessDenied(Exception):
    """The gateway refuses our queries as such: wrong credentials, no permission.  Only a person can mend that."""
