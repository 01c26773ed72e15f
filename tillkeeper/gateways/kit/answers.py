"""Dates the answers of gateways' APIs, and makes events of them with ids of their own."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.domain.events import Evidence, PaymentEvent, problem_with
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.fields import text
from tillkeeper.gateways.messages import Query, Response

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
CLOCKS_APART_MAX: Final = timedelta(days=1)  # a larger difference means a cached response, or a broken clock
_HTTP_DATE: Final = re.compile(r"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII)


def answered_at(response: Response, now: datetime) -> datetime:
    """Returns when the gateway answered, by its own clock where its Date header tells, else `now`; whole seconds."""
    dates = response.headers.get("date", ())
    at = _from_http_date(dates[0]) if len(dates) == 1 else None
    if at is None or abs(at - now) > CLOCKS_APART_MAX:
        return now.replace(microsecond=0)
    return at


def _from_http_date(written: str) -> datetime | None:
    found = _HTTP_DATE.fullmatch(written)
    if found is None or found[2] not in MONTHS:
        return None
    day, _, year, hour, minute, second = found.groups()
    try:
        return datetime(
            int(year), MONTHS.index(found[2]) + 1, int(day), int(hour), int(minute), int(second), tzinfo=UTC
        )
    except ValueError:
        return None


def queried(event: PaymentEvent) -> PaymentEvent:
    """Returns the event as evidence of a query, with an id made from its content.  Raises BadPayload for no event."""
    ref = event.refund_ref or event.dispute_ref or event.payment_ref
    if event.refund_ref is not None and event.payment_ref is not None:
        ref = f"{event.payment_ref}:{ref}"  # a merchant may number the refunds of each payment from one
    amount = event.amount if event.total is None else event.total
    name = f"query:{ref}:{event.kind}:{event.occurred_at:%Y%m%dT%H%M%SZ}:{'' if amount is None else amount}"
    if event.discount is not None:  # may come from another query than the amount
        name += f":less {event.discount}"
    if event.capture_ref is not None:  # two parts of one amount may be captured within a second
        name += f":{event.capture_ref}"
    if event.has_refunds:  # an earlier answer may lack it
        name += ":has_refunds"
    made = msgspec.structs.replace(event, event_id=name, evidence=Evidence.QUERY)
    if problem := problem_with(made):
        raise BadPayload(problem)
    return made


def check_subject(content: object, name: str, ref: str | None) -> None:
    """Raises BadPayload where a genuine answer is about another object than the query."""
    if text(content, name) != ref:
        raise BadPayload(f"{name} of the answer is not the query's")


def payments_of_refunds(query: Query, events: Sequence[PaymentEvent]) -> tuple[Query, ...]:
    """Returns queries about the payments of refunds that were queried alone, for payments name the order."""
    if query.about != "refund" or query.payment_ref is not None:
        return ()
    return tuple(Query(about="payment", payment_ref=event.payment_ref) for event in events if event.payment_ref)
