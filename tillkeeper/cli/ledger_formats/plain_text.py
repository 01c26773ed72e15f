"""Writes the ledger for hledger (https://hledger.org/hledger.html#journal) and beancount
(https://beancount.github.io/docs/beancount_language_syntax.html)."""

from collections.abc import Iterator
from datetime import tzinfo
from typing import Final

from tillkeeper.cli.ledger_formats.names import major, name_of, references
from tillkeeper.domain.books.ledger import LedgerAccount, Transaction

OPENED: Final = "2000-01-01"  # before any order: beancount takes no posting to an account that is not open yet


class Hledger:
    """Writes a journal for hledger, a transaction at a time."""

    def begin(self) -> Iterator[str]:
        """Yields what stands before the transactions: nothing."""
        return iter(())

    def transaction(self, told: Transaction, zone: tzinfo) -> Iterator[str]:
        """Yields the lines of a transaction.  What names its event stands in tags."""
        day = told.booked_at.astimezone(zone).date()
        named = references(told)
        order = f"{_of_hledger(named['order'])} | " if "order" in named else ""
        yield f"{day} * {order}{told.event.kind}"
        for name, text in named.items():
            yield f"    ; {name}: {_of_hledger(text)}"
        for posting in told.postings:
            yield f"    {name_of(posting.account)}  {major(posting.minor, posting.currency)} {posting.currency}"
        yield ""


def _of_hledger(text: str) -> str:
    """Writes a text where a semicolon would begin a comment, a bar a note, and a comma would end a tag."""
    return text.translate({ord(mark): "_" for mark in ";|,()"}).strip()


class Beancount:
    """Writes a ledger for beancount, a transaction at a time; each account is opened before it is first named."""

    def __init__(self) -> None:
        self._open: set[LedgerAccount] = set()

    def begin(self) -> Iterator[str]:
        """Yields what stands before the transactions: a title."""
        yield 'option "title" "Tillkeeper"'
        yield ""

    def transaction(self, told: Transaction, zone: tzinfo) -> Iterator[str]:
        """Yields the lines of a transaction, after those that open its accounts.  What names its event is metadata."""
        for posting in told.postings:
            if posting.account not in self._open:
                self._open.add(posting.account)
                yield f"{OPENED} open {_of_beancount(posting.account)}"
        day = told.booked_at.astimezone(zone).date()
        named = references(told)
        yield f"{day} * {_quoted(named.pop('order', ''))} {_quoted(told.event.kind)}"
        for name, text in named.items():
            yield f"  {name}: {_quoted(text)}"
        for posting in told.postings:
            yield f"  {_of_beancount(posting.account)}  {major(posting.minor, posting.currency)} {posting.currency}"
        yield ""


def _of_beancount(account: LedgerAccount) -> str:
    """Writes an account's name: each part begins with a capital or a digit."""
    return ":".join(part[:1].upper() + part[1:] for part in name_of(account).split(":"))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
