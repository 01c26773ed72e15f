"""Tokens over the real network: fetched once for all, kept until shortly before their end, dropped when refused."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from tests.system.api_client.api_server import an_api_client, an_intent, says, stripe
from tests.virtual_time import NOW
from tillkeeper.api_client.client import QueryFailed
from tillkeeper.api_client.tokens import MARGIN
from tillkeeper.gateways.errors import AccessDenied, BadPayload, CannotQuery
from tillkeeper.gateways.messages import Call, Query, Token
from tillkeeper.gateways.stripe.gateway import Stripe

PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="pi_1")
HOUR = timedelta(hours=1)
DENIED = says(b"", 401)


class WithTokens(Stripe):
    """Stripe, as if it wanted a token first."""

    has_credentials = True

    def token_request(self, *, now):
        if not self.has_credentials:
            raise CannotQuery("client_secret is not set")
        return Call(method="POST", url=f"{self._api_base}/token", headers={}, body=b"grant_type=client_credentials")

    def read_token(self, response, *, now):
        if response.status == 401:
            raise AccessDenied("status 401")
        try:
            told = msgspec.json.decode(response.body)
            return Token(value=told["access_token"], until=now + timedelta(seconds=told["expires_in"]))
        except (msgspec.MsgspecError, KeyError):
            raise BadPayload("there is no token in it") from None


def with_tokens(url, **more):
    made = stripe(url, **more)
    made.__class__ = WithTokens
    made._api_base = url
    return made


def a_token(name="tok_1", expires_in=3600):
    return says({"access_token": name, "expires_in": expires_in})


@pytest.fixture
async def api_client(server, time):
    async with an_api_client({"stripe-main": with_tokens(server.url)}, time) as opened:
        yield opened


def seen(server):
    """Path and authorization of each request, in the order in which they came."""
    return [(request.path.split("/")[1], request.headers.get("Authorization", "-")) for request in server.requests]


async def test_a_token_is_fetched_once_and_sent_with_every_call(api_client, server):
    server.answers = [a_token(), says(an_intent())]
    await api_client.query("stripe-main", PAYMENT)
    await api_client.query("stripe-main", PAYMENT)
    assert seen(server) == [("token", "-"), ("v1", "Bearer tok_1"), ("v1", "Bearer tok_1")]


async def test_all_who_ask_at_once_share_one_sign_in(api_client, server):
    server.answers = [a_token(), says(an_intent())]
    await asyncio.gather(*(api_client.query("stripe-main", PAYMENT) for _ in range(8)))
    assert [path for path, _ in seen(server)].count("token") == 1


async def test_a_token_is_fetched_anew_shortly_before_its_end(api_client, server, time):
    server.answers = [a_token("tok_1"), says(an_intent()), says(an_intent()), a_token("tok_2"), says(an_intent())]
    await api_client.query("stripe-main", PAYMENT)
    time.passed_s = (HOUR - MARGIN).total_seconds() - 1
    await api_client.query("stripe-main", PAYMENT)
    time.passed_s += 2
    await api_client.query("stripe-main", PAYMENT)
    assert [authorization for _, authorization in seen(server)] == [
        "-",
        "Bearer tok_1",
        "Bearer tok_1",
        "-",
        "Bearer tok_2",
    ]


async def test_a_token_that_was_at_hand_and_is_refused_is_fetched_anew_once(api_client, server):
    server.answers = [a_token("tok_1"), says(an_intent()), DENIED, a_token("tok_2"), says(an_intent())]
    await api_client.query("stripe-main", PAYMENT)
    assert (await api_client.query("stripe-main", PAYMENT)).found
    assert [authorization for _, authorization in seen(server)] == [
        "-",
        "Bearer tok_1",
        "Bearer tok_1",
        "-",
        "Bearer tok_2",
    ]


async def test_a_fresh_token_that_is_refused_is_a_denial(api_client, server):
    server.answers = [a_token(), DENIED]
    with pytest.raises(QueryFailed, match="denied"):
        await api_client.query("stripe-main", PAYMENT)
    assert len(server.requests) == 2
    with pytest.raises(QueryFailed, match="denied"):
        await api_client.query("stripe-main", PAYMENT)
    assert [path for path, _ in seen(server)] == ["token", "v1", "token"]  # it was dropped


async def test_credentials_that_are_refused_are_a_denial_and_no_query_is_put(api_client, server):
    server.answers = [DENIED]
    with pytest.raises(QueryFailed, match="denied"):
        await api_client.query("stripe-main", PAYMENT)
    assert seen(server) == [("token", "-")]


async def test_without_credentials_nobody_can_ask(api_client, server, monkeypatch):
    monkeypatch.setattr(WithTokens, "has_credentials", False)
    assert not api_client.can_query("stripe-main")
    with pytest.raises(QueryFailed, match="cannot_ask"):
        await api_client.query("stripe-main", PAYMENT)
    assert server.requests == []


async def test_what_cannot_be_asked_signs_in_nowhere(server, time):
    async with an_api_client({"stripe-main": with_tokens(server.url, api_key=None)}, time) as api_client:
        with pytest.raises(QueryFailed, match="cannot_ask"):
            await api_client.query("stripe-main", PAYMENT)
    assert server.requests == []


async def test_lists_and_calls_that_answers_want_carry_the_token_too(api_client, server):
    server.answers = [a_token(), says({"object": "list", "data": [], "has_more": False}), says(b"", 204)]
    assert [page async for page in api_client.events("stripe-main", since=NOW, until=NOW + HOUR)] == [()]
    call = Call(method="POST", url=f"{server.url}/acknowledge", headers={"authorization": "Basic x"})
    await api_client.make("stripe-main", [call])
    assert seen(server) == [("token", "-"), ("v1", "Bearer tok_1"), ("acknowledge", "Bearer tok_1")]


async def test_calls_that_answers_want_are_tried_again_and_given_up_without_a_sound(server, time):
    async with an_api_client({"stripe-main": stripe(server.url)}, time) as api_client:
        call = Call(method="POST", url=f"{server.url}/acknowledge", headers={"Authorization": "Basic x"})
        server.answers = [says(b"", 500), says(b"", 204)]
        await api_client.make("stripe-main", [call])
        assert seen(server) == [("acknowledge", "Basic x")] * 2
        server.answers = [says(b"", 404), says(b"", 204)]
        await api_client.make("stripe-main", [call, call])
        assert len(server.requests) == 4
