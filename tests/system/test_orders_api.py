"""The orders API over real HTTP with a real PostgreSQL."""

import io
import json

import aiohttp
import msgspec
import pytest
from yarl import URL

from tests.database.factories import NOON, an_event
from tests.system.receiving import AUTHORIZED, TOKEN, some_settings
from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.policy import Policy
from tillkeeper.ingest.registration import registration_of
from tillkeeper.ingest.server import receiver
from tillkeeper.store.apply.batch import apply_found

AN_ORDER = {"amount": 12900, "currency": "CNY", "accounts": ["stripe-main"]}
WHOLE_ORDER = AN_ORDER | {
    "payments": [{"account": "stripe-main", "payment_ref": "pi_1"}],
    "payer": {"email": "payer@shop.example", "phone": "+86 138 0000 0000", "locale": "zh-CN"},
    "pay_url": "https://shop.example/pay/1",
    "expires_at": "2026-12-01T12:00:00+08:00",
    "instalments": [
        {"amount": 6450, "due_at": "2026-11-01T00:00:00Z"},
        {"amount": 6450, "due_at": "2026-12-01T00:00:00Z"},
    ],
}

A_REFUND = {"account": "stripe-main", "amount": 900}
REFUND = "/orders/ORDER-1/refunds/re_1"
REQUESTS = [
    ("PUT", "/orders/ORDER-1"),
    ("GET", "/orders/ORDER-1"),
    ("GET", "/orders/ORDER-1/history"),
    ("PUT", REFUND),
    ("DELETE", REFUND),
]


async def put(client, order=AN_ORDER, *, path="/orders/ORDER-1", **options):
    """Status and content of a PUT.  `order` may be what the body is to be."""
    body = json.dumps(order).encode() if isinstance(order, dict) else order
    async with client.put(path, data=body, headers=AUTHORIZED, **options) as answer:
        return answer.status, await answer.json()


async def get(client, path):
    async with client.get(path, headers=AUTHORIZED) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("order", [AN_ORDER, WHOLE_ORDER])
async def test_an_order_is_created_then_unchanged_then_contradicted(client, order):
    assert (await put(client, order))[0] == 201
    assert (await put(client, order))[0] == 200
    status, said = await put(client, order | {"amount": 12901, "instalments": []})
    assert (status, said["error"].split()[0]) == (409, "amount")


async def test_the_same_instant_in_another_time_zone_is_the_same_order(client):
    assert (await put(client, WHOLE_ORDER))[0] == 201
    assert (await put(client, WHOLE_ORDER | {"expires_at": "2026-12-01T04:00:00Z"}))[0] == 200


async def test_a_registered_order_is_shown_unpaid_in_both_languages(client):
    await put(client, WHOLE_ORDER)
    status, shown = await get(client, "/orders/ORDER-1")
    assert status == 200
    told = {name: shown[name] for name in ("order_ref", "status", "status_zh", "amount", "currency", "paid")}
    assert told == {
        "order_ref": "ORDER-1",
        "status": "unpaid",
        "status_zh": "未支付",
        "amount": 12900,
        "currency": "CNY",
        "paid": 0,
    }
    assert [payment["payment_ref"] for payment in shown["payments"]] == ["pi_1"]
    assert await get(client, "/orders/ORDER-1/history") == (200, [])


async def test_an_order_that_is_not_registered_is_404(client):
    assert (await get(client, "/orders/NOBODY"))[0] == 404
    assert (await get(client, "/orders/NOBODY/history"))[0] == 404


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer тайна-не-по-латински",
    ],
)
async def test_without_the_token_nothing_is_told_or_registered(client, header):
    headers = {} if header is None else {"Authorization": header}
    for method, path in REQUESTS:
        async with client.request(method, path, headers=headers, json=AN_ORDER) as answer:
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (await get(client, "/orders/ORDER-1"))[0] == 404


