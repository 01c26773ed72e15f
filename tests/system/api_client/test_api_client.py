"""The ApiClient over the real network, in a time of its own: what is asked again, what is left alone, what is said."""

import asyncio
import contextlib
import json
import re
from datetime import timedelta

import msgspec
import pytest
import structlog
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from prometheus_client import REGISTRY

from tests.system.api_client.api_server import KEY, KEY_ID, a_key, an_api_client, an_intent, says, stripe, wechatpay
from tests.virtual_time import NOW
from tillkeeper.api_client import client
from tillkeeper.api_client.client import QueryFailed, open_api_client
from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.domain.events import Kind
from tillkeeper.gateways.errors import CannotQuery
from tillkeeper.gateways.messages import Answer, Query
from tillkeeper.sandbox.servers.child import free_ports
from tillkeeper.sandbox.simulators.wechatpay.signing import WeChatPayKey, wechatpay_signed

PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="pi_1")
BROKEN, DENIED = says(b"", 500), says(b"", 401)
NOT_FOUND = says({"error": {"code": "resource_missing"}}, 404)


@pytest.fixture
def logged():
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.fixture
async def api_client(server, time):
    async with an_api_client({"stripe-main": stripe(server.url)}, time) as opened:
        yield opened


def counted(result, account="stripe-main"):
    return REGISTRY.get_sample_value("tillkeeper_gateway_queries_total", {"account": account, "result": result}) or 0.0


async def reason_of(api_client, query=PAYMENT, account="stripe-main"):
    with pytest.raises(QueryFailed) as caught:
        await api_client.query(account, query)
    return caught.value.reason


# What comes of a query.


async def test_an_answer_comes_and_is_counted(api_client, server):
    before = counted("found")
    answer = await api_client.query("stripe-main", PAYMENT)
    assert [event.kind for event in answer.events] == [Kind.PAYMENT_SUCCEEDED]
    assert len(server.requests) == 1
    assert counted("found") == before + 1


async def test_not_found_is_an_answer(api_client, server):
    before = counted("not_found")
    server.answers = [NOT_FOUND]
    assert await api_client.query("stripe-main", PAYMENT) == Answer(found=False)
    assert counted("not_found") == before + 1


async def test_an_answer_is_the_state_as_of_the_answer(api_client, server):
    server.answers = [says(an_intent(), Date="Mon, 05 Oct 2026 12:00:03 GMT")]
    answer = await api_client.query("stripe-main", PAYMENT)
    assert [event.as_of for event in answer.events] == [NOW + timedelta(seconds=3)]


class Raising:
    """A gateway whose answers raise further queries, and that sets the moment of one event itself."""

    def __init__(self, gateway, also):
        self._gateway, self._also = gateway, also

    def __getattr__(self, name):
        return getattr(self._gateway, name)

    def read_response(self, query, response, *, now):
        answer = self._gateway.read_response(query, response, now=now)
        also = tuple(Query(about="payment", payment_ref=ref) for ref in self._also.get(query.payment_ref, ()))
        return msgspec.structs.replace(answer, also=also)


async def test_what_an_answer_raises_is_asked_too_each_thing_once(server, time):
    server.answers = [says(an_intent(ref)) for ref in ("pi_1", "pi_2", "pi_3")]
    gateway = Raising(stripe(server.url), {"pi_1": ("pi_2", "pi_3"), "pi_2": ("pi_3", "pi_2")})
    async with an_api_client({"stripe-main": gateway}, time) as api_client:
        answer = await api_client.query("stripe-main", msgspec.structs.replace(PAYMENT, payment_ref="pi_1"))
    assert [event.payment_ref for event in answer.events] == ["pi_1", "pi_2", "pi_3"]
    assert len(server.requests) == 3


