"""Refuses filters that name nothing known, for an empty list would read as good news."""

from collections.abc import Collection, Iterable
from typing import Final

from tillkeeper.cli.errors import WRONG, CommandError

NAMES_SHOWN: Final = 30

CASE_KINDS: Final = frozenset(
    {
        "answer_not_applied",
        "close_in_doubt",
        "disputed",
        "event_id_reused",
        "fetch_failed",
        "notice_undeliverable",
        "overpaid",
        "paid_after_closing",
        "paid_twice",
        "payment_reversed",
        "reference_conflict",
        "refund_failed",
        "refund_unknown",
        "refunded_more_than_captured",
        "stuck",
        "unexpected_account",
        "unmatched_payment",
        "wrong_currency",
    }
)


def refuse_unknown(what: str, name: str | None, known: Iterable[str], *, found: Collection[object]) -> None:
    """Raises CommandError where nothing was found and the filter names nothing that is known."""
    names = sorted(set(known))
    if name is None or found or name in names:
        return
    there_are = ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")
    raise CommandError(f"there is no {what} {name!r}; there are: {there_are or 'none'}", code=WRONG)
