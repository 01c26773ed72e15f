"""Finds references that may be meant to be the same: in another case, with O for 0, a prefix, or a typing error.

Before a person closes an order they are shown money that waits under such a reference, or is parked with one.
"""

import re
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from itertools import product
from typing import Final

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.order.doubts import Doubt, DoubtKind
from tillkeeper.domain.order.registration import Order

_SIGNS: Final = re.compile(r"[\W_]+")
_LIKE_ZERO: Final = re.compile(r"(?<=[0-9])[Oo]+|[Oo]+(?=[0-9])")
_LIKE_ONE: Final = re.compile(r"(?<=[0-9])[lI]+|[lI]+(?=[0-9])")
_READ_ALIKE: Final = {char: chars for chars in ("0o", "1li") for char in chars}
PART_CHARS_MIN: Final = 4  # a shorter one occurs in many others by chance
ALIKE: Final = 0.85  # one typing error in seven characters


def is_similar(one: str, other: str) -> bool:
    """Returns True if the two differ only in case, spaces and signs, or in a prefix or suffix."""
    short, long = sorted((plain(one), plain(other)), key=len)
    if short == long or len(short) < PART_CHARS_MIN:
        return bool(short) and short == long
    before, after = long.removesuffix(short), long.removeprefix(short)
    return (before != long and not _one_number(before, short)) or (after != long and not _one_number(short, after))


def _one_number(left: str, right: str) -> bool:
    """Returns True if a number goes on from one to the other: 100 is no part of 1001."""
    return left[-1:].isdigit() and right[:1].isdigit()


def is_read_alike(one: str, other: str) -> bool:
    """Returns True if the two are similar once O beside digits is read as 0, and l or I as 1: nobody means both."""
    return is_similar(with_digits(one), with_digits(other))


def is_near(one: str, other: str) -> bool:
    """Returns True if one may be meant by the other, whatever the amount."""
    return is_similar(one, other) or is_read_alike(one, other)


def differs_by_a_typo(one: str, other: str) -> bool:
    """Returns True if one may be the other with a typing error, which is enough only where the amounts are the same."""
    return SequenceMatcher(None, plain(one), plain(other)).ratio() >= ALIKE


def with_digits(reference: str) -> str:
    """Returns the reference as it is meant where somebody typed O for 0, or l or I for 1, beside other digits."""
    return _LIKE_ONE.sub(_ones, _LIKE_ZERO.sub(_zeros, reference))


def _ones(letters: re.Match[str]) -> str:
    return "1" * len(letters[0])


def _zeros(letters: re.Match[str]) -> str:
    return "0" * len(letters[0])


def spellings(text: str) -> Iterator[str]:
    """Yields each text that may have been meant where 0 and O, or 1, l and I, are taken for one another.

    There are at most three for each character.
    """
    return map("".join, product(*(_READ_ALIKE.get(char.lower(), char) for char in text)))


def plain(reference: str) -> str:
    """Returns a reference in letters and digits alone, without regard to case."""
    return _SIGNS.sub("", reference.casefold())


class WaitingMoney(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that waits for an order that is not registered."""

    account: str
    order_ref: str
    payment_ref: str | None
    amount: int | None
    currency: str | None


def waiting_nearby(order: Order, waiting: Iterable[WaitingMoney]) -> Iterator[Doubt]:
    """Yields the payments that may be meant for it: under a similar reference, or one alike at the same amount."""
    for money in waiting:
        is_due = (money.amount, money.currency) == (order.amount, order.currency)
        if is_near(order.order_ref, money.order_ref) or (
            is_due and differs_by_a_typo(order.order_ref, money.order_ref)
        ):
            yield Doubt(
                kind=DoubtKind.WAITS_NEARBY,
                account=money.account,
                ref=money.payment_ref,
                order_ref=money.order_ref,
                amount=money.amount,
                currency=money.currency,
            )


def parked_nearby(order: Order, parked: Iterable[tuple[int, Iterable[PaymentEvent]]]) -> Iterator[Doubt]:
    """Yields the parked events (number, events) that may be meant for the order."""
    for parked_id, events in parked:
        refs = {event.order_ref for event in events if event.order_ref not in {None, order.order_ref}}
        if any(is_near(order.order_ref, ref or "") for ref in refs):
            yield Doubt(kind=DoubtKind.PARKED_NEARBY, ref=str(parked_id))