@pytest.mark.parametrize("known", [{"pi_1"}, {"pi_2"}, set()], ids=str)
async def test_it_is_found_where_one_of_those_asked_after_each_other_knows_it(server, time, known):
    server.answers = [says(an_intent(ref)) if ref in known else NOT_FOUND for ref in ("pi_1", "pi_2")]
    async with an_api_client({"stripe-main": Raising(stripe(server.url), {"pi_1": ("pi_2",)})}, time) as api_client:
        assert (await api_client.query("stripe-main", PAYMENT)).found is bool(known)


async def test_what_was_answered_just_now_is_not_asked_again_because_an_answer_raises_it(server, time, monkeypatch):
    server.answers = [says(an_intent(ref)) for ref in ("pi_1", "pi_2", "pi_3", "pi_1")]
    gateway = Raising(stripe(server.url), {"pi_2": ("pi_1",), "pi_3": ("pi_1",)})
    async with an_api_client({"stripe-main": gateway}, time) as api_client:
        for ref in ("pi_1", "pi_2"):
            await api_client.query("stripe-main", Query(about="payment", payment_ref=ref))
        assert len(server.requests) == 2
        monkeypatch.setattr(client, "REMEMBERED_ANSWERS_MAX", 0)
        time.passed_s += client.FRESH_S
        await api_client.query("stripe-main", Query(about="payment", payment_ref="pi_3"))
    assert len(server.requests) == 4


async def test_what_was_answered_is_not_lost_when_a_further_query_has_no_answer(server, time):
    server.answers = [says(an_intent("pi_1")), DENIED]
    async with an_api_client({"stripe-main": Raising(stripe(server.url), {"pi_1": ("pi_2",)})}, time) as api_client:
        with pytest.raises(QueryFailed) as caught:
            await api_client.query("stripe-main", PAYMENT)
    assert caught.value.reason == "denied"
    assert [event.payment_ref for event in caught.value.events] == ["pi_1"]


async def test_what_breaks_once_or_twice_is_asked_again_after_growing_pauses(api_client, server, time):
    server.answers = [BROKEN, says(b"", 429), says(an_intent())]
    assert (await api_client.query("stripe-main", PAYMENT)).found
    assert len(server.requests) == 3
    assert time.slept == [0.5, 1.0]


async def test_what_stays_broken_is_busy(api_client, server, logged):
    before = counted("busy")
    server.answers = [BROKEN]
    assert await reason_of(api_client) == "busy"
    assert len(server.requests) == 3
    assert counted("busy") == before + 1
    assert logged == []


async def test_nobody_there_is_unreachable(time):
    [port] = free_ports(1)
    async with an_api_client({"stripe-main": stripe(f"http://127.0.0.1:{port}")}, time) as api_client:
        assert await reason_of(api_client) == "unreachable"
    assert len(time.slept) == 2


async def test_a_gateway_that_hangs_is_unreachable_in_time(server, time):
    async def hang(request):
        await asyncio.sleep(60)
        return web.Response()

    server.answers = [hang, says(an_intent())]
    async with an_api_client({"stripe-main": stripe(server.url)}, time, call_s=0.2) as api_client:
        assert (await api_client.query("stripe-main", PAYMENT)).found
        server.answers = [hang]
        assert await reason_of(api_client) == "unreachable"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (DENIED, "denied"),
        (says(b"", 403), "denied"),
        (says(b"<html>"), "bad_answer"),
        (says(an_intent("pi_2")), "bad_answer"),
        (says(b"", 302, Location="/elsewhere"), "bad_answer"),
        (says(b"x" * (9 * 1024 * 1024)), "bad_answer"),
        (says(b"", **{"Content-Encoding": "gzip"}), "bad_answer"),
    ],
)
async def test_what_another_try_cannot_mend_is_asked_once(api_client, server, answer, reason):
    before = counted(reason)
    server.answers = [answer]
    assert await reason_of(api_client) == reason
    assert len(server.requests) == 1
    assert counted(reason) == before + 1


