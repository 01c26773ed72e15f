"""Reads statements of bank accounts as camt.053 (ISO 20022 BankToCustomerStatement, versions 02 to 13).

What the versions call otherwise is read either way: a status is a word or has a code (since 04), a party's name stands
in it or below `Pty` (since 08).  Sources: the message definitions of iso20022.org, and the guidelines of German and
Swiss banks for versions 02, 04 and 08.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import BinaryIO, Final
from xml.etree.ElementTree import Element  # only the type: what parses is defusedxml

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, iterparse

from tillkeeper.domain.books.bank import BankEntry, BankStatement
from tillkeeper.domain.books.statement import StatementRefused
from tillkeeper.domain.money import EXPONENTS, BadMoney, minor_from_major

NAMESPACE: Final = re.compile(r"\{urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.(\d{2})\}(\w+)")
OPENING: Final = frozenset({"OPBD", "PRCD"})
CLOSING: Final = "CLBD"
BOOKED: Final = "BOOK"
ENTRIES_MAX: Final = 200_000
DEPTH_MAX: Final = 40
# Of the details of an entry, what tells whose it is.
TEXTS: Final = (
    *("AddtlNtryInf", "NtryDtls/TxDtls/Refs/EndToEndId", "NtryDtls/TxDtls/Refs/InstrId", "NtryDtls/TxDtls/Refs/MsgId"),
    *("NtryDtls/TxDtls/RmtInf/Ustrd", "NtryDtls/TxDtls/RmtInf/Strd/CdtrRefInf/Ref", "NtryDtls/TxDtls/AddtlTxInf"),
    *("NtryDtls/TxDtls/RltdPties/Dbtr/Nm", "NtryDtls/TxDtls/RltdPties/Dbtr/Pty/Nm"),
    *("NtryDtls/TxDtls/RltdPties/UltmtDbtr/Nm", "NtryDtls/TxDtls/RltdPties/UltmtDbtr/Pty/Nm"),
)


def camt_statements(file: BinaryIO) -> Iterator[BankStatement]:
    """Yields the statements in a file, each of one account and span of days.  Raises StatementRefused."""
    found = False
    try:
        for statement in _statements(file):
            found = True
            yield _statement(statement)
    except (LookupError, UnicodeError):
        raise StatementRefused("it declares a charset that it is not in; banks write UTF-8") from None
    except DefusedXmlException:
        raise StatementRefused("the XML holds a DOCTYPE or an entity of its own, which no bank's does") from None
    except ParseError as error:
        raise StatementRefused(f"it is no whole XML ({error.msg}); fetch it again", line=error.position[0]) from None
    if not found:
        raise StatementRefused("it holds no statement of camt.053")


def _statements(file: BinaryIO) -> Iterator[Element]:
    depth = 0
    for event, element in iterparse(file, events=("start", "end"), forbid_dtd=True):
        depth += 1 if event == "start" else -1
        if depth > DEPTH_MAX:
            raise StatementRefused(f"its elements nest more than {DEPTH_MAX} deep")
        known = NAMESPACE.fullmatch(element.tag)
        if depth == 1 and event == "start" and known is None:
            raise StatementRefused("its namespace is not urn:iso:std:iso:20022:tech:xsd:camt.053.001 with a version")
        if event == "end":
            if known is not None:
                element.tag = known[2]
            if element.tag == "Stmt":
                yield element
                element.clear()


def _statement(stmt: Element) -> BankStatement:
    elements = stmt.findall("Ntry")
    if len(elements) > ENTRIES_MAX:
        raise StatementRefused(f"a statement has more than {ENTRIES_MAX} entries")
    balances = {
        _needed(each, "Tp/CdOrPrtry/Cd"): each for each in stmt.findall("Bal") if _text(each, "Tp/CdOrPrtry/Cd")
    }
    closing = balances.get(CLOSING)
    opening = next((balances[code] for code in sorted(OPENING) if code in balances), None)
    currency = _text(stmt, "Acct/Ccy") or (closing and _currency(closing)) or (opening and _currency(opening))
    if not currency:
        raise StatementRefused("neither its account nor a balance says its currency")
    entries = tuple(_entry(number, each) for number, each in enumerate(elements, 1) if _is_booked(each))
    foreign = next((entry for entry in entries if entry.currency != currency), None)
    if foreign is not None:
        raise StatementRefused(f"entry {foreign.number} is in {foreign.currency}, and the account in {currency}")
    begins, ends = _span(stmt, entries, opening, closing)
    statement = BankStatement(
        iban=_text(stmt, "Acct/Id/IBAN") or _text(stmt, "Acct/Id/Othr/Id"),
        number=_text(stmt, "ElctrncSeqNb") or _text(stmt, "LglSeqNb") or _text(stmt, "Id"),
        currency=currency,
        begins=begins,
        ends=ends,
        opening=None if opening is None else _signed(opening),
        closing=None if closing is None else _signed(closing),
        entries=entries,
    )
    _check_count(stmt, elements)
    statement.check()
    return statement


def _check_count(stmt: Element, elements: list[Element]) -> None:
    said = _text(stmt, "TxsSummry/TtlNtries/NbOfNtries")
    if said is not None and said != str(len(elements)):
        raise StatementRefused(f"it says {said} entries, and has {len(elements)}; fetch it again")


def _span(
    stmt: Element, entries: tuple[BankEntry, ...], opening: Element | None, closing: Element | None
) -> tuple[date, date]:
    told = [_day(stmt, f"FrToDt/{end}") for end in ("FrDtTm", "ToDtTm")]
    days = sorted(entry.booked_on for entry in entries)
    last = told[1] or (closing is not None and _day(closing, "Dt")) or (days[-1] if days else None)
    first = told[0] or (days[0] if days else None) or (opening is not None and _day(opening, "Dt")) or last
    if not first or not last:
        raise StatementRefused("it says neither its days nor those of its balances")
    return min(first, last), last


def _is_booked(entry: Element) -> bool:
    return (_text(entry, "Sts/Cd") or _text(entry, "Sts") or BOOKED) == BOOKED


def _entry(number: int, entry: Element) -> BankEntry:
    day = _day(entry, "BookgDt") or _day(entry, "ValDt")
    if day is None:
        raise StatementRefused(f"entry {number} has no day")
    return BankEntry(
        number=number,
        amount=_signed(entry, number),
        currency=_currency(entry),
        booked_on=day,
        reference=_text(entry, "AcctSvcrRef") or _text(entry, "NtryRef"),
        text=" ".join(text for path in TEXTS for each in entry.findall(path) if (text := (each.text or "").strip())),
    )


def _signed(element: Element, number: int | None = None) -> int:
    where = "a balance" if number is None else f"entry {number}"
    currency, text = _currency(element), _text(element, "Amt") or ""
    sign = {"CRDT": 1, "DBIT": -1}.get(_text(element, "CdtDbtInd") or "")
    if sign is None:
        raise StatementRefused(f"{where} is neither CRDT nor DBIT")
    try:
        return sign * minor_from_major(text, currency)
    except BadMoney as error:
        raise StatementRefused(f"{where}: {error}; here it is {text!r}") from None


def _currency(element: Element) -> str:
    amount = element.find("Amt")
    currency = "" if amount is None else amount.get("Ccy", "")
    if currency not in EXPONENTS:
        raise StatementRefused(f"an amount has the currency {currency!r}, which is none of ISO 4217")
    return currency


def _day(element: Element, path: str) -> date | None:
    text = _text(element, f"{path}/Dt") or _text(element, f"{path}/DtTm") or _text(element, path)
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        raise StatementRefused(f"{path} is a day such as 2026-11-22, and here {text!r}") from None


def _text(element: Element, path: str) -> str | None:
    found = element.find(path)
    return None if found is None or not (found.text or "").strip() else (found.text or "").strip()


def _needed(element: Element, path: str) -> str:
    return _text(element, path) or ""
