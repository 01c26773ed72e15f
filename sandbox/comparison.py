"""Compares every order with the gateways' ledger, field by field."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import aiohttp
import msgspec

from tillkeeper.sandbox.story import PlayedOrder
from tillkeeper.store.reports.overview import OrderStanding

ASKED_MAX: Final = 1_000  # orders asked for over HTTP, two requests each; of the rest the database is believed
ASKED_AT_ONCE: Final = 16


class ShownOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of an order; `events` are those that webhooks brought, None where its history was not asked for."""

    status: str
    paid: int
    refunded: int
    events: tuple[str, ...] | None = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is not as it should be."""

    order_ref: str
    story: str
    field: str
    expected: str
    found: str


def compare(expected: Mapping[str, PlayedOrder], shown: Mapping[str, ShownOrder | None]) -> list[Difference]:
    """Returns everything in which an order that was looked at differs from the truth."""
    return [
        Difference(order_ref=ref, story=expected[ref].name, field=field, expected=str(right), found=str(wrong))
        for ref, found in shown.items()
        for field, right, wrong in _differences(expected[ref], found)
    ]


def _differences(expected: PlayedOrder, found: ShownOrder | None) -> Iterator[tuple[str, object, object]]:
    ending = expected.expected
    if found is None:
        yield "order", "registered", "not shown"
        return
    for field, right, wrong in (
        ("status", str(ending.status), found.status),
        ("paid", ending.paid, found.paid),
        ("refunded", ending.refunded, found.refunded),
    ):
        if right != wrong:
            yield field, right, wrong
    if found.events is not None and sorted(found.events) != sorted(expected.history_event_ids):
        yield "history", ", ".join(sorted(expected.history_event_ids)), ", ".join(sorted(found.events))


def from_database(
    expected: Mapping[str, PlayedOrder], standings: Mapping[str, OrderStanding]
) -> dict[str, ShownOrder | None]:
    """Every order as the database has it."""
    return {ref: _standing(standings.get(ref)) for ref in expected}


def _standing(found: OrderStanding | None) -> ShownOrder | None:
    if found is None:
        return None
    return ShownOrder(status=found.status, paid=found.paid, refunded=found.refunded)


def sample(order_refs: Sequence[str]) -> Sequence[str]:
    """Returns the orders to ask for over HTTP: all of them or, of many, some spread evenly over the run."""
    step = max(1, -(-len(order_refs) // ASKED_MAX))
    return order_refs[::step]


async def ask(session: aiohttp.ClientSession, order_refs: Iterable[str]) -> dict[str, ShownOrder | None]:
    """These orders as GET /orders and their histories show them, None for those that are not shown."""
    shown: dict[str, ShownOrder | None] = {}
    waiting = iter(order_refs)

    async def ask_on() -> None:
        for order_ref in waiting:
            shown[order_ref] = await _ask_one(session, order_ref)

    async with asyncio.TaskGroup() as askers:
        for _ in range(ASKED_AT_ONCE):
            askers.create_task(ask_on())
    return shown


async def _ask_one(session: aiohttp.ClientSession, order_ref: str) -> ShownOrder | None:
    order = await _get(session, f"/orders/{order_ref}")
    history = await _get(session, f"/orders/{order_ref}/history")
    if order is None or history is None:
        return None
    return ShownOrder(
        status=order["status"],
        paid=order["paid"],
        refunded=order["refunded"],
        events=tuple(event["event_id"] for event in history if event["evidence"] == "webhook"),
    )


async def _get(session: aiohttp.ClientSession, path: str) -> Any:
    try:
        async with session.get(path) as answer:
            return await answer.json() if answer.status == 200 else None  # noqa: PLR2004 - found
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None
