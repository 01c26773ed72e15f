"""Stores queries that deliveries cause: requested in the transaction that stores the delivery, made by workers.

    request ──> claim (a lease) ──> the gateway is queried, outside of any transaction ──> finish, postpone, or give up

There is one row for each object that can be queried.  It counts requests and their results, and is open while they
differ; so a request that comes while the gateway is being queried leaves the row open, and leads to one more query.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.domain.batch import DeliveryKey
from tillkeeper.domain.delivery import Delivery
from tillkeeper.domain.fetching import (
    UNPROVEN_REST,
    Fetch,
    FetchProgress,
    Finished,
    GivenUp,
    Later,
    Step,
    unanswered,
    unanswered_key,
    unaskable,
    unaskable_key,
)
from tillkeeper.domain.policy import CasePolicy
from tillkeeper.store.cases.writing import close_cases, open_cases
from tillkeeper.store.postgres.pool import Conn, as_json
from tillkeeper.store.queries.unsigned_limits import drop_excess

RESULT_CHARS_MAX: Final = 500
CANNOT_ASK: Final = "cannot_ask"

_Key = tuple[str, str, str, str, str]  # account, about, payment, refund, order; sorts, as None does not


class FetchRequest(msgspec.Struct, kw_only=True):
    """The request of a batch's deliveries about one object."""

    account: str
    fetch: Fetch
    by: list[DeliveryKey]
    proven: bool


class ClaimedFetch(msgspec.Struct, frozen=True, kw_only=True):
    """A leased query."""

    id: int
    account: str
    fetch: Fetch
    delivery: DeliveryKey
    requests: int
    open_requests: int
    progress: FetchProgress
    due_at: datetime
    claim: int


async def request_fetches(conn: Conn, deliveries: Sequence[Delivery], *, now: datetime) -> Counter[str]:
    """Requests the queries of stored deliveries; returns how many others were dropped for them, by account."""
    requests = _requests(deliveries)
    if not requests:
        return Counter()
    await conn.execute(REQUEST, as_json([_row(request) for request in requests]), now, UNPROVEN_REST)
    return await drop_excess(conn, {request.account for request in requests if not request.proven}, now=now)


# A replayed delivery may be stored already, but without its queries, which were parked separately.
COUNT_FETCHES = "UPDATE deliveries SET fetches = fetches + $3 WHERE run = $1 AND number = $2"


async def request_fetches_too(conn: Conn, deliveries: Sequence[Delivery], *, now: datetime) -> Counter[str]:
    """Requests the queries of deliveries that were stored without them."""
    for delivery in deliveries:
        if delivery.fetches:
            await conn.execute(COUNT_FETCHES, delivery.run, delivery.number, len(delivery.fetches))
    return await request_fetches(conn, deliveries, now=now)


def _requests(deliveries: Iterable[Delivery]) -> list[FetchRequest]:
    """Collects the requests, each object once, sorted so that batches wait for each other instead of deadlocking."""
    requests: dict[_Key, FetchRequest] = {}
    for delivery in deliveries:
        for fetch in delivery.fetches:
            key = _key(delivery.account, fetch)
            request = requests.setdefault(key, FetchRequest(account=delivery.account, fetch=fetch, by=[], proven=False))
            request.by.append((delivery.run, delivery.number))
            request.proven |= fetch.proven
    return [requests[key] for key in sorted(requests)]


def _key(account: str, fetch: Fetch) -> _Key:
    return account, fetch.about, fetch.payment_ref or "", fetch.refund_ref or "", fetch.order_ref or ""


def _row(request: FetchRequest) -> dict[str, object]:
    run, number = request.by[-1]
    return {
        "account": request.account,
        "about": request.fetch.about,
        "payment_ref": request.fetch.payment_ref,
        "refund_ref": request.fetch.refund_ref,
        "order_ref": request.fetch.order_ref,
        "run": run,
        "number": number,
        "proven": request.proven,
        "requests": len(request.by),
    }


# A row that is open already only becomes due sooner.  What anybody can cause is queried at intervals ($3).
REQUEST = """
INSERT INTO fetches AS f (account, about, payment_ref, refund_ref, order_ref, run, number, proven, requests,
                          requested_at, due_at)
SELECT account, about, payment_ref, refund_ref, order_ref, run, number, proven, requests, $2, $2
FROM json_populate_recordset(NULL::fetches, $1::json)
ON CONFLICT (account, about, payment_ref, refund_ref, order_ref) DO UPDATE
SET run = excluded.run, number = excluded.number, requests = f.requests + excluded.requests,
    proven = excluded.proven OR (f.due_at IS NOT NULL AND f.proven),
    requested_at = CASE WHEN f.due_at IS NULL THEN excluded.requested_at ELSE f.requested_at END,
    due_at = least(f.due_at, CASE WHEN excluded.proven THEN $2 ELSE greatest($2, f.asked_at + $3::interval) END)
"""

