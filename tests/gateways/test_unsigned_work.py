"""What nobody signed is looked at briefly, whatever it is full of: counted in calls, so that no machine is slow."""

import sys
from contextlib import suppress

import pytest

from bench.unsigned import BODY_BYTES, a_forgery, hostile_bodies
from tillkeeper import clock
from tillkeeper.gateways.errors import Refused
from tillkeeper.gateways.messages import Request
from tillkeeper.gateways.registry import GATEWAYS

CALLS_MAX = 60_000  # of functions, some 6 ms; what is read without bounds took millions
GROWTH_MAX = 2.2  # for twice the bytes
HINTED_BYTES = 64 * 1024  # the longest that hints look into


def calls_of(act, *arguments):
    """How many functions are called for it, those in C included."""
    calls = 0

    def count(_frame, event, _what):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        act(*arguments)
    finally:
        sys.setprofile(None)
    return calls


def received(gateway, request):
    """As far as it comes."""
    with suppress(Refused):
        verified = gateway.verify(request, clock.now())
        gateway.parse(verified)
        gateway.queries_for(verified)


@pytest.fixture(scope="module", params=sorted(GATEWAYS))
def forged(request):
    gateway, (headers, body), query = a_forgery(request.param)
    told = {key.lower(): [value] for key, value in headers.items()}
    return gateway, body, lambda hostile: Request(told, hostile, query)


@pytest.mark.slow
def test_a_body_that_nobody_signed_costs_little_whatever_it_is_full_of(forged):
    gateway, body, with_body = forged
    sizes = (BODY_BYTES, 2 * BODY_BYTES)
    for (what, one), (_, two) in zip(*(hostile_bodies(body, size) for size in sizes), strict=True):
        calls, more = (calls_of(received, gateway, with_body(each)) for each in (one, two))
        assert calls < CALLS_MAX, what
        assert more < calls * GROWTH_MAX + 1_000, what


def test_the_payment_in_a_refused_body_is_looked_for_briefly(forged):
    gateway, body, with_body = forged
    for what, hostile in hostile_bodies(body, HINTED_BYTES):
        assert calls_of(gateway.claimed_references, with_body(hostile)) < CALLS_MAX, what
