"""Writes an order for people: its status in both languages, and its sums with their currency."""

from typing import Any

from tillkeeper.cli.money import in_words
from tillkeeper.domain.statuses import STATUS_ZH, Status


def status_in_words(status: str) -> str:
    """Writes paid 已支付; one of a later version as it is."""
    return f"{status} {STATUS_ZH[Status(status)]}" if status in set(Status) else status


def sum_in_words(order: dict[str, Any], name: str) -> str | None:
    """Writes one of its sums, None where it is nothing."""
    return in_words(order[name] or None, order["currency"])


def head_of(order: dict[str, Any]) -> dict[str, object]:
    """Returns what stands first wherever an order is shown: which, its status and its sums."""
    return {
        "order": order["order_ref"],
        "status": status_in_words(order["status"]),
        "amount": in_words(order["amount"], order["currency"]),
        "paid": in_words(order["paid"], order["currency"]),
        **{name.replace("_", " "): sum_in_words(order, name) for name in ("refunding", "refunded", "charged_back")},
    }
