"""The verdict: what the posters wrote down against what stands in the database.  Nothing is asked of the service."""

import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import asyncpg
import msgspec
import pytest

from tests.faults.house import House
from tests.faults.poster import Sent
from tests.faults.stories import Ending
from tillkeeper import clock
from tillkeeper.store.reports.audit import audit

EXAMPLES_MAX: Final = 12


async def judge(house: House, log: list[Sent], endings: dict[str, Ending]) -> None:
    """Fails the test with a report unless log and database agree and the books balance."""
    connection = await asyncpg.connect(house.database)
    try:
        found = list(disagreements(log, endings, await read_books(connection)))
        found += [line async for line in imbalances(house)]
        if depth := await house.queue_depth():  # with the workers gone, what they did not acknowledge is back
            found.append(f"{depth} messages are left in the queue")
        if found:
            pytest.fail(await report(connection, found, queue_depth=depth), pytrace=False)
    finally:
        await connection.close()


@dataclass
class Books:
    """What the database says, read with plain SQL."""

    inbox: Counter[tuple[str, str, str]]  # account, event id, outcome
    deliveries: Counter[bytes]  # by the body's digest
    orders: dict[str, tuple[str, int, int]]
    events_accepted: int
    duplicates: int
    parked: list[str]
    cases: list[str]
    status_versions: dict[str, list[str]]


async def read_books(connection: asyncpg.Connection) -> Books:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        inbox = await connection.fetch("SELECT account, event_id, outcome FROM inbox")
        deliveries = await connection.fetch("SELECT sha256(body) AS digest, count(*) FROM delivery_bodies GROUP BY 1")
        orders = await connection.fetch("SELECT order_ref, status, captured_minor, refunded_minor FROM orders")
        sums = await connection.fetchrow("SELECT sum(events)::bigint, sum(duplicates)::bigint FROM deliveries")
        parked = await connection.fetch(
            "SELECT account, event_id, reason, error, outcome FROM parked WHERE outcome IS DISTINCT FROM 'replayed'"
        )
        cases = await connection.fetch("SELECT kind, subject, details FROM cases")
        told = await connection.fetch(
            "SELECT order_ref, payload ->> 'status' AS status FROM outbox JOIN orders ON orders.id = order_id "
            "WHERE topic = 'order.status_changed' ORDER BY order_id, outbox.version"
        )
    statuses: dict[str, list[str]] = {}
    for order_ref, status in told:
        statuses.setdefault(order_ref, []).append(status)
    return Books(
        inbox=Counter(tuple(row) for row in inbox),
        deliveries=Counter({row["digest"]: row["count"] for row in deliveries}),
        orders={ref: (status, paid, refunded) for ref, status, paid, refunded in orders},
        events_accepted=sums[0] or 0,
        duplicates=sums[1] or 0,
        parked=[str(dict(row)) for row in parked],
        cases=[str(dict(row)) for row in cases],
        status_versions=statuses,
    )


def disagreements(log: Iterable[Sent], endings: dict[str, Ending], books: Books) -> Iterator[str]:
    """Every way in which the database does not say what the gateways were told; nothing if all is well."""
    log = list(log)
    authentic = [sent for sent in log if not sent.webhook.forged]
    yield from _answers(log)
    yield from _events(authentic, endings, books)
    yield from _deliveries(authentic, books)
    yield from _orders(endings, books)
    yield from (f"parked: {row}" for row in books.parked)
    yield from (f"a case that nothing gave cause to: {row}" for row in books.cases)


def _answers(log: list[Sent]) -> Iterator[str]:
    for sent in log:
        last = sent.answers[-1]
        if sent.webhook.forged and (sent.accepted or not last.refused):
            yield f"a forged one ({sent.webhook.forged}) was not refused: {told(sent)}"
        if not sent.webhook.forged and not last.accepted:
            yield f"an authentic one was not accepted in the end: {told(sent)}"
        if any(answer.failed and answer.said != 503 for answer in sent.answers):
            yield f"an error of our own: {told(sent)}"


