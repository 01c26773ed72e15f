"""Reads statements of bank accounts as MT940 (SWIFT Customer Statement Message), one or many in a file.

`:86:` holds free text, or with many banks fields that begin with ?20 and so on; all of it is the entry's text.
Source: SWIFT's Standards Release Guide, MT 940, and the structured form of German banks (DFÜ agreement, annex 3).
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import BinaryIO, Final

import msgspec

from tillkeeper.domain.books.bank import BankEntry, BankStatement
from tillkeeper.domain.books.statement import StatementRefused
from tillkeeper.domain.money import EXPONENTS, BadMoney, minor_from_major

BYTES_MAX: Final = 64 * 1024 * 1024
_TAG: Final = re.compile(r":(\d{2}[A-Z]?):(.*)")
_BALANCE: Final = re.compile(r"([CD])(\d{6})([A-Z]{3})([\d,]{1,15})")
# Value date, entry date, (reversed) credit or debit, third letter of the currency, amount, type and references.
_ENTRY: Final = re.compile(r"(\d{6})(\d{4})?(R?[CD])([A-Z])?([\d,]{1,15})([A-Z][A-Z0-9]{3})([^\n]*)")
_SUBFIELD: Final = re.compile(r"\?\d{2}")
SIGNS: Final = {"C": 1, "D": -1, "RC": -1, "RD": 1}
OPENING: Final = ("60F", "60M")
CLOSING: Final = ("62F", "62M")


class _Field(msgspec.Struct, frozen=True):
    """A tag with its lines, and the line in the file where it begins."""

    line: int
    tag: str
    text: str


def mt940_statements(file: BinaryIO) -> Iterator[BankStatement]:
    """Yields the statements in a file.  Raises StatementRefused."""
    statement: list[_Field] = []
    found = False
    for field in _fields(file):
        if field.tag == "20" and statement:
            yield _statement(statement)
            statement = []
        statement.append(field)
        found = True
    if not found:
        raise StatementRefused("it holds no field such as :20:")
    yield _statement(statement)


def _fields(file: BinaryIO) -> Iterator[_Field]:
    content = file.read(BYTES_MAX + 1)
    if len(content) > BYTES_MAX:
        raise StatementRefused(f"it has more than {BYTES_MAX} bytes")
    begun: tuple[int, str, list[str]] | None = None
    for number, line in enumerate(_decoded(content).splitlines(), 1):
        told = _TAG.match(line)
        if told is not None:
            if begun is not None:
                yield _Field(begun[0], begun[1], "\n".join(begun[2]))
            begun = number, told[1], [told[2]]
        elif begun is not None and not line.startswith(("-", "{")):
            begun[2].append(line)
    if begun is not None:
        yield _Field(begun[0], begun[1], "\n".join(begun[2]))


def _decoded(content: bytes) -> str:
    """SWIFT allows ASCII alone; banks send UTF-8 or Latin-1 all the same."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _statement(fields: list[_Field]) -> BankStatement:
    opening, closing = _only(fields, OPENING), _only(fields, CLOSING)
    currency, before, first = _balance(opening)
    closing_currency, after, last = _balance(closing)
    if closing_currency != currency:
        raise StatementRefused(f"it begins in {currency} and ends in {closing_currency}", line=closing.line)
    entries = tuple(_entries(fields, currency))
    days = [entry.booked_on for entry in entries]
    statement = BankStatement(
        iban=next((field.text.strip() for field in fields if field.tag == "25"), None),
        number=next((field.text.strip() for field in fields if field.tag == "28C"), None),
        currency=currency,
        begins=min([*days, last], default=first),
        ends=max([*days, last]),
        opening=before,
        closing=after,
        entries=entries,
    )
    statement.check()
    return statement


def _only(fields: list[_Field], tags: tuple[str, ...]) -> _Field:
    found = [field for field in fields if field.tag in tags]
    if len(found) != 1:
        says = f"a statement has {len(found)} fields :{tags[0]}: or :{tags[1]}:, and is to have one; fetch it again"
        raise StatementRefused(says, line=fields[0].line)
    return found[0]


def _balance(field: _Field) -> tuple[str, int, date]:
    told = _BALANCE.fullmatch(field.text.strip())
    if told is None:
        raise StatementRefused(f":{field.tag}: is no balance such as C261122EUR1234,56", line=field.line)
    minor = _minor(told[4], told[3], field.line)
    return told[3], SIGNS[told[1]] * minor, _day(told[2], field.line)


def _entries(fields: list[_Field], currency: str) -> Iterator[BankEntry]:
    number = 0
    for place, field in enumerate(fields):
        if field.tag != "61":
            continue
        number += 1
        following = fields[place + 1] if place + 1 < len(fields) else None
        yield _entry(number, field, following.text if following is not None and following.tag == "86" else "", currency)


def _entry(number: int, field: _Field, more: str, currency: str) -> BankEntry:
    told = _ENTRY.match(field.text)
    if told is None:
        raise StatementRefused(":61: is no entry such as 2611221122C100,00NTRFREF//BANKREF", line=field.line)
    valued, booked, sign, _, amount, _, references = told.groups()
    customers, _, banks = references.partition("//")
    text = _SUBFIELD.sub(" ", more.replace("\n", ""))
    return BankEntry(
        number=number,
        amount=SIGNS[sign] * _minor(amount, currency, field.line),
        currency=currency,
        booked_on=_booked_on(_day(valued, field.line), booked, field.line),
        reference=banks.strip() or None,
        text=" ".join(f"{customers} {text} {field.text.partition(chr(10))[2]}".split()),
    )


def _booked_on(valued: date, booked: str | None, line: int) -> date:
    """Returns the day of booking, which has no year: the one that is nearest to the value date."""
    if booked is None:
        return valued
    try:
        days = [date(valued.year + more, int(booked[:2]), int(booked[2:])) for more in (-1, 0, 1)]
    except ValueError:
        raise StatementRefused(f"{booked} is no month and day", line=line) from None
    return min(days, key=lambda day: abs(day - valued))


def _day(text: str, line: int) -> date:
    try:
        return date(2000 + int(text[:2]), int(text[2:4]), int(text[4:]))
    except ValueError:
        raise StatementRefused(f"{text} is no day such as 261122", line=line) from None


def _minor(text: str, currency: str, line: int) -> int:
    if currency not in EXPONENTS:
        raise StatementRefused(f"{currency} is no currency of ISO 4217", line=line)
    whole, _, part = text.partition(",")
    try:
        return minor_from_major(f"{whole}.{part}" if part else whole, currency)
    except BadMoney as error:
        raise StatementRefused(f"{error}; here it is {text!r}", line=line) from None
