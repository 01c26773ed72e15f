"""Holds what both signature schemes share: limits of headers and secrets, and what the id of a message may be."""

import re
from typing import Final

from tillkeeper.gateways.errors import BadSignature, VerificationStep

SECRET_BYTES_MIN: Final = 16
SIGNATURES_MAX: Final = 10  # of one header: old and new keys, and versions to come
HEADER_CHARS_MAX: Final = 4096
_ID: Final = re.compile(r"[\w-]{1,255}", re.ASCII)
_UNSIGNED_ID: Final = re.compile(r"[!-~]{1,255}", re.ASCII)  # printable, no spaces: it is kept, and shown


def check_message_id(message_id: str, *, is_signed: bool = True) -> None:
    """Raises BadSignature for an id that could be read in two ways, or not be shown."""
    if is_signed and not _ID.fullmatch(message_id):
        raise BadSignature(
            "the message's id, which is signed, is not of letters, digits, - and _", VerificationStep.HEADER
        )
    if not is_signed and not _UNSIGNED_ID.fullmatch(message_id):
        raise BadSignature("the message's id is not of 1 to 255 printable characters of ASCII", VerificationStep.HEADER)
