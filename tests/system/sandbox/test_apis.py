"""The APIs of the sandbox, asked by the gateways' own packages: what those accept and can read is the real form."""

import asyncio
import json
import logging
from base64 import b64encode
from datetime import timedelta
from urllib.parse import urlencode

import aiohttp
import pytest
import requests
import stripe
from alipay.aop.api.AlipayClientConfig import AlipayClientConfig
from alipay.aop.api.DefaultAlipayClient import DefaultAlipayClient
from alipay.aop.api.exception.Exception import ResponseException
from alipay.aop.api.request.AlipayTradeFastpayRefundQueryRequest import AlipayTradeFastpayRefundQueryRequest
from alipay.aop.api.request.AlipayTradeQueryRequest import AlipayTradeQueryRequest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from wechatpayv3 import WeChatPay, WeChatPayType

from tests.gateway_apis import NOON, SLOW_S
from tillkeeper import clock
from tillkeeper.sandbox.apis.faults import ApiFault, FaultPeriod
from tillkeeper.sandbox.simulators.wechatpay.objects import rfc3339
from tillkeeper.sandbox.story import bare

STRIPE, ALIPAY, WECHATPAY = "stripe-main", "alipay-main", "wechatpay-main"


def pem(key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def without_lines(text: str) -> str:
    return "".join(line for line in text.splitlines() if "-----" not in line)


def public_pem(key) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def a_spell(account: str, fault: ApiFault, *, share: float = 1.0, minutes: float = 60) -> FaultPeriod:
    return FaultPeriod(account=account, fault=fault, since=NOON, until=NOON + timedelta(minutes=minutes), share=share)


# --- Stripe -----------------------------------------------------------------------------------------------------------


def stripe_client(gateways, bases, **changes) -> stripe.StripeClient:
    told = {"api_key": gateways.signers[STRIPE].api_key} | changes
    return stripe.StripeClient(
        told["api_key"],
        base_addresses={"api": bases[STRIPE]},
        max_network_retries=0,
        http_client=stripe.RequestsClient(),
    )


async def of(call, *arguments, **named):
    """The packages block: asked in a thread, for the API lives in this loop."""
    return await asyncio.to_thread(call, *arguments, **named)


async def test_stripe_tells_a_payment_as_it_stands_at_each_time(gateways):
    story = gateways.tells(
        STRIPE,
        ("payment_intent.created", 0),
        ("payment_intent.payment_failed", 1),
        ("payment_intent.processing", 2),
        ("payment_intent.succeeded", 3),
    )
    async with gateways.open() as bases:
        client = stripe_client(gateways, bases)
        seen = []
        for minute in (0, 1, 2, 3):
            gateways.at_minute(minute)
            seen.append(await of(client.v1.payment_intents.retrieve, story.payment_ref, {"expand": ["latest_charge"]}))
    assert [account.status for account in seen] == [
        "requires_payment_method",
        "requires_payment_method",
        "processing",
        "succeeded",
    ]
    assert [account.last_payment_error and account.last_payment_error.decline_code for account in seen] == [
        None,
        "insufficient_funds",
        None,
        None,
    ]
    assert seen[0].latest_charge is None
    assert (seen[1].latest_charge.status, seen[1].latest_charge.failure_code) == ("failed", "card_declined")
    paid = seen[3]
    assert (paid.amount, paid.amount_received, paid.currency) == (12900, 12900, "eur")
    assert (paid.latest_charge.captured, paid.latest_charge.payment_intent) == (True, story.payment_ref)
    assert paid.latest_charge.created == int((NOON + timedelta(minutes=3)).timestamp())
    assert paid.metadata["order_id"] == story.order_ref


async def test_stripe_finds_a_payment_by_the_merchants_order_once_it_is_searchable(gateways):
    story = gateways.tells(STRIPE, ("payment_intent.created", 0), ("payment_intent.succeeded", 0))
    query = {"query": f"metadata['order_id']:'{story.order_ref}'"}
    async with gateways.open() as bases:
        client = stripe_client(gateways, bases)
        gateways.at_minute(0.5)
        early = await of(client.v1.payment_intents.search, query)
        gateways.at_minute(1.5)
        found = await of(client.v1.payment_intents.search, query)
        with pytest.raises(stripe.InvalidRequestError):
            await of(client.v1.payment_intents.search, {"query": "everything"})
    assert early.data == []
    assert [row.id for row in found.data] == [story.payment_ref]
    assert not found.has_more


async def test_stripe_tells_charges_refunds_and_sessions(gateways):
    story = gateways.tells(
        STRIPE,
        ("checkout.session.completed", 0),
        ("payment_intent.succeeded", 1),
        ("refund.created", 2, "1", 5000),
        ("refund.updated", 3, "1", 5000),
        ("refund.created", 4, "2", 7900),
        ("refund.failed", 5, "2", 7900),
    )
    async with gateways.open() as bases:
        client = stripe_client(gateways, bases)
        gateways.at_minute(0)
        unpaid = await of(client.v1.checkout.sessions.retrieve, f"cs_test_{bare(story.order_ref)}")
        gateways.at_minute(4)
        both = await of(client.v1.charges.retrieve, f"ch_{bare(story.order_ref)}")
        expand = {"expand": ["latest_charge.refunds"]}
        whole = await of(client.v1.payment_intents.retrieve, story.payment_ref, expand)
        pending = await of(client.v1.refunds.retrieve, f"re_{bare(story.order_ref)}2")
        gateways.at_minute(5)
        one = await of(client.v1.charges.retrieve, f"ch_{bare(story.order_ref)}")
        done = await of(client.v1.refunds.retrieve, f"re_{bare(story.order_ref)}1")
        failed = await of(client.v1.refunds.retrieve, f"re_{bare(story.order_ref)}2")
        paid = await of(client.v1.checkout.sessions.retrieve, f"cs_test_{bare(story.order_ref)}")
    assert (unpaid.payment_status, paid.payment_status) == ("unpaid", "paid")
    assert (both.amount_refunded, both.refunded, one.amount_refunded, one.refunded) == (12900, True, 5000, False)
    assert (pending.status, done.status, done.amount, failed.status) == ("pending", "succeeded", 5000, "failed")
    assert [row.status for row in whole.latest_charge.refunds.data] == ["pending", "succeeded"]
    assert failed.failure_reason == "expired_or_canceled_card"


async def test_stripe_lists_its_events_newest_first_a_page_at_a_time(gateways):
    for number in range(7):
        gateways.tells(STRIPE, ("payment_intent.succeeded", number), order_ref=f"T-{number}")
    gateways.at_minute(60)
    since = int((NOON + timedelta(minutes=2)).timestamp())
    async with gateways.open() as bases:
        client = stripe_client(gateways, bases)
        pages = []
        told = {"created": {"gte": since}, "limit": 2, "types": ["payment_intent.succeeded"]}
        while True:
            pages.append(page := await of(client.v1.events.list, told))
            if not page.has_more:
                break
            told["starting_after"] = page.data[-1].id
        other = await of(client.v1.events.list, {"types": ["refund.created"]})
    assert [[row.id for row in page.data] for page in pages] == [
        ["evt_T600", "evt_T500"],
        ["evt_T400", "evt_T300"],
        ["evt_T200"],
    ]
    assert pages[0].data[0].data.object["id"] == "pi_T6"
    assert other.data == []


async def test_stripe_refuses_in_its_own_words(gateways):
    async with gateways.open() as bases:
        client = stripe_client(gateways, bases)
        for call, ref in (
            (client.v1.payment_intents.retrieve, "pi_none"),
            (client.v1.charges.retrieve, "ch_none"),
            (client.v1.refunds.retrieve, "re_none"),
            (client.v1.checkout.sessions.retrieve, "cs_test_none"),
        ):
            with pytest.raises(stripe.InvalidRequestError) as missing:
                await of(call, ref)
            assert (missing.value.code, missing.value.http_status) == ("resource_missing", 404)
        with pytest.raises(stripe.AuthenticationError):
            await of(stripe_client(gateways, bases, api_key="sk_test_wrong").v1.payment_intents.retrieve, "pi_none")


async def test_stripe_takes_its_key_as_basic_user_too(gateways):
    story = gateways.tells(STRIPE, ("payment_intent.succeeded", 0))
    key = gateways.signers[STRIPE].api_key
    basic = {"Authorization": f"Basic {b64encode(f'{key}:'.encode()).decode()}"}
    async with gateways.open() as bases, aiohttp.ClientSession(bases[STRIPE]) as session:
        path = f"/v1/payment_intents/{story.payment_ref}"
        async with session.get(path, headers=basic) as answer:
            assert answer.status == 200
            assert answer.headers["Date"] == "Sun, 22 Nov 2026 12:00:00 GMT"
        async with session.get(path, headers={"Authorization": "Basic !"}) as answer:
            assert answer.status == 401
        async with session.get("/v1/nothing", headers=basic) as answer:
            assert answer.status == 404


# --- Alipay -----------------------------------------------------------------------------------------------------------


def alipay_client(gateways, bases, **changes) -> DefaultAlipayClient:
    signer = gateways.signers[ALIPAY]
    config = AlipayClientConfig()
    config.server_url = f"{bases[ALIPAY]}/gateway.do"
    config.app_id = changes.get("app_id", signer.app_id)
    app_key = changes.get("app_key", signer.app_key)
    config.app_private_key = without_lines(traditional(app_key))
    config.alipay_public_key = without_lines(public_pem(signer.private_key))
    return DefaultAlipayClient(alipay_client_config=config, logger=logging.getLogger("alipay of the tests"))


@pytest.fixture(autouse=True)
def _alipays_package_can_reach_a_port(monkeypatch):
    """It fails on any address with a port in it; what it signs is sent on its behalf, as it would."""

    def do_post(url, query_string, *told):
        headers, params, charset, _ = told
        body = urlencode(params, encoding=charset)
        with requests.post(f"{url}?{query_string}", data=body, headers=headers, timeout=15) as answer:
            return answer.content

    monkeypatch.setattr("alipay.aop.api.DefaultAlipayClient.do_post", do_post)


def traditional(key) -> str:
    """As the package wants it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def trade_query(**content) -> AlipayTradeQueryRequest:
    request = AlipayTradeQueryRequest()
    request.biz_content = content
    return request


def refund_query(**content) -> AlipayTradeFastpayRefundQueryRequest:
    request = AlipayTradeFastpayRefundQueryRequest()
    request.biz_content = content
    return request


async def alipay_says(client, request) -> dict:
    """The answer's value; the package raises if it is not signed by Alipay."""
    return json.loads(await of(client.execute, request))


async def test_alipay_tells_a_trade_as_it_stands_at_each_time(gateways):
    story = gateways.tells(ALIPAY, ("WAIT_BUYER_PAY", 1), ("TRADE_SUCCESS", 2), ("refunded", 3, "1", 12900))
    async with gateways.open() as bases:
        client, seen = alipay_client(gateways, bases), []
        for minute in (0, 1, 2, 3):
            gateways.at_minute(minute)
            seen.append(await alipay_says(client, trade_query(out_trade_no=story.order_ref)))
        by_number = await alipay_says(client, trade_query(trade_no=story.payment_ref))
    assert (seen[0]["code"], seen[0]["sub_code"]) == ("40004", "ACQ.TRADE_NOT_EXIST")
    assert [account.get("trade_status") for account in seen] == [
        None,
        "WAIT_BUYER_PAY",
        "TRADE_SUCCESS",
        "TRADE_CLOSED",
    ]
    assert "send_pay_date" not in seen[1]
    assert (seen[2]["total_amount"], seen[2]["send_pay_date"]) == ("129.00", "2026-11-22 20:02:00")
    assert seen[3]["send_pay_date"]  # closed, but paid once: that tells it from one that never was
    assert by_number == seen[3]


async def test_alipay_tells_that_a_refund_is_not_done_by_saying_nothing_of_it(gateways):
    story = gateways.tells(
        ALIPAY,
        ("TRADE_SUCCESS", 0),
        ("refund asked", 1, "1", 3000),
        ("refunded", 2, "1", 3000),
        ("refunded", 3, "2", 7000),
    )
    ref = f"re_{bare(story.order_ref)}1"
    async with gateways.open() as bases:
        client, seen = alipay_client(gateways, bases), []
        for minute in (0, 1, 2):
            gateways.at_minute(minute)
            request = refund_query(trade_no=story.payment_ref, out_request_no=ref, query_options=["gmt_refund_pay"])
            seen.append(await alipay_says(client, request))
        gateways.at_minute(3)
        second = await alipay_says(
            client, refund_query(out_trade_no=story.order_ref, out_request_no=f"re_{bare(story.order_ref)}2")
        )
        nowhere = await alipay_says(client, refund_query(out_trade_no="T-none", out_request_no=ref))
    assert seen[:2] == [{"code": "10000", "msg": "Success"}] * 2
    assert (seen[2]["refund_status"], seen[2]["refund_amount"]) == ("REFUND_SUCCESS", "30.00")
    assert seen[2]["gmt_refund_pay"] == "2026-11-22 20:02:00"
    assert second["refund_amount"] == "40.00"  # a notice would have told 70.00, the total
    assert nowhere["sub_code"] == "ACQ.TRADE_NOT_EXIST"


async def test_alipay_takes_no_query_that_the_app_did_not_sign(gateways):
    signer = gateways.signers[ALIPAY]
    async with gateways.open() as bases:
        forger = alipay_client(gateways, bases, app_key=signer.private_key)
        assert (await alipay_says(forger, trade_query(out_trade_no="T")))["sub_code"] == "isv.invalid-signature"
        stranger = alipay_client(gateways, bases, app_id="2021000000000000")
        with pytest.raises(ResponseException):  # that error is not signed
            await alipay_says(stranger, trade_query(out_trade_no="T"))


async def test_alipay_that_is_busy_says_so_in_its_code(gateways):
    async with gateways.open(a_spell(ALIPAY, ApiFault.BROKEN)) as bases:
        said = await alipay_says(alipay_client(gateways, bases), trade_query(out_trade_no="T"))
    assert (said["code"], said["sub_code"]) == ("20000", "isp.unknow-error")


async def test_alipay_forged_is_seen_by_the_package(gateways):
    async with gateways.open(a_spell(ALIPAY, ApiFault.FORGED)) as bases:
        with pytest.raises(ResponseException, match="verify failed"):
            await alipay_says(alipay_client(gateways, bases), trade_query(out_trade_no="T"))


# --- WeChat Pay -------------------------------------------------------------------------------------------------------


def wechatpay_client(gateways, bases, **changes) -> WeChatPay:
    """The package asks at the real time, so that the clock of the test must be there too."""
    signer = gateways.signers[WECHATPAY]
    gateways.now = clock.now() + changes.pop("off", timedelta())
    told = {
        "mchid": signer.mch_id,
        "private_key": pem(signer.merchant_key),
        "cert_serial_no": signer.merchant_serial,
        "apiv3_key": signer.apiv3_key,
        "appid": signer.app_id,
        "public_key": public_pem(signer.key.private_key),
        "public_key_id": signer.key.serial,
    } | changes
    client = WeChatPay(wechatpay_type=WeChatPayType.JSAPI, **told)
    client._core._gate_way = bases[WECHATPAY]
    return client


async def wechatpay_says(call, **named) -> tuple[int, dict]:
    """Status and answer; the package raises if a success is not signed by WeChat Pay."""
    status, text = await of(call, **named)
    return status, json.loads(text)


async def test_wechatpay_tells_a_transaction_by_either_number(gateways):
    gateways.begin_an_hour_ago()
    paid = gateways.tells(WECHATPAY, ("TRANSACTION.SUCCESS", 1))
    open_one = gateways.tells(WECHATPAY, ("NOTPAY", 0), order_ref="T-000002")
    closed = gateways.tells(WECHATPAY, ("NOTPAY", 0), ("CLOSED", 30), order_ref="T-000003")
    async with gateways.open() as bases:
        client = wechatpay_client(gateways, bases)
        status, told = await wechatpay_says(client.query, out_trade_no=paid.order_ref)
        assert status == 200
        assert (told["trade_state"], told["transaction_id"]) == ("SUCCESS", paid.payment_ref)
        assert told["amount"]["total"] == 12900
        assert told["success_time"] == rfc3339(gateways.begins + timedelta(minutes=1))
        assert (await wechatpay_says(client.query, transaction_id=paid.payment_ref))[1] == told
        status, told = await wechatpay_says(client.query, out_trade_no=open_one.order_ref)
        assert (status, told["trade_state"], told.get("transaction_id")) == (200, "NOTPAY", None)
        status, told = await wechatpay_says(client.query, transaction_id=open_one.payment_ref)
        assert (status, told["code"]) == (404, "ORDER_NOT_EXIST")
        assert (await wechatpay_says(client.query, out_trade_no=closed.order_ref))[1]["trade_state"] == "CLOSED"
        status, told = await wechatpay_says(client.query, out_trade_no="T-none")
        assert (status, told["code"]) == (404, "ORDER_NOT_EXIST")
        status, told = await wechatpay_says(client.query, out_trade_no=paid.order_ref, mchid="1900000999")
        assert (status, told["code"]) == (400, "PARAM_ERROR")


async def test_wechatpay_tells_refunds_by_the_merchants_number(gateways):
    gateways.begin_an_hour_ago()
    story = gateways.tells(
        WECHATPAY,
        ("TRANSACTION.SUCCESS", 0),
        ("REFUND.PROCESSING", 1, "1", 4000),
        ("REFUND.PROCESSING", 1, "2", 5000),
        ("REFUND.SUCCESS", 2, "1", 4000),
        ("REFUND.ABNORMAL", 3, "2", 5000),
        ("REFUND.PROCESSING", 4, "3", 100),
    )
    async with gateways.open() as bases:
        client = wechatpay_client(gateways, bases)
        _, payment = await wechatpay_says(client.query, out_trade_no=story.order_ref)
        refunds = [
            (await wechatpay_says(client.query_refund, out_refund_no=f"re_{bare(story.order_ref)}{number}"))[1]
            for number in (1, 2, 3)
        ]
        status, none = await wechatpay_says(client.query_refund, out_refund_no=refunds[0]["refund_id"])
    assert payment["trade_state"] == "REFUND"
    assert [refund["status"] for refund in refunds] == ["SUCCESS", "ABNORMAL", "PROCESSING"]
    assert [refund["amount"]["refund"] for refund in refunds] == [4000, 5000, 100]
    assert [refund.get("success_time") for refund in refunds] == [
        rfc3339(gateways.begins + timedelta(minutes=2)),
        None,
        None,
    ]
    assert (status, none["code"]) == (404, "RESOURCE_NOT_EXISTS")


@pytest.mark.parametrize("wrong", ["private_key", "cert_serial_no", "off"])
async def test_wechatpay_takes_no_query_that_the_merchant_did_not_sign_just_now(gateways, wrong):
    change = {
        "private_key": pem(gateways.signers[WECHATPAY].key.private_key),
        "cert_serial_no": "77" * 20,
        "off": timedelta(minutes=6),
    }
    async with gateways.open() as bases:
        client = wechatpay_client(gateways, bases, **{wrong: change[wrong]})
        status, told = await wechatpay_says(client.query, out_trade_no="T")
    assert (status, told["code"]) == (401, "SIGN_ERROR")


async def test_wechatpay_forged_is_seen_by_the_package(gateways):
    gateways.begin_an_hour_ago()
    story = gateways.tells(WECHATPAY, ("TRANSACTION.SUCCESS", 0))
    until = gateways.begins + timedelta(hours=2)
    spell = FaultPeriod(account=WECHATPAY, fault=ApiFault.FORGED, since=gateways.begins, until=until)
    async with gateways.open(spell) as bases:
        client = wechatpay_client(gateways, bases)
        with pytest.raises(Exception, match="failed to verify the signature"):
            await wechatpay_says(client.query, out_trade_no=story.order_ref)


# --- faults, and the log ----------------------------------------------------------------------------------------------


async def ask_stripe(gateways, base: str, ref: str) -> int:
    """The status of a plain query, 0 for none."""
    headers = {"Authorization": f"Bearer {gateways.signers[STRIPE].api_key}"}
    try:
        async with (
            aiohttp.ClientSession(base, timeout=aiohttp.ClientTimeout(total=2 * SLOW_S), headers=headers) as session,
            session.get(f"/v1/payment_intents/{ref}") as answer,
        ):
            await answer.json(content_type=None)
            return answer.status
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return 0


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (ApiFault.SLOW, 200),
        (ApiFault.BROKEN, 500),
        (ApiFault.BUSY, 429),
        (ApiFault.FORGED, 0),  # cut off
        (ApiFault.HUNG_UP, 0),
        (ApiFault.SILENT, 0),
    ],
)
async def test_a_fault_holds_for_its_time_and_the_log_tells_it(gateways, fault, status):
    story = gateways.tells(STRIPE, ("payment_intent.succeeded", 0))
    async with gateways.open(a_spell(STRIPE, fault, minutes=10)) as bases:
        assert await ask_stripe(gateways, bases[STRIPE], story.payment_ref) == status
        gateways.at_minute(10)
        assert await ask_stripe(gateways, bases[STRIPE], story.payment_ref) == 200
    *failed, fine = gateways.log.of_order(story.order_ref)  # the client asks once more by itself when it is hung up on
    assert {(each.at, each.account, each.fault) for each in failed} == {(NOON, STRIPE, fault)}
    assert (fine.fault, fine.status, fine.summary) == (None, 200, "succeeded")