# What is signed or was found before goes first, the longest due first; then what was never queried, the newest first,
# for the old ones of a flood are made up; then what its gateway did not know.
CLAIM = """
WITH trusted AS (
    SELECT id FROM fetches
    WHERE due_at <= $1 AND leased_until <= $1 AND (proven OR found > 0) AND account <> ALL ($4::text[])
    ORDER BY due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
), unasked AS (
    SELECT id FROM fetches
    WHERE due_at <= $1 AND leased_until <= $1 AND NOT proven AND found = 0 AND asked_at IS NULL
      AND account <> ALL ($4::text[])
    ORDER BY requested_at DESC, number DESC LIMIT $2 - (SELECT count(*) FROM trusted) FOR NO KEY UPDATE SKIP LOCKED
), unknown AS (
    SELECT id FROM fetches
    WHERE due_at <= $1 AND leased_until <= $1 AND NOT proven AND found = 0 AND asked_at IS NOT NULL
      AND account <> ALL ($4::text[])
    ORDER BY due_at LIMIT $2 - (SELECT count(*) FROM trusted) - (SELECT count(*) FROM unasked)
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE fetches AS f SET claims = f.claims + 1, leased_until = $3, asked_at = $1
FROM (SELECT id FROM trusted UNION ALL SELECT id FROM unasked UNION ALL SELECT id FROM unknown) AS due
WHERE f.id = due.id
RETURNING f.id, f.account, f.about, f.payment_ref, f.refund_ref, f.run, f.number, f.proven, f.requests,
          coalesce(f.order_ref, (SELECT o.order_ref FROM payments p JOIN orders o ON o.id = p.order_id
                                 WHERE p.account = f.account AND p.payment_ref = f.payment_ref)) AS order_ref,
          f.requests - f.found - f.not_found - f.given_up AS open_requests, f.requested_at, f.failures, f.misses,
          f.due_at, f.claims
"""


async def claim_fetches(
    conn: Conn, *, limit: int, lease: timedelta, now: datetime, besides: Collection[str] = ()
) -> list[ClaimedFetch]:
    """Claims due queries, except those of the accounts `besides`; what is not settled within `lease` is due again.

    The order of a known payment is included, for an answer about it may name further payments, and no order.
    """
    rows = await conn.fetch(CLAIM, now, limit, now + lease, list(besides))
    return [
        ClaimedFetch(
            id=row["id"],
            account=row["account"],
            fetch=Fetch(
                about=row["about"],
                payment_ref=row["payment_ref"],
                refund_ref=row["refund_ref"],
                order_ref=row["order_ref"],
                proven=row["proven"],
            ),
            delivery=(row["run"], row["number"]),
            requests=row["requests"],
            open_requests=row["open_requests"],
            progress=FetchProgress(requested_at=row["requested_at"], failures=row["failures"], misses=row["misses"]),
            due_at=row["due_at"],
            claim=row["claims"],
        )
        for row in rows
    ]


# What was requested since the claim is still open: it is queried at once, except for what anybody can cause ($9).  A
# claim ends when it is settled, so that settling it again counts nothing twice.
FINISH = """
UPDATE fetches
SET found = found + $3, not_found = not_found + $4, given_up = given_up + $5, result = $6, finished_at = $7,
    failures = 0, misses = 0, leased_until = '-infinity',
    requested_at = CASE WHEN requests > $8 THEN $7 ELSE requested_at END,
    due_at = CASE WHEN requests > $8 THEN $7 + CASE WHEN proven THEN '0' ELSE $9::interval END END
WHERE id = $1 AND claims = $2 AND leased_until > '-infinity'
RETURNING 1
"""

PUT_OFF = """
UPDATE fetches SET due_at = $3, failures = $4, misses = $5, result = $6, leased_until = '-infinity'
WHERE id = $1 AND claims = $2 AND leased_until > '-infinity'
RETURNING 1
"""


async def settle_fetch(
    conn: Conn,
    taken: ClaimedFetch,
    step: Step,
    *,
    result: str,
    reason: str | None = None,
    policy: CasePolicy,
    now: datetime,
) -> bool:
    """Writes a query's result, and opens or closes its case.  Returns False if another has claimed it by now.

    `result` is for people, `reason` why there was no answer.
    """
    result = result[:RESULT_CHARS_MAX]
    match step:
        case Later(at=at, progress=progress):
            ours = await conn.fetchval(PUT_OFF, taken.id, taken.claim, at, progress.failures, progress.misses, result)
            if ours and reason == CANNOT_ASK:  # only a person can repair that
                await open_cases(conn, [(None, unaskable(taken.account, why=result))], policy=policy, now=now)
        case Finished(outcome=outcome):
            found, missed = (taken.open_requests, 0) if outcome == "found" else (0, taken.open_requests)
            ours = await _finish(conn, taken, found, missed, 0, result=result, now=now)
            if ours and outcome == "found":
                await _close_cases(conn, taken, now=now)
        case GivenUp():
            ours = await _finish(conn, taken, 0, 0, taken.open_requests, result=result, now=now)
            if ours:
                case = unanswered(taken.account, taken.fetch, taken.progress, delivery=taken.delivery, why=result)
                await open_cases(conn, [(None, case)], policy=policy, now=now)
    return bool(ours)


async def _finish(
    conn: Conn, taken: ClaimedFetch, found: int, not_found: int, given_up: int, *, result: str, now: datetime
) -> bool:
    rest = UNPROVEN_REST
    return bool(
        await conn.fetchval(
            FINISH, taken.id, taken.claim, found, not_found, given_up, result, now, taken.requests, rest
        )
    )


async def _close_cases(conn: Conn, taken: ClaimedFetch, *, now: datetime) -> None:
    keys = [unanswered_key(taken.account, taken.fetch), unaskable_key(taken.account)]
    await close_cases(conn, keys, outcome="the gateway has said it", now=now)
