"""Finds what names an order's payer although no row says so, with the gateways' own code, and erases orders one by one.

the order's references and contacts ──> raw deliveries without a new event: redeliveries, types that count for nothing
                                   ├──> refused deliveries
                                   └──> deliveries that the guard holds
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final

import asyncpg
import msgspec

from tillkeeper.domain.batch import DeliveryKey
from tillkeeper.domain.delivery import EnvelopeKeys
from tillkeeper.domain.erasure import Contacts, ErasureAct, Subject, digits_of, readings_of
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import Refused
from tillkeeper.gateways.messages import Request
from tillkeeper.gateways.registry import build
from tillkeeper.settings import Settings
from tillkeeper.store.deliveries.raw import RawDelivery, all_raw, all_refused, held_at, unlinked
from tillkeeper.store.erasure.deliveries import orders_of_deliveries
from tillkeeper.store.erasure.order import (
    Erased,
    Naming,
    OrderToErase,
    erase,
    order_to_erase,
    orders_by_email,
    orders_by_phone,
    registered_among,
)
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.transactions import repeat_on_conflict

SEARCH_S: Final = 3600.0  # for what reads whole tables: a year of deliveries is read in minutes

Gateways = Mapping[str, Gateway]


def gateways_of(settings: Settings) -> Gateways:
    """Returns the gateway of each account that is configured."""
    return {name: build(name, account) for name, account in settings.accounts.items()}


class ListedErasure(ErasureAct, frozen=True, kw_only=True):
    """An erasure as `erase --list --json` prints it."""

    order_ref: str


class ErasureList(msgspec.Struct, frozen=True, kw_only=True):
    """What `erase --list --json` prints."""

    erasures: tuple[ListedErasure, ...]

    def by_order(self) -> dict[str, tuple[ErasureAct, ...]]:
        """Returns the acts of each order."""
        acts: dict[str, tuple[ErasureAct, ...]] = {}
        for each in self.erasures:
            act = ErasureAct(by=each.by, note=each.note, at=each.at)
            acts[each.order_ref] = (*acts.get(each.order_ref, ()), act)
        return acts


class ToErase(msgspec.Struct, frozen=True, kw_only=True):
    """An order with the acts to be written down, the last of which is the present one."""

    order_ref: str
    acts: tuple[ErasureAct, ...]


class _NotWanted(Exception):
    """Carries what would have been erased out of the transaction that is rolled back."""

    def __init__(self, erased: Erased) -> None:
        self.erased = erased


async def erase_orders(
    pool: asyncpg.Pool,
    orders: Sequence[ToErase],
    gateways: Gateways,
    *,
    contacts: Contacts,
    keys: EnvelopeKeys,
    dry_run: bool,
) -> list[Erased]:
    """Erases each order in a transaction of its own; the first that fails ends it.  Raises NoSuchOrder."""
    async with pool.acquire() as conn:
        known = [await order_to_erase(conn, each.order_ref) for each in orders]
    naming = await _naming(pool, known, gateways, contacts)
    return [
        await _erase_one(pool, each, contacts=contacts, naming=naming[each.order_ref], keys=keys, dry_run=dry_run)
        for each in orders
    ]


async def _erase_one(
    pool: asyncpg.Pool, order: ToErase, *, contacts: Contacts, naming: Naming, keys: EnvelopeKeys, dry_run: bool
) -> Erased:
    async def work(conn: Conn) -> Erased:
        erased = await erase(conn, order.order_ref, *order.acts, contacts=contacts, naming=naming, keys=keys)
        if dry_run:
            raise _NotWanted(erased)
        return erased

    try:
        return await repeat_on_conflict(pool, work)
    except _NotWanted as told:
        return told.erased


async def _naming(
    pool: asyncpg.Pool, orders: Sequence[OrderToErase], gateways: Gateways, contacts: Contacts
) -> dict[str, Naming]:
    """Reads once what may name any of the orders, and finds whose it is."""
    subjects = {order.order_ref: (order, order.subject(contacts)) for order in orders}
    found = {ref: _Found() for ref in subjects}
    async for raw in _raw_about(pool, orders):
        read = _Reading.of(raw, gateways)
        for ref, (order, subject) in subjects.items():
            if (raw.refused is not None or raw.account in order.accounts) and read.names(subject):
                found[ref].add(raw)
    return {ref: each.naming() for ref, each in found.items()}


class _Found(msgspec.Struct, kw_only=True):
    """What names an order, as it is found."""

    deliveries: set[DeliveryKey] = msgspec.field(default_factory=set)
    refused: set[int] = msgspec.field(default_factory=set)
    held: set[DeliveryKey] = msgspec.field(default_factory=set)

    def add(self, raw: RawDelivery) -> None:
        """Adds one that names it."""
        if raw.key is not None:
            self.deliveries.add(raw.key)
        elif raw.refused is not None:
            self.refused.add(raw.refused)
        elif raw.held is not None:
            self.held.add(raw.held)

    def naming(self) -> Naming:
        """Returns all of it."""
        return Naming(deliveries=frozenset(self.deliveries), refused=frozenset(self.refused), held=frozenset(self.held))


async def _raw_about(pool: asyncpg.Pool, orders: Sequence[OrderToErase]) -> AsyncIterator[RawDelivery]:
    accounts = {account for order in orders for account in order.accounts}
    since = min((order.since for order in orders), default=None)
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        if since is not None:
            async for raw in unlinked(conn, accounts=accounts, since=since, within_s=SEARCH_S):
                yield raw
        async for raw in held_at(conn, accounts, within_s=SEARCH_S):
            yield raw
        for raw in await all_refused(conn):
            yield raw


class _Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a raw delivery says: the references in its events and queries, and its text in every way it may be read."""

    references: frozenset[str | None]
    texts: tuple[str, ...]

    @classmethod
    def of(cls, raw: RawDelivery, gateways: Gateways) -> "_Reading":
        """Reads one as its gateway does, where that is still configured, and as plain text."""
        references, decoded = _read(gateways.get(raw.account), raw)
        texts = [*readings_of(raw.body), *readings_of(raw.query.encode("utf-8", "replace")), decoded]
        headers = (value for _, value in raw.headers)
        return cls(references=frozenset({*references, *raw.references}), texts=(*texts, *raw.texts, *headers))

    def names(self, subject: Subject) -> bool:
        """Returns True if it names the order or its payer."""
        return subject.is_named_by(self.references, self.texts)


