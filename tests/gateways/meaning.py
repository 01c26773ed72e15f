"""What a delivery means to a gateway, and when two mean the same: shared by the conformance suite and `make fuzz`."""

import re

import msgspec
from specimen import NOW

from tillkeeper.gateways.errors import BadPayload, BadSignature, Refused
from tillkeeper.gateways.messages import Query

NARROW = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)

WRONG_LEAVES = (None, [], {}, "", "x", "9" * 300, 0, 1, -1, True, False, 0.5, 10**17)
WRONG_FIELDS = (
    "",
    " ",
    "x",
    "0",
    "-1",
    "+1",
    "1,00",
    "1e400",
    "1e3",
    "NaN",
    "Infinity",
    "0.001",
    "\uff11\uff12",
    "9" * 300,
)


def outcome(specimen, request, now=NOW):
    """The events and what is to be fetched, or the refusal.  Whatever else is raised fails the test."""
    try:
        verified = specimen.gateway.verify(request, now)
        return (*specimen.gateway.parse(verified), *specimen.gateway.queries_for(verified))
    except (BadSignature, BadPayload) as refused:
        return refused


def is_refused(specimen, got):
    """Where nothing is signed, a delivery may have the gateway asked about something of narrow form, and no more."""
    if isinstance(got, Refused):
        return True
    return specimen.covers == "nothing" and all(is_narrow_question(request) for request in got)


def is_narrow_question(query):
    refs = [query.order_ref, query.payment_ref, query.refund_ref] if isinstance(query, Query) else [""]
    return all(ref is None or NARROW.fullmatch(ref) for ref in refs)


def money_of(got):
    """What the money hangs on: all but what is said beside it."""
    return [
        request
        if isinstance(request, Query)
        else msgspec.structs.replace(
            request, occurred_at=NOW, failure=None, failure_code=None, method=None, event_id=""
        )
        for request in got
    ]


def leaves(value, path=()):
    """The path of every value in parsed JSON, objects and arrays included."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in inner:
        yield from leaves(child, (*path, name))


def replaced(value, path, leaf):
    if not path:
        return leaf
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], leaf)
    return copy