def _events(authentic: list[Sent], endings: dict[str, Ending], books: Books) -> Iterator[str]:
    """Every event that was accepted stands in the inbox once, and nothing else does."""
    accepted = {(sent.webhook.account, sent.webhook.event_id): sent for sent in authentic if sent.accepted}
    rows = Counter(dict.fromkeys(accepted, 0))
    for (account, event_id, outcome), count in books.inbox.items():
        rows[account, event_id] += count
        sent = accepted.get((account, event_id))
        if sent is None:
            yield f"in the inbox, and nobody was told so: {account} {event_id} ({outcome})"
            continue
        waits = not endings[sent.webhook.order_ref].registered
        if outcome not in ({"waiting"} if waits else {"applied", "no_change"}):
            yield f"outcome {outcome}: {told(sent)}"
    for key, count in rows.items():
        if count != 1 and key in accepted:
            yield f"{count} times in the inbox: {told(accepted[key])}"


def _deliveries(authentic: list[Sent], books: Books) -> Iterator[str]:
    """Each 2xx is one kept delivery.  An attempt whose answer got lost may be one more."""
    accepted, unknown = Counter[bytes](), Counter[bytes]()
    for sent in authentic:
        digest = sha256(sent.webhook.body).digest()
        accepted[digest] += sent.accepted
        unknown[digest] += sent.unknown
    for sent in authentic:
        digest = sha256(sent.webhook.body).digest()
        kept = books.deliveries[digest]
        if not accepted[digest] <= kept <= accepted[digest] + unknown[digest]:
            yield f"accepted {accepted[digest]} times and kept {kept} times: {told(sent)}"
    if strangers := books.deliveries.keys() - accepted.keys():
        yield f"{len(strangers)} kept deliveries are none that a gateway sent"
    if books.events_accepted != books.inbox.total() + books.duplicates:
        yield f"{books.events_accepted} events, {books.inbox.total()} in the inbox, {books.duplicates} duplicates"


def _orders(endings: dict[str, Ending], books: Books) -> Iterator[str]:
    for ref, ending in endings.items():
        expected = (ending.status, ending.paid, ending.refunded) if ending.registered else None
        if books.orders.get(ref) != expected:
            yield f"order {ref} is {books.orders.get(ref)}, and should be {expected}"
        statuses = books.status_versions.get(ref, [])
        if expected and statuses[-1:] != [ending.status]:
            yield f"order {ref}: the last status told is {statuses[-1:]}, and should be {ending.status}"
        if any(one == next_one for one, next_one in itertools.pairwise(statuses)):
            yield f"order {ref}: a change of status was told twice: {statuses}"
    if strangers := books.orders.keys() - endings.keys():
        yield f"orders that nobody registered: {sorted(strangers)[:EXAMPLES_MAX]}"


def told(sent: Sent) -> str:
    """A webhook and what was answered, in one line."""
    answers = ", ".join(f"{answer.said} after {answer.took_s:.1f} s" for answer in sent.answers[-6:])
    return f"{sent.webhook.account} {sent.webhook.event_id} of {sent.webhook.order_ref}: {answers}"


async def imbalances(house: House) -> AsyncIterator[str]:
    """Why the books do not balance, by the function and by the command.  Everything has been settled by now."""
    now = clock.now()
    async with asyncpg.create_pool(house.database, min_size=0, max_size=1) as pool:
        verdict = await audit(pool, settled_until=now, now=now)
    if not verdict.balances or verdict.in_flight or verdict.spooled:
        yield f"the books do not balance: {msgspec.to_builtins(verdict)}"
    status, printed = await house.command("audit", "--all", "--json")
    if status != 0 or json.loads(printed)["balances"] is not True:
        yield f"`tillkeeper audit` exits {status}: {printed}"


WHERE: Final = {
    "spool": "SELECT count(*) AS messages, max(attempts) AS attempts, min(put_at) AS oldest FROM spool",
    "void numbers": "SELECT run, count(*), min(number), max(number) FROM void_numbers GROUP BY run",
    "runs": "SELECT run, count(*), max(number) AS last, min(received_at), max(received_at) FROM deliveries "
    "GROUP BY run ORDER BY 4",
    "outcomes": "SELECT outcome, count(*) FROM inbox GROUP BY outcome",
}


async def report(connection: asyncpg.Connection, found: list[str], *, queue_depth: int) -> str:
    """What a person needs to find the cause: the first disagreements, and where things are."""
    lines = [f"{len(found)} disagreements:", *(f"  {line}" for line in found[:EXAMPLES_MAX])]
    lines.append(f"queue depth: {queue_depth}")
    for name, sql in WHERE.items():
        lines += [f"{name}: {dict(row)}" for row in await connection.fetch(sql)]
    return "\n".join(lines)