def _read(gateway: Gateway | None, raw: RawDelivery) -> tuple[Iterable[str | None], str]:
    """Returns the references and the content that a gateway's own code reads, as far as keys of today verify it."""
    if gateway is None:
        return (), ""
    headers: dict[str, list[str]] = {}
    for name, value in raw.headers:
        headers.setdefault(name.lower(), []).append(value)
    request = Request(headers=headers, body=raw.body, query=raw.query)
    claimed = gateway.claimed_references(request)
    references = [claimed.order_ref, claimed.payment_ref] if claimed else []
    try:
        verified = gateway.verify(request, raw.received_at)
        for event in gateway.parse(verified):
            references += [event.order_ref, event.payment_ref, event.refund_ref, event.dispute_ref]
        for query in gateway.queries_for(verified):
            references += [query.order_ref, query.payment_ref, query.refund_ref]
    except Refused:
        return references, ""
    return references, str(verified.content)


async def unregistered(pool: asyncpg.Pool, refs: Sequence[str]) -> list[str]:
    """Returns those of the references under which no order is registered."""
    async with pool.acquire() as conn:
        known = await registered_among(conn, refs)
    return [ref for ref in refs if ref not in known]


async def orders_with(pool: asyncpg.Pool, contacts: Contacts, gateways: Gateways, *, in_deliveries: bool) -> list[str]:
    """Returns the orders registered with one of the contacts, and, if asked for, those whose deliveries name one."""
    subject = Subject(references=frozenset(), contacts=contacts)
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        found = dict[str, None]()
        for email in contacts.emails:
            found |= dict.fromkeys(await orders_by_email(conn, email, SEARCH_S))
        for phone in contacts.phones:
            found |= dict.fromkeys(await orders_by_phone(conn, digits_of(phone), SEARCH_S))
        keys = set[DeliveryKey]()
        if in_deliveries:
            async for raw in all_raw(conn, within_s=SEARCH_S):
                if raw.key is not None and _Reading.of(raw, gateways).names(subject):
                    keys.add(raw.key)
        return list(found | dict.fromkeys(sorted(await orders_of_deliveries(conn, keys))))
