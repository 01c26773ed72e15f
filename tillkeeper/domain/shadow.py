"""Compares the states of a shop's own orders with what Tillkeeper decided of them, in shadow mode."""

from collections.abc import Mapping

import msgspec

from tillkeeper.domain.statuses import STATUS_ZH, Status

# Words that shops use, besides ours and those for people.
USUAL_WORDS: Mapping[str, Status] = {
    **{status.value: status for status in Status},
    **{zh: Status(status) for status, zh in STATUS_ZH.items()},
    "pending": Status.PROCESSING,
    "complete": Status.PAID,
    "completed": Status.PAID,
    "success": Status.PAID,
    "succeeded": Status.PAID,
    "declined": Status.FAILED,
    "partial": Status.PARTIALLY_PAID,
    "new": Status.UNPAID,
    "open": Status.UNPAID,
}


class ShopState(msgspec.Struct, frozen=True, kw_only=True):
    """What a shop says of an order, at a line of its file; None where the file does not say."""

    line: int
    order_ref: str
    word: str | None = None
    paid: int | None = None  # minor units of the order's currency


class OursState(msgspec.Struct, frozen=True, kw_only=True):
    """What Tillkeeper says of the same order."""

    status: Status
    paid: int
    currency: str


def status_of(word: str, words: Mapping[str, Status]) -> Status | None:
    """Returns which of our statuses a shop's word means; None where nobody said so."""
    return words.get(word.strip().lower().replace(" ", "_").replace("-", "_")) or words.get(word.strip())


def differences_between(shop: ShopState, ours: OursState, words: Mapping[str, Status]) -> list[str]:
    """Returns in what a shop's state differs from ours: status, paid, or that its word is not known."""
    differ = []
    if shop.word is not None:
        meant = status_of(shop.word, words)
        if meant is None:
            differ.append("word")
        elif meant is not ours.status:
            differ.append("status")
    if shop.paid is not None and shop.paid != ours.paid:
        differ.append("paid")
    return differ