async def test_with_no_tokens_configured_nobody_may_ask(database):
    async with (
        receiver(some_settings(database, api_tokens=[])) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        assert (await get(client, "/orders/ORDER-1"))[0] == 401
        async with client.get("/orders/ORDER-1", headers={"Authorization": "Bearer "}) as answer:
            assert answer.status == 401


async def test_every_configured_token_is_good(database):
    second = "another-token-of-16-and-more"
    async with (
        receiver(some_settings(database, api_tokens=[TOKEN, second])) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        for token in (TOKEN, second):
            async with client.get("/orders/ORDER-1", headers={"Authorization": f"Bearer {token}"}) as answer:
                assert answer.status == 404


BAD_ORDERS = {
    "no body": (b"", "JSON"),
    "not JSON": (b"{", "JSON"),
    "not UTF-8": (b'{"amount": "\xff"}', "UTF-8"),
    "a list": (b"[]", "object"),
    "a key twice": (b'{"amount": 1, "amount": 2, "currency": "CNY", "accounts": ["stripe-main"]}', "repeats a key"),
    "NaN": (b'{"amount": NaN, "currency": "CNY", "accounts": ["stripe-main"]}', "NaN"),
    "NUL": (b'{"amount": 1, "currency": "\\u0000", "accounts": ["stripe-main"]}', "character"),
    "half a pair": (b'{"amount": 1, "currency": "\\ud800", "accounts": ["stripe-main"]}', "character"),
    "nested": (b"[" * 5000, "nests"),
    "unknown field": (AN_ORDER | {"ammount": 1}, "ammount"),
    "no amount": ({"currency": "CNY", "accounts": ["stripe-main"]}, "`amount`"),
    "zero": (AN_ORDER | {"amount": 0}, "$.amount"),
    "negative": (AN_ORDER | {"amount": -1}, "$.amount"),
    "astronomic": (AN_ORDER | {"amount": 10**15 + 1}, "$.amount"),
    "a fraction": (AN_ORDER | {"amount": 1.5}, "$.amount"),
    "a float that is whole": (AN_ORDER | {"amount": 1.0}, "$.amount"),
    "an amount as text": (AN_ORDER | {"amount": "12900"}, "$.amount"),
    "true": (AN_ORDER | {"amount": True}, "$.amount"),
    "null": (AN_ORDER | {"amount": None}, "$.amount"),
    "small currency": (AN_ORDER | {"currency": "cny"}, "ISO 4217"),
    "no such currency": (AN_ORDER | {"currency": "XXX"}, "ISO 4217"),
    "no account": (AN_ORDER | {"accounts": []}, "$.accounts"),
    "unknown account": (AN_ORDER | {"accounts": ["stripe-main", "nobody"]}, "known are stripe-main"),
    "accounts as text": (AN_ORDER | {"accounts": "stripe-main"}, "$.accounts"),
    "a payment elsewhere": (AN_ORDER | {"payments": [{"account": "x", "payment_ref": "p"}]}, "payments"),
    "an empty payment": (AN_ORDER | {"payments": [{"account": "stripe-main", "payment_ref": ""}]}, "$.payments"),
    "no e-mail": (AN_ORDER | {"payer": {"email": "nobody"}}, "$.payer.email"),
    "no phone": (AN_ORDER | {"payer": {"phone": "call me"}}, "$.payer.phone"),
    "no locale": (AN_ORDER | {"payer": {"locale": "zh_"}}, "$.payer.locale"),
    "a script as address": (AN_ORDER | {"pay_url": "javascript:alert(1)"}, "$.pay_url"),
    "an address with a line end": (AN_ORDER | {"pay_url": "https://x\r\nBcc: y"}, "$.pay_url"),
    "an address with a line end behind it": (AN_ORDER | {"pay_url": "https://shop.example/1\n"}, "$.pay_url"),
    "markup in an address": (AN_ORDER | {"pay_url": 'https://shop.example/"><script>alert(1)</script>'}, "$.pay_url"),
    "an address that shows another host": (AN_ORDER | {"pay_url": "https://shop.example@evil.example/"}, "$.pay_url"),
    "an address read backwards": (AN_ORDER | {"pay_url": "https://shop.example/\u202egpj"}, "$.pay_url"),
    "an address without host": (AN_ORDER | {"pay_url": "https:///pay"}, "$.pay_url"),
    "an e-mail with a line end": (AN_ORDER | {"payer": {"email": "payer@shop.example\n"}}, "$.payer.email"),
    "two e-mails": (AN_ORDER | {"payer": {"email": "a@shop.example,b"}}, "$.payer.email"),
    "a control character in an e-mail": (AN_ORDER | {"payer": {"email": "payer\u0007@shop.example"}}, "$.payer.email"),
    "a phone with a line end": (AN_ORDER | {"payer": {"phone": "+86 138 0000 0000\n"}}, "$.payer.phone"),
    "a phone in other digits": (AN_ORDER | {"payer": {"phone": "١٢٣٤٥٦"}}, "$.payer.phone"),
    "a locale with a line end": (AN_ORDER | {"payer": {"locale": "zh-CN\n"}}, "$.payer.locale"),
    "a time without zone": (AN_ORDER | {"expires_at": "2026-12-01T12:00:00"}, "timezone"),
    "a time that is none": (AN_ORDER | {"expires_at": "soon"}, "RFC3339"),
    "a time before time": (AN_ORDER | {"expires_at": "0001-01-01T00:00:00+23:00"}, "years 2000"),
    "instalments that fall short": (
        AN_ORDER | {"instalments": [{"amount": 12899, "due_at": "2026-12-01T00:00:00Z"}]},
        "add up",
    ),
}


@pytest.mark.parametrize(("order", "names"), BAD_ORDERS.values(), ids=BAD_ORDERS.keys())
async def test_a_bad_order_is_refused_in_words_that_name_the_fault(client, order, names):
    status, said = await put(client, order)
    assert (status, list(said)) == (400, ["error"])
    assert names in said["error"]
    assert (await get(client, "/orders/ORDER-1"))[0] == 404


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("https://bücher.example/pay?a=1", "https://xn--bcher-kva.example/pay?a=1"),
        ("https://shop.example/付款", "https://shop.example/%E4%BB%98%E6%AC%BE"),
        ("http://127.0.0.1:8000/pay/1", "http://127.0.0.1:8000/pay/1"),
        ("https://[2001:db8::1]/pay", "https://[2001:db8::1]/pay"),
    ],
)
def test_an_address_of_another_script_is_kept_as_a_mail_can_show_it(written, kept):
    order = msgspec.json.encode(AN_ORDER | {"pay_url": written})
    assert registration_of("ORDER-1", order, accounts={"stripe-main"}).pay_url == kept