async def test_a_share_of_faults_is_a_share(gateways):
    gateways.tells(STRIPE, ("payment_intent.succeeded", 0))
    async with gateways.open(a_spell(STRIPE, ApiFault.BROKEN, share=0.5)) as bases:
        statuses = [await ask_stripe(gateways, bases[STRIPE], "pi_T000001") for _ in range(60)]
    assert 15 < statuses.count(500) < 45
    assert set(statuses) == {200, 500}


async def test_a_gateway_that_does_not_know_itself_tells_what_it_knew(gateways):
    story = gateways.tells(STRIPE, ("payment_intent.processing", 0), ("payment_intent.succeeded", 30))
    async with gateways.open(a_spell(STRIPE, ApiFault.UNKNOWING, minutes=45)) as bases:
        for minute in (1, 31, 46):
            gateways.at_minute(minute)
            await ask_stripe(gateways, bases[STRIPE], story.payment_ref)
    assert [each.summary for each in gateways.log.of_order(story.order_ref)] == [
        "processing",
        "processing",
        "succeeded",
    ]


async def test_the_log_can_be_read_by_others(gateways, tmp_path):
    story = gateways.tells(STRIPE, ("payment_intent.succeeded", 0))
    async with gateways.open() as bases:
        await ask_stripe(gateways, bases[STRIPE], story.payment_ref)
    gateways.log.write(tmp_path / "questions.jsonl")
    (line,) = (tmp_path / "questions.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert (told["account"], told["about"], told["order_ref"]) == (STRIPE, "payment", story.order_ref)
    assert gateways.log.counts == {STRIPE: 1}