async def test_what_cannot_be_asked_is_said_so_and_nothing_goes_out(api_client, server):
    assert await reason_of(api_client, Query(about="refund", order_ref="ORDER-1")) == "cannot_ask"
    assert await reason_of(api_client, account="nobody") == "cannot_ask"
    assert server.requests == []


async def test_each_attempt_is_signed_anew(server, time):
    """WeChat Pay takes no nonce twice, and no time that has passed."""
    server.answers = [BROKEN]
    async with an_api_client({"wechat-main": wechatpay(server.url)}, time) as api_client:
        assert await reason_of(api_client, account="wechat-main") == "busy"
    signed = [dict(re.findall(r'(\w+)="([^"]*)"', request.headers["Authorization"])) for request in server.requests]
    assert [each["nonce_str"] for each in signed] == ["nonce0", "nonce1", "nonce2"]
    assert [int(each["timestamp"]) - int(NOW.timestamp()) for each in signed] == [0, 0, 1]


async def test_a_wrongly_signed_answer_is_logged_and_is_none(server, time, logged):
    foreign = WeChatPayKey(KEY_ID, rsa.generate_private_key(public_exponent=65537, key_size=2048))
    paid = {
        "mchid": "1900000100",
        "out_trade_no": "ORDER-1",
        "transaction_id": "42001",
        "trade_state": "SUCCESS",
        "amount": {"total": 5, "currency": "CNY"},
    }
    query = Query(about="payment", order_ref="ORDER-1", payment_ref="42001")
    own = WeChatPayKey(KEY_ID, a_key())
    async with an_api_client({"wechat-main": wechatpay(server.url)}, time) as api_client:
        for key, is_good in ((foreign, False), (own, True)):
            headers, body = wechatpay_signed(key, NOW, json.dumps(paid).encode())
            server.answers = [says(body, **headers)]
            if is_good:
                assert (await api_client.query("wechat-main", query)).found
            else:
                assert await reason_of(api_client, query, "wechat-main") == "bad_answer"
    (line,) = logged
    assert (line["event"], line["account"], line["kind"]) == ("answer_refused", "wechat-main", "BadSignature")


# Limits.


async def test_an_account_is_called_no_more_often_than_its_rate(server, time):
    server.answers = [NOT_FOUND]
    async with an_api_client({"stripe-main": stripe(server.url)}, time, calls_per_s=2, burst_calls=2) as api_client:
        for _ in range(5):
            await api_client.query("stripe-main", PAYMENT)
    assert time.slept == [0.5, 0.5, 0.5]


async def test_accounts_have_rates_of_their_own(server, time):
    server.answers = [NOT_FOUND]
    gateways = {name: stripe(server.url) for name in ("one", "two", "three")}
    async with an_api_client(gateways, time, calls_per_s=1, burst_calls=1) as api_client:
        for account in gateways:
            await api_client.query(account, PAYMENT)
    assert time.slept == []


async def test_a_query_that_would_wait_too_long_for_its_turn_is_not_put(server, time):
    server.answers = [NOT_FOUND]
    async with an_api_client(
        {"stripe-main": stripe(server.url)}, time, calls_per_s=0.01, burst_calls=1, total_s=20
    ) as api_client:
        await api_client.query("stripe-main", PAYMENT)
        assert await reason_of(api_client) == "busy"
    assert len(server.requests) == 1
    assert time.slept == []


async def test_so_many_calls_are_on_their_way_and_no_more(server, time):
    async def slow(request):
        await asyncio.sleep(0.05)
        return await says(an_intent())(request)

    server.answers = [slow]
    async with an_api_client(
        {"stripe-main": stripe(server.url)}, time, calls_per_s=0, concurrent_calls=3
    ) as api_client:
        await asyncio.gather(*(api_client.query("stripe-main", PAYMENT) for _ in range(12)))
    assert (server.most_at_once, len(server.requests)) == (3, 12)


