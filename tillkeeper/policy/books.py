"""Reads the table [books] of a policy's file: how an account's statements are read against the orders."""

import re
from collections.abc import Collection
from datetime import timedelta
from typing import Any, Final

from tillkeeper.domain.statement_terms import BooksPolicy, BooksTerms, FeeTerms
from tillkeeper.policy.spans import short
from tillkeeper.policy.values import dotted, is_table, known_names, named_tables, read_span

BUFFER_MAX: Final = timedelta(days=14)  # of more, a month would end before its first days are sure
PREFIXES_MAX: Final = 20
MINOR_MAX: Final = 10**9
_PERCENT: Final = re.compile(r"([0-9]{1,2})(?:\.([0-9]{1,4}))?", re.ASCII)
_TERMS: Final = ("fetch", "buffer", "order_prefixes", "fees")
_FEE: Final = ("percent", "fixed", "tolerance")


def read_books(tree: dict[str, Any], accounts: Collection[str] | None, problems: list[str]) -> BooksPolicy:
    """Reads the terms of all accounts and, over these, of each."""
    table = tree["books"]  # the default policy has one
    if not is_table(table, ("books",), problems):
        return BooksPolicy()
    terms = _terms({name: value for name, value in table.items() if name != "accounts"}, ("books",), problems)
    found: dict[str, BooksTerms] = {}
    for name, own in named_tables(table.get("accounts", {}), ("books", "accounts"), problems):
        if accounts is not None and name not in accounts:
            known = known_names(name, sorted(accounts))
            problems.append(f"books.accounts.{name}: the settings have no such account; {known}")
        over = {key: value for key, value in table.items() if key in _TERMS}
        found[name] = _terms({**over, **own}, ("books", "accounts", name), problems)
    return BooksPolicy(terms=terms, accounts=found)


def _terms(table: dict[str, Any], key: tuple[str, ...], problems: list[str]) -> BooksTerms:
    problems.extend(
        f"{dotted((*key, name))}: is not a key here; {known_names(name, _TERMS)}"
        for name in table
        if name not in _TERMS
    )
    buffer = read_span(table.get("buffer"), (*key, "buffer"), problems)
    if buffer > BUFFER_MAX:
        problems.append(f"{dotted((*key, 'buffer'))}: {short(BUFFER_MAX)} is the most")
    fees = named_tables(table.get("fees", {}), (*key, "fees"), problems)
    return BooksTerms(
        fetch=_fetch(table.get("fetch", False), (*key, "fetch"), problems),
        buffer=buffer,
        order_prefixes=_prefixes(table.get("order_prefixes", []), (*key, "order_prefixes"), problems),
        fees={currency: _fee(currency, fee, (*key, "fees", currency), problems) for currency, fee in fees},
    )


def _fetch(value: Any, key: tuple[str, ...], problems: list[str]) -> bool:
    if not isinstance(value, bool):
        problems.append(f"{dotted(key)}: is true or false")
    return value is True


def _prefixes(value: Any, key: tuple[str, ...], problems: list[str]) -> tuple[str, ...]:
    if isinstance(value, list) and len(value) <= PREFIXES_MAX and all(isinstance(each, str) and each for each in value):
        return tuple(value)
    problems.append(f'{dotted(key)}: is a list of up to {PREFIXES_MAX} texts, such as ["SHOP-"]')
    return ()


def _fee(currency: str, table: dict[str, Any], key: tuple[str, ...], problems: list[str]) -> FeeTerms:
    if not re.fullmatch("[A-Z]{3}", currency):
        problems.append(f"{dotted(key)}: is a currency of three letters, such as CNY")
    problems.extend(
        f"{dotted((*key, name))}: is not a key here; {known_names(name, _FEE)}" for name in table if name not in _FEE
    )
    return FeeTerms(
        millionths=_millionths(table.get("percent", "0"), (*key, "percent"), problems),
        fixed=_minor(table.get("fixed", 0), (*key, "fixed"), problems),
        tolerance=_minor(table.get("tolerance", 1), (*key, "tolerance"), problems),
    )


def _millionths(value: Any, key: tuple[str, ...], problems: list[str]) -> int:
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        problems.append(f'{dotted(key)}: is a part of a hundred in quotes, with four digits at most, such as "0.6"')
        return 0
    return int(found[1]) * 10_000 + int((found[2] or "").ljust(4, "0"))


def _minor(value: Any, key: tuple[str, ...], problems: list[str]) -> int:
    if type(value) is int and 0 <= value <= MINOR_MAX:
        return value
    problems.append(f"{dotted(key)}: is a number of minor units, such as 30")
    return 0
