"""Defines the types of single settings: the values that each allows, and the error for any other."""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from tillkeeper.gateways.kit.secret_checks import is_a_word, is_guessable

TOKEN_CHARS_MIN: Final = 16  # 64 bits even if only hexadecimal digits were used
ENVELOPE_KEY_CHARS_MIN: Final = 32  # 128 bits even if only hexadecimal digits were used
PROCESSES_MAX: Final = 64
KEPT_DAYS_MIN: Final = 7  # queries and parked messages take their days, and a week of bodies is dropped whole
KEPT_DAYS_MAX: Final = 36_500
ACCOUNT_NAME: Final = r"^[a-z0-9][a-z0-9-]{0,63}$"  # part of a URL; the environment needs the underscore
PORT_MAX: Final = 65535
_HOST: Final = re.compile(r"(?:\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]{1,5}))?")


def url_of(*schemes: str) -> AfterValidator:
    """Returns a check that a text is a URL of one of the schemes, with readable hosts and ports."""

    def check(url: str) -> str:
        if not url.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"must begin with {schemes[0]}://")
        hosts = urlsplit(url).netloc.rpartition("@")[2].split(",")
        if not all((found := _HOST.fullmatch(host)) and int(found[1] or 0) <= PORT_MAX for host in hosts):
            raise ValueError(f"must name hosts and ports as in {schemes[0]}://user:password@host:1234/name")
        return url

    return AfterValidator(check)


def _check_token(token: str) -> str:
    if len(token) < TOKEN_CHARS_MIN or token != token.strip():
        raise ValueError(f"must have {TOKEN_CHARS_MIN} characters or more, without white space at its ends")
    # A token can be guessed over the network only, word lists first; `doubts` names other weaknesses.
    if is_a_word(token):
        raise ValueError("can be guessed; make it at random, with: openssl rand -hex 32")
    return token


def _check_envelope_key(key: str) -> str:
    if len(key) < ENVELOPE_KEY_CHARS_MIN or key != key.strip():
        raise ValueError(
            f"must have {ENVELOPE_KEY_CHARS_MIN} characters or more, without white space at its ends; make one with: "
            "openssl rand -hex 32"
        )
    if is_guessable(key):
        raise ValueError("can be guessed; make it at random, with: openssl rand -hex 32")
    return key


def _check_chain_key(key: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", key) or is_guessable(key):
        raise ValueError("must be 64 hexadecimal digits made at random, with: openssl rand -hex 32")
    return key


def _check_days(days: object) -> object:
    """Returns the number of days, where never is 0; what is no number at all pydantic refuses."""
    return 0 if isinstance(days, str) and days.strip().lower() == "never" else days


def _check_kept(days: int) -> int:
    if days and days < KEPT_DAYS_MIN:
        raise ValueError(f'must be {KEPT_DAYS_MIN} or more, or "never" (or 0), which removes nothing')
    return days


KeptDays = Annotated[int, Field(ge=0, le=KEPT_DAYS_MAX), AfterValidator(_check_kept), BeforeValidator(_check_days)]
Processes = Annotated[int, Field(ge=1, le=PROCESSES_MAX)]
Port = Annotated[int, Field(ge=0, le=PORT_MAX)]
Token = Annotated[str, AfterValidator(_check_token)]
ChainKey = Annotated[str, AfterValidator(_check_chain_key)]
EnvelopeKey = Annotated[str, AfterValidator(_check_envelope_key)]
AccountName = Annotated[str, Field(pattern=ACCOUNT_NAME)]