async def test_a_query_ends_in_time_though_attempts_are_left(server, time):
    server.answers = [BROKEN]
    async with an_api_client(
        {"stripe-main": stripe(server.url)}, time, attempts=10, total_s=6, breaker_failures=100
    ) as api_client:
        assert await reason_of(api_client) == "busy"
    assert sum(time.slept) < 6
    assert len(server.requests) == 4


# The breaker.


async def test_a_gateway_that_is_down_is_left_alone_and_tried_once_in_a_while(api_client, server, time, logged):
    def unanswering():
        return REGISTRY.get_sample_value("tillkeeper_gateway_breaker_open", {"account": "stripe-main"})

    server.answers = [BROKEN]
    assert [await reason_of(api_client) for _ in range(2)] == ["busy", "busy"]
    assert len(server.requests) == 5
    assert unanswering() == 1
    assert [await reason_of(api_client) for _ in range(50)] == ["breaker_open"] * 50
    assert len(server.requests) == 5
    time.passed_s += 36
    assert await reason_of(api_client) == "busy"
    assert await reason_of(api_client) == "breaker_open"
    assert len(server.requests) == 6
    server.answers = [says(an_intent())]
    time.passed_s += 36
    assert (await api_client.query("stripe-main", PAYMENT)).found
    assert (await api_client.query("stripe-main", PAYMENT)).found
    assert unanswering() == 0
    assert [line["event"] for line in logged] == ["gateway_breaker_opened", "gateway_breaker_closed"]


@pytest.mark.parametrize("answer", [DENIED, says(b"<html>"), NOT_FOUND])
async def test_a_gateway_that_says_no_is_not_down(api_client, server, answer):
    server.answers = [BROKEN] * 4 + [answer, BROKEN, NOT_FOUND]
    assert await reason_of(api_client) == "busy"
    for _ in range(2):
        with contextlib.suppress(QueryFailed):
            await api_client.query("stripe-main", PAYMENT)
    assert await api_client.query("stripe-main", PAYMENT) == Answer(found=False)


async def test_queries_that_waited_when_it_opened_are_not_put(server, time):
    server.answers = [BROKEN]
    async with an_api_client(
        {"stripe-main": stripe(server.url)}, time, calls_per_s=0, concurrent_calls=1, attempts=1
    ) as api_client:
        asked = await asyncio.gather(
            *(api_client.query("stripe-main", PAYMENT) for _ in range(20)), return_exceptions=True
        )
    assert [each.reason for each in asked] == ["busy"] * 5 + ["breaker_open"] * 15
    assert len(server.requests) == 5


async def test_a_query_that_is_cancelled_gives_its_place_back(server, time):
    begun = asyncio.Event()

    async def hang(request):
        begun.set()
        await asyncio.sleep(60)
        return web.Response()

    server.answers = [BROKEN]
    async with an_api_client(
        {"stripe-main": stripe(server.url)}, time, concurrent_calls=1, breaker_failures=1
    ) as api_client:
        assert await reason_of(api_client) == "busy"
        time.passed_s += 36
        server.answers = [hang, says(an_intent())]
        asking_now = asyncio.ensure_future(api_client.query("stripe-main", PAYMENT))
        await begun.wait()
        asking_now.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking_now
        assert (await api_client.query("stripe-main", PAYMENT)).found


# The log.


async def test_what_is_said_again_and_again_is_said_once_a_minute(api_client, server, time, logged):
    server.answers = [DENIED]
    for _ in range(7):
        assert await reason_of(api_client) == "denied"
    time.passed_s += 60
    assert await reason_of(api_client) == "denied"
    assert [(line["event"], line["suppressed"]) for line in logged] == [
        ("api_access_denied", 0),
        ("api_access_denied", 6),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        says({"error": {"code": "api_key_expired", "message": f"Expired API Key provided: {KEY}"}}, 401),
        says(KEY.encode()),
        says({"id": KEY, "object": "payment_intent"}),
        says({"error": {"code": KEY}}, 400),
        BROKEN,
    ],
)
async def test_no_line_and_no_error_tells_a_secret(api_client, server, logged, answer):
    server.answers = [answer]
    for _ in range(3):
        with pytest.raises(QueryFailed) as caught:
            await api_client.query("stripe-main", PAYMENT)
        assert KEY not in f"{caught.value!r} {caught.value.detail}"
    assert logged
    assert KEY not in repr(logged)