def as_written(client, path):
    """The path on the wire as it stands here, not put right by the client."""
    return URL(str(client._base_url).rstrip("/") + path, encoded=True)


@pytest.mark.parametrize(
    ("path", "order_ref"),
    [
        ("/orders/a%2Fb", "a/b"),
        ("/orders/a%252Fb", "a%2Fb"),
        ("/orders/%E8%AE%A2%E5%8D%95%201", "订单 1"),
        ("/orders/" + "x" * 255, "x" * 255),
        ("/orders/%C3%BC", "ü"),
        ("/orders/a+b%3Fc", "a+b?c"),
        ("/orders/%7B6F9619FF%7D", "{6F9619FF}"),
    ],
)
async def test_a_reference_is_percent_decoded_once(client, path, order_ref):
    status, said = await put(client, path=as_written(client, path))
    assert (status, said["order_ref"]) == (201, order_ref)
    status, shown = await get(client, as_written(client, path))
    assert (status, shown["order_ref"]) == (200, order_ref)


@pytest.mark.parametrize("raw", ["%FF", "%ED%A0%80", "%00", "a%zz", "a%2", "x" * 256])
async def test_a_reference_that_no_database_can_keep_is_refused(client, raw):
    status, said = await put(client, path=as_written(client, f"/orders/{raw}"))
    assert status == 400
    assert "reference" in said["error"]


async def test_without_the_database_the_answer_is_503_and_come_again(client, postgres_server):
    await put(client)
    await postgres_server.stop()
    for method, path in REQUESTS:
        body = A_REFUND if path.endswith("re_1") else AN_ORDER
        async with client.request(method, path, headers=AUTHORIZED, json=body) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    await postgres_server.start()
    assert (await get(client, "/orders/ORDER-1"))[0] == 200


async def test_a_body_over_the_limit_or_compressed_is_refused(client):
    assert (await put(client, io.BytesIO(b" " * (1024 * 1024 + 1))))[0] == 413
    assert (await put(client, b"{}", compress="gzip"))[0] == 415


# --- refunds ----------------------------------------------------------------------------------------------------------


async def test_a_refund_makes_its_order_refunding_until_the_gateway_says_more(client):
    await put(client)
    status, said = await put(client, A_REFUND, path=REFUND)
    assert (status, said) == (201, {"order_ref": "ORDER-1", "refund_ref": "re_1", "refund": "created"})
    status, said = await put(client, A_REFUND, path=REFUND)
    assert (status, said["refund"]) == (200, "unchanged")
    _, shown = await get(client, "/orders/ORDER-1")
    assert (shown["status"], shown["status_zh"], shown["refunding"]) == ("refunding", "退款处理中", 900)
    assert [(refund["refund_ref"], refund["status"]) for refund in shown["refunds"]] == [("re_1", "pending")]
    _, (entry,) = await get(client, "/orders/ORDER-1/history")
    assert (entry["kind"], entry["evidence"], entry["outcome"]) == ("refund.pending", "operator", "applied")
    assert entry["occurred_at"] == entry["recorded_at"]


