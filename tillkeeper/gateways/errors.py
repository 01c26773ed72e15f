"""Defines the errors that gateways raise: a delivery is refused, or a query has no answer."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from tillkeeper.domain.masking import plain_text


class VerificationStep(StrEnum):
    """The step at which a delivery was refused."""

    HEADER = "header"  # a required header is missing, repeated or unreadable
    TIME = "time"  # signed too long ago, or in the future
    KEY = "key"  # it names a key that is not configured, or not known yet
    SIGNATURE = "signature"  # none of the configured keys made the signature
    MODE = "mode"  # test money at a live account, or the other way round
    CONTENT = "content"  # it is authentic or needs no signature, but cannot be read


class Refused(Exception):
    """A delivery is refused; `reason` is for ops and never reaches the caller."""

    status: ClassVar[int] = 400
    step: VerificationStep = VerificationStep.CONTENT

    def __init__(self, reason: str, step: VerificationStep | None = None) -> None:
        self.reason = plain_text(reason)  # the text may repeat what was sent
        super().__init__(self.reason)
        if step is not None:
            self.step = step


class BadSignature(Refused):
    """The delivery does not prove that the gateway sent it."""

    status = 401
    step = VerificationStep.SIGNATURE


class Stale(BadSignature):
    """The signed time is too far from now; the signature itself was not checked yet."""

    step = VerificationStep.TIME

    def __init__(self, reason: str, signed_at: datetime) -> None:
        super().__init__(reason)
        self.signed_at = signed_at


class BadPayload(Refused):
    """The delivery is authentic or unsigned, but cannot be read."""

    status = 400


class CannotQuery(Exception):
    """The query cannot be made: a credential is not configured, or the gateway has no such query."""


class Unavailable(Exception):
    """The gateway is busy, broken, or limits our calls.  Nothing is known; the same query may be made again."""


class AccessDenied(Exception):
    """The gateway refuses our access: wrong credentials, or no permission.  Only a person can repair that."""
