"""Names the ledger's accounts as hledger and beancount do, and writes amounts and texts for them."""

from decimal import Decimal
from typing import Final

from tillkeeper.domain.books.ledger import Book, LedgerAccount, Transaction
from tillkeeper.domain.money import EXPONENTS

# By the five kinds that plain-text accounting knows; what waits or mismatches is owed to whoever it is.
NAMES: Final = {
    Book.CLEARING: ("assets", "gateways"),
    Book.PAYERS: ("income", "payers"),
    Book.EXTRA: ("income", "extra"),
    Book.REFUNDS: ("expenses", "refunds"),
    Book.CHARGEBACKS: ("expenses", "chargebacks"),
    Book.MISMATCHED: ("liabilities", "suspense", "mismatched"),
    Book.WAITING: ("liabilities", "suspense", "waiting"),
}


def name_of(account: LedgerAccount) -> str:
    """Returns an account's name with colons, such as assets:gateways:stripe-main."""
    return ":".join((*NAMES[account.book], *filter(None, (account.at,))))


def major(minor: int, currency: str) -> str:
    """Writes an amount in major units with a point and nothing else: (-123456, "CNY") is "-1234.56".

    Of a currency that ISO 4217 does not list, it writes the minor units.
    """
    digits = EXPONENTS.get(currency, 0)
    return f"{Decimal(minor).scaleb(-digits):.{digits}f}"


def references(transaction: Transaction) -> dict[str, str]:
    """Returns what names the event, without what it has not."""
    event = transaction.event
    named = {
        "order": transaction.order_ref or event.order_ref,
        "account": event.account,
        "payment": event.payment_ref,
        "capture": event.capture_ref,
        "refund": event.refund_ref,
        "dispute": event.dispute_ref,
        "event": event.event_id,
        "occurred": event.occurred_at.isoformat(),
    }
    return {name: printable(text) for name, text in named.items() if text}


def printable(text: str) -> str:
    """Writes what cannot be printed, such as a line's end, as Python would in quotes: these texts are of outsiders."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