async def test_a_refund_that_was_never_made_is_taken_back(client):
    await put(client)
    await put(client, A_REFUND, path=REFUND)
    for said in ("withdrawn", "unchanged"):
        async with client.delete(REFUND, headers=AUTHORIZED) as response:
            assert (response.status, (await response.json())["refund"]) == (200, said)
    _, shown = await get(client, "/orders/ORDER-1")
    assert (shown["status"], [refund["status"] for refund in shown["refunds"]]) == ("unpaid", ["failed"])
    async with client.delete("/orders/ORDER-1/refunds/re_9", headers=AUTHORIZED) as response:
        assert response.status == 404


async def test_a_refund_that_the_gateway_knows_of_cannot_be_taken_back(client, connection):
    await put(client)
    await put(client, A_REFUND, path=REFUND)
    event = an_event(Kind.REFUND_PENDING, order_ref="ORDER-1", refund_ref="re_1", amount=900, evidence=Evidence.QUERY)
    async with connection.transaction():
        await apply_found(connection, [event], policy=Policy(), now=NOON)
    async with client.delete(REFUND, headers=AUTHORIZED) as response:
        assert response.status == 409


async def test_a_refund_of_an_order_that_is_not_registered_is_404(client):
    assert (await put(client, A_REFUND, path=REFUND))[0] == 404


@pytest.mark.parametrize(
    ("refund", "field"),
    [
        (A_REFUND | {"amount": 901}, "amount"),
        (A_REFUND | {"payment_ref": "pi_9"}, "payment_ref"),
    ],
)
async def test_a_refund_that_says_something_else_is_a_contradiction(client, refund, field):
    await put(client)
    await put(client, A_REFUND, path=REFUND)
    status, said = await put(client, refund, path=REFUND)
    assert (status, said["error"].split()[0]) == (409, field)


async def test_one_refund_is_of_one_order(client):
    await put(client)
    await put(client, path="/orders/ORDER-2")
    await put(client, A_REFUND, path=REFUND)
    status, said = await put(client, A_REFUND, path="/orders/ORDER-2/refunds/re_1")
    assert (status, said["error"].split()[0]) == (409, "refund_ref")


async def test_a_refund_of_another_orders_payment_is_refused_and_leaves_no_trace(client):
    await put(client, AN_ORDER | {"payments": [{"account": "stripe-main", "payment_ref": "pi_1"}]})
    await put(client, path="/orders/ORDER-2")
    refund = A_REFUND | {"payment_ref": "pi_1"}
    status, said = await put(client, refund, path="/orders/ORDER-2/refunds/re_1")
    assert (status, said["error"].split()[0]) == (409, "payment_ref")
    for order in ("ORDER-1", "ORDER-2"):
        _, shown = await get(client, f"/orders/{order}")
        assert (shown["status"], shown["cases"]) == ("unpaid", [])
    assert (await put(client, refund, path=REFUND))[0] == 201


BAD_REFUNDS = {
    "no body": (b"", "JSON"),
    "no account": ({"amount": 1}, "`account`"),
    "unknown account": (A_REFUND | {"account": "nobody"}, "known are stripe-main"),
    "no amount": ({"account": "stripe-main"}, "`amount`"),
    "zero": (A_REFUND | {"amount": 0}, "$.amount"),
    "a fraction": (A_REFUND | {"amount": 0.5}, "$.amount"),
    "unknown field": (A_REFUND | {"currency": "CNY"}, "currency"),
    "an empty payment": (A_REFUND | {"payment_ref": ""}, "$.payment_ref"),
}


@pytest.mark.parametrize(("refund", "names"), BAD_REFUNDS.values(), ids=BAD_REFUNDS.keys())
async def test_a_bad_refund_is_refused_in_words_that_name_the_fault(client, refund, names):
    await put(client)
    status, said = await put(client, refund, path=REFUND)
    assert (status, list(said)) == (400, ["error"])
    assert names in said["error"]
    assert (await get(client, "/orders/ORDER-1"))[1]["status"] == "unpaid"


@pytest.mark.parametrize("raw", ["%FF", "%00", "a%2", "x" * 256, "x" * 240])
async def test_a_refunds_reference_that_no_database_can_keep_is_refused(client, raw):
    await put(client)
    status, said = await put(client, A_REFUND, path=as_written(client, f"/orders/ORDER-1/refunds/{raw}"))
    assert status == 400
    assert "reference" in said["error"]


async def test_a_refunds_reference_is_percent_decoded_once(client):
    await put(client)
    path = as_written(client, "/orders/ORDER-1/refunds/" + "%E9%80%80" + "%2F" + "x" * 233)
    status, said = await put(client, A_REFUND, path=path)
    assert (status, said["refund_ref"]) == (201, "退/" + "x" * 233)
