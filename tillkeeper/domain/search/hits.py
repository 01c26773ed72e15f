"""Defines what a search finds, and ranks the hits: what was named whole before what only ends so, what is open before
what is done."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from tillkeeper.domain.failures import Words

SHOWN_MAX: Final = 20  # of each kind: more are a list that nobody reads, and the search is to be made narrower
READ_MAX: Final = 200  # of each probe in each table, so that no search reads without end


class HitKind(StrEnum):
    """What was found; in the order in which groups are shown."""

    ORDER = "order"
    WAITING = "waiting"
    PAYMENT = "payment"
    REFUND = "refund"
    DISPUTE = "dispute"
    MISMATCHED = "mismatched"
    EVENT = "event"
    PARKED = "parked"
    REFUSED = "refused"
    CASE = "case"
    NOTICE = "notice"


class HitReason(StrEnum):
    """Why something was found, the most telling first."""

    WHOLE = "whole"
    NUMBER = "number"
    EMAIL = "email"
    PHONE = "phone"
    OF_ORDER = "of_order"  # it belongs to an order that was found
    AMOUNT = "amount"
    SPELT = "spelt"
    END = "end"
    IN_BODY = "in_body"


WHY_WORDS: Final[Mapping[HitReason, Words]] = MappingProxyType(
    {
        HitReason.WHOLE: Words("编号完全一致", "the whole number"),
        HitReason.NUMBER: Words("Tillkeeper 的编号", "Tillkeeper's own number"),
        HitReason.EMAIL: Words("邮箱一致", "the mail address"),
        HitReason.PHONE: Words("电话号码末尾一致", "the last digits of the phone number"),
        HitReason.OF_ORDER: Words("属于找到的订单", "belongs to an order that was found"),
        HitReason.AMOUNT: Words("当天的同一金额", "this amount on that day"),
        HitReason.SPELT: Words("同一编号的另一种写法", "the same number, written otherwise"),
        HitReason.END: Words("编号末尾一致", "the number ends so"),
        HitReason.IN_BODY: Words("内容中出现", "stands in what was received"),
    }
)
_OF_ORDERS: Final = frozenset({HitKind.ORDER, HitKind.PAYMENT, HitKind.REFUND, HitKind.DISPUTE, HitKind.EVENT})
_RANK: Final = {why: rank for rank, why in enumerate(HitReason)}


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was found: what identifies it, why it was, and where it stands."""

    kind: HitKind
    ref: str  # what identifies it: a reference, or a number of ours
    why: HitReason
    probe: str  # what of the text it answers to
    account: str | None = None
    field: str | None = None  # the column that matched, where it is not its own reference
    order_ref: str | None = None
    payment_ref: str | None = None
    status: str | None = None
    amount: int | None = None  # in minor units
    currency: str | None = None
    at: datetime | None = None
    detail: str | None = None

    @property
    def identity(self) -> tuple[str, str | None, str]:
        """Returns what makes two hits the same."""
        return self.kind, self.account, self.ref


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The hits of one kind, best first; `found` counts those read, and `more` says that there are others."""

    kind: HitKind
    hits: tuple[Hit, ...]
    found: int
    more: bool


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; `cut` says that not all of the text was looked for."""

    groups: tuple[Group, ...] = ()
    cut: bool = False

    def hits(self, kind: HitKind) -> tuple[Hit, ...]:
        """Returns the hits of one kind, best first."""
        return next((group.hits for group in self.groups if group.kind is kind), ())

    def order_refs(self) -> list[str]:
        """Returns the registered orders that it leads to; those that are named, if some are."""
        leading = [hit for group in self.groups if group.kind in _OF_ORDERS for hit in group.hits if hit.order_ref]
        named = [[hit for hit in leading if hit.why is why] for why in (HitReason.WHOLE, HitReason.SPELT)]
        told = next(filter(None, named), leading)
        return list(dict.fromkeys(hit.order_ref for hit in told if hit.order_ref))

    @property
    def waits(self) -> bool:
        """Returns True if something was found that waits for an order."""
        return any(group.kind is HitKind.WAITING for group in self.groups)


def grouped(hits: Iterable[Hit], *, overflowing: frozenset[HitKind] = frozenset(), cut: bool = False) -> SearchResult:
    """Groups hits by kind, each once and for its best reason, the best first.

    `overflowing` are the kinds of which a look-up read READ_MAX, so that there may be more.
    """
    best: dict[tuple[str, str | None, str], Hit] = {}
    for hit in hits:
        known = best.get(hit.identity)
        if known is None or _order_of(hit) < _order_of(known):
            best[hit.identity] = hit
    counts = Counter(hit.kind for hit in best.values())
    kinds = sorted(counts, key=lambda kind: (min(_RANK[h.why] for h in best.values() if h.kind is kind), _PLACE[kind]))
    return SearchResult(
        groups=tuple(
            Group(
                kind=kind,
                hits=tuple(sorted((hit for hit in best.values() if hit.kind is kind), key=_order_of)[:SHOWN_MAX]),
                found=counts[kind],
                more=kind in overflowing,
            )
            for kind in kinds
        ),
        cut=cut,
    )


_PLACE: Final = {kind: place for place, kind in enumerate(HitKind)}


def _order_of(hit: Hit) -> tuple[int, int, float, str]:
    """Returns by what hits are sorted: the reason, how much of the text it answers to, and the latest first."""
    return _RANK[hit.why], -len(hit.probe), -hit.at.timestamp() if hit.at else 0.0, hit.ref