# Lists of events.


def an_event(number):
    return {
        "id": f"evt_{number}",
        "object": "event",
        "type": "payment_intent.succeeded",
        "created": int(NOW.timestamp()) - number,
        "livemode": False,
        "data": {"object": an_intent()},
    }


async def listed(api_client, account="stripe-main"):
    pages = api_client.events(account, since=NOW - timedelta(hours=6), until=NOW)
    return [[event.event_id for event in page] async for page in pages]


async def test_events_come_page_by_page(api_client, server, logged):
    before = counted("listed")
    server.answers = [
        says({"data": [an_event(1), an_event(2)], "has_more": True}),
        BROKEN,
        says({"data": [an_event(3), an_event(4) | {"created": -1}], "has_more": False}),
    ]
    assert await listed(api_client) == [["evt_1", "evt_2"], ["evt_3"]]
    assert [request.query.get("starting_after") for request in server.requests] == [None, "evt_2", "evt_2"]
    assert counted("listed") == before + 2
    assert [(line["event"], line["events"]) for line in logged] == [("listed_events_unreadable", 1)]


async def test_a_page_that_does_not_come_ends_the_list(api_client, server):
    server.answers = [says({"data": [an_event(1)], "has_more": True}), DENIED]
    with pytest.raises(QueryFailed, match="denied"):
        await listed(api_client)


async def test_a_list_that_does_not_end_is_none(api_client, server, monkeypatch):
    monkeypatch.setattr(client, "PAGES_MAX", 3)
    server.answers = [says({"data": [an_event(1)], "has_more": True})]
    with pytest.raises(QueryFailed, match="does not end"):
        await listed(api_client)
    assert len(server.requests) == 3


async def test_who_has_no_list_cannot_be_asked_for_one(server, time):
    async with an_api_client({"wechat-main": wechatpay(server.url)}, time) as api_client:
        for account in ("wechat-main", "nobody"):
            with pytest.raises(CannotQuery):
                await listed(api_client, account)
    assert server.requests == []


# Who can be asked.


async def test_who_can_be_asked_is_told_without_asking(server, time):
    gateways = {
        "with": stripe(server.url),
        "without": stripe(server.url, api_key=None),
        "wechat": wechatpay(server.url),
    }
    async with an_api_client(gateways, time) as api_client:
        assert [api_client.can_query(account) for account in (*gateways, "nobody")] == [True, False, True, False]
        gateways["without"] = stripe(server.url)
        api_client.update_accounts()
        assert api_client.can_query("without")
        del gateways["with"]
        api_client.update_accounts()
        assert not api_client.can_query("with")
    assert server.requests == []


async def test_a_query_is_signed_once_to_see_whether_an_account_can_be_asked(server, time, monkeypatch):
    gateway = wechatpay(server.url)
    made = []
    ask = gateway.query_request
    monkeypatch.setattr(gateway, "query_request", lambda query, **told: made.append(query) or ask(query, **told))
    async with an_api_client({"wechat": gateway}, time) as api_client:
        assert [api_client.can_query("wechat") for _ in range(3)] == [True, True, True]
    assert len(made) == 1


async def test_on_the_real_clock_it_asks_as_well(server):
    async with open_api_client({"stripe-main": stripe(server.url)}, ApiClientSettings()) as api_client:
        server.answers = [BROKEN, says(an_intent())]
        assert (await api_client.query("stripe-main", PAYMENT)).found
