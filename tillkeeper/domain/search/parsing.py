"""Reads a text that somebody pasted into probes: any text, of any length, gives a bounded list and never an error.

text ─ cut, normalised ─> days are taken out ─> mail addresses ─> amounts (on those days)
                                                              └─> numbers of ours, phone numbers, references, codes
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from tillkeeper.domain.events import REF_CHARS_MAX
from tillkeeper.domain.search.amounts import amounts_in, minor_by_exponent
from tillkeeper.domain.search.days import take_days
from tillkeeper.domain.search.probes import (
    END_CHARS_MIN,
    EmailProbe,
    MoneyProbe,
    NumberProbe,
    PhoneProbe,
    Probe,
    ReferenceProbe,
    Search,
)

TEXT_CHARS_MAX: Final = 16_000  # a long mail; what is pasted beyond it is rarely about the payment
PROBES_MAX: Final = 24  # each is a look-up in a dozen indexes
REFERENCES_MAX: Final = 14  # of these
CODES_MAX: Final = 100
NUMBER_MAX: Final = 2**31 - 1  # of cases and parked messages
PHONE_DIGITS: Final = range(7, 16)  # with fewer it is nobody's; E.164 allows 15
PHONE_DIGITS_COMPARED: Final = 10  # the last ones: a country code may be written or not
DAYS_WITHOUT_A_DAY: Final = 2  # an amount alone is looked for today and yesterday

_EMAIL: Final = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}", re.ASCII)
_NUMBER: Final = re.compile(r"(?<!\w)(?:#|case |parked |refused |工单 ?)(\d{1,10})(?!\w)", re.ASCII | re.IGNORECASE)
_PHONE: Final = re.compile(r"(?<![\w.-])\+?\d[\d ()/-]{5,22}\d(?![\w.])", re.ASCII)
# Surely one: with a plus, or a mobile number of China's.  Its groups are no ends of references.
_SURELY_PHONE: Final = re.compile(
    r"(?<![\w.-])(?:\+\d(?:[ ()/-]{0,2}\d){6,14}|(?:86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4})(?![\w.])", re.ASCII
)
_TOKEN: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.:/~+=-]{0,253}[A-Za-z0-9_~=])?", re.ASCII)
_GROUPS: Final = re.compile(r"(?<![\w.])\d{2,8}(?: \d{2,8}){1,9}(?![\w.])", re.ASCII)
_CODE: Final = re.compile(r"[A-Za-z0-9]{1,32}(?:[._-][A-Za-z0-9]{1,48}){0,8}", re.ASCII)
_LIKE_A_CODE: Final = re.compile(r"[._]|[A-Z]{4}")
_NO_REFERENCE: Final = re.compile(r"\d{1,10}(?:[.,]\d{1,4}|:\d\d(?::\d\d)?)")  # an amount, a time of day
_DROPPED: Final = frozenset({"Cf", "Cs", "Co", "Cn", "Mn"})  # nobody sees them; an order's reference seldom has them


def search_for(text: str, *, now: datetime, zone: tzinfo) -> Search:
    """Returns what a text asks for.  Days are those of the reader's zone."""
    plain, cut = normalised(text)
    today = now.astimezone(zone).date()
    days, rest = take_days(plain, today=today)
    emails = _EMAIL.findall(rest)
    without = _EMAIL.sub(" ", rest)
    found: dict[Probe, None] = dict.fromkeys(
        [
            *(NumberProbe(number) for number in _numbers(without)),
            *(EmailProbe(email.lower()) for email in emails),
            *_references(without, whole=plain),
            *_phones(without),
            *_money(without, days, today=today, zone=zone),
        ]
    )
    return Search(
        probes=tuple(found)[:PROBES_MAX], codes=_codes(plain), spelt=plain, cut=cut or len(found) > PROBES_MAX
    )


def normalised(text: str) -> tuple[str, bool]:
    """Returns a text in plain characters on one line, and whether its end was left out.

    Full-width digits and punctuation become ordinary ones, and what nobody sees goes.
    """
    begin = text[:TEXT_CHARS_MAX]
    folded = unicodedata.normalize("NFKC", begin)[: 2 * TEXT_CHARS_MAX]
    seen = (char for char in folded if unicodedata.category(char) not in _DROPPED)
    plain = " ".join("".join(char if char.isprintable() else " " for char in seen).split())
    return plain, len(text) > TEXT_CHARS_MAX


def _numbers(text: str) -> Iterator[int]:
    yield from (number for told in _NUMBER.findall(text) if 0 < (number := int(told)) <= NUMBER_MAX)


# --- references -------------------------------------------------------------------------------------------------------


def _references(text: str, *, whole: str) -> Iterator[ReferenceProbe]:
    """Yields the references of a text, the longest first.  A text without blanks may be one as it stands."""
    text = _SURELY_PHONE.sub(lambda match: "".join(filter(str.isdigit, match[0])), text)
    alone = [whole] if " " not in whole and "@" not in whole else []
    joined = [groups.replace(" ", "") for groups in _GROUPS.findall(text)]
    tokens = [token for token in _TOKEN.findall(text) if _may_be_reference(token)]
    parts = [part for token in tokens for part in re.split(r"[:/=]", token) if _digits(part) >= END_CHARS_MIN]
    longest_first = sorted(dict.fromkeys([*joined, *tokens, *parts]), key=len, reverse=True)
    found = dict.fromkeys([*alone, *longest_first])
    bounded = [ref for ref in found if END_CHARS_MIN <= len(ref) <= REF_CHARS_MAX]
    yield from map(ReferenceProbe, bounded[:REFERENCES_MAX])


def _may_be_reference(token: str) -> bool:
    return _digits(token) > 0 and not _NO_REFERENCE.fullmatch(token)


def _digits(text: str) -> int:
    return sum(char.isdigit() for char in text)


# --- phones, amounts, codes -------------------------------------------------------------------------------------------


def _phones(text: str) -> Iterator[PhoneProbe]:
    for match in _PHONE.findall(text):
        digits = "".join(char for char in match if char.isdigit())
        if len(digits) in PHONE_DIGITS:
            yield PhoneProbe(digits[-PHONE_DIGITS_COMPARED:])


def _money(text: str, days: tuple[date, ...], *, today: date, zone: tzinfo) -> Iterator[MoneyProbe]:
    spans = [(day, day + timedelta(days=1)) for day in days]
    if not days:
        spans = [(today - timedelta(days=DAYS_WITHOUT_A_DAY - 1), today + timedelta(days=1))]
    for number, currencies in amounts_in(text, bare_too=bool(days)):
        minors = minor_by_exponent(number)
        for first, next_day in spans if minors else ():
            yield MoneyProbe(number, currencies, minors, _midnight(first, zone), _midnight(next_day, zone))


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _codes(text: str) -> tuple[str, ...]:
    """Returns the words that may be codes: any that stands alone, and of more those that no sentence has."""
    words = dict.fromkeys(_CODE.findall(text))
    if " " not in text:
        return tuple(words)[:CODES_MAX]
    return tuple(word for word in words if _LIKE_A_CODE.search(word))[:CODES_MAX]
