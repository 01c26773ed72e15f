"""WeChat Pay is asked for the trade bill of a day, and its file is taken for what the signed answer says."""

import gzip
import hashlib
import json
from datetime import date, datetime

import msgspec
import pytest
from specimen import NOW, rsa_keys
from specimen_wechatpay import KEY_ID, SERIAL, settings_of

from tests.statement_writers.wechatpay import trade, trade_bill
from tillkeeper.domain.books.statement import LineKind
from tillkeeper.gateways.errors import AccessDenied, BadPayload, BadSignature, CannotQuery, Unavailable
from tillkeeper.gateways.messages import Response
from tillkeeper.gateways.statement_offer import EmptyDay, NotReady, OfferedFile
from tillkeeper.gateways.wechatpay.gateway import WeChatPay
from tillkeeper.gateways.wechatpay.settings import WeChatPaySettings
from tillkeeper.sandbox.simulators.wechatpay.signing import WeChatPayKey, wechatpay_signed

KEYS = rsa_keys()
CERTIFICATE = WeChatPayKey(SERIAL, KEYS.own)
STRANGER = WeChatPayKey(SERIAL, KEYS.foreign)
DAY = date(2026, 10, 4)
BILL = trade_bill([trade("SUCCESS", 12900, at=datetime(2026, 10, 4, 20, 0))])  # noqa: DTZ001 - as WeChat Pay writes it
DIGEST = hashlib.sha1(BILL, usedforsecurity=False).hexdigest()
URL = "https://api.mch.weixin.qq.com/v3/billdownload/file?token=6XIv&tartype=gzip"
OFFER = {"hash_type": "SHA1", "hash_value": DIGEST, "download_url": URL}


def made(**changes):
    return WeChatPay("wechat-main", WeChatPaySettings.model_validate(settings_of(KEYS) | changes))


GATEWAY = made()


def answer(content, *, status=200, key=CERTIFICATE):
    body = json.dumps(content).encode()
    headers, body = wechatpay_signed(key, NOW, body)
    return Response(status=status, headers={name.lower(): [value] for name, value in headers.items()}, body=body)


def unsigned(status, content):
    return Response(status=status, headers={}, body=json.dumps(content).encode())


def offered(content, gateway=GATEWAY, **more):
    return gateway.read_statement_offer(answer(content, **more), now=NOW)


def asked(gateway):
    return gateway.statement_request(DAY, now=NOW, nonce="n")


def test_the_bill_of_all_trades_of_the_day_is_asked_for_packed_and_signed():
    call = asked(GATEWAY)
    assert call.url == (
        "https://api.mch.weixin.qq.com/v3/bill/tradebill?bill_date=2026-10-04&bill_type=ALL&tar_type=GZIP"
    )
    assert call.headers["Authorization"].startswith("WECHATPAY2-SHA256-RSA2048 mchid=")
    assert asked(made(sub_mch_ids=["1900000109"])).url.endswith("&sub_mchid=1900000109")
    assert not call.is_for_file


def test_the_answer_is_asked_to_be_signed_with_the_public_key_that_is_known():
    assert asked(GATEWAY).headers["Wechatpay-Serial"] == KEY_ID
    assert "Wechatpay-Serial" not in asked(made(public_keys={})).headers


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"merchant_serial": None}, "merchant_serial"),
        ({"api_base": "https://apihk.mch.weixin.qq.com"}, "abroad"),
        ({"sub_mch_ids": ["1900000109", "1900000110"]}, "an account for each"),
    ],
)
def test_where_no_bill_can_be_asked_for_it_says_why(changes, says):
    with pytest.raises(CannotQuery, match=says):
        asked(made(**changes))


def test_a_signed_answer_says_where_the_file_is_and_the_file_is_fetched_with_our_signature():
    offer = offered(OFFER)
    assert offer == OfferedFile(url=URL, digest=bytes.fromhex(DIGEST))
    call = GATEWAY.statement_file_request(offer, now=NOW, nonce="n")
    assert (call.url, call.is_for_file) == (URL, True)
    assert "Authorization" in call.headers
    for body in (gzip.compress(BILL), BILL):
        assert GATEWAY.read_statement_file(offer, Response(status=200, headers={}, body=body)) == body
    assert offered(OFFER | {"hash_value": DIGEST.upper()}) == offer
    with pytest.raises(CannotQuery):
        made(merchant_serial=None).statement_file_request(offer, now=NOW, nonce="n")


def test_a_file_that_is_not_the_one_that_was_named_is_refused():
    offer = offered(OFFER)
    packed = gzip.compress(BILL)
    for body in (gzip.compress(BILL + b"`"), packed[:-9], b"", BILL[:-1]):
        with pytest.raises(BadPayload):
            GATEWAY.read_statement_file(offer, Response(status=200, headers={}, body=body))
    nameless = msgspec.structs.replace(offer, digest=None)
    with pytest.raises(BadPayload, match="SHA-1"):
        GATEWAY.read_statement_file(nameless, Response(status=200, headers={}, body=packed))
    with pytest.raises(Unavailable):
        GATEWAY.read_statement_file(offer, unsigned(500, {"code": "SYSTEM_ERROR"}))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (OFFER | {"hash_type": "MD5"}, "no SHA-1"),
        (OFFER | {"hash_value": DIGEST[1:]}, "no SHA-1"),
        (OFFER | {"download_url": "https://evil.example/v3/billdownload/file"}, "not at WeChat Pay"),
        (OFFER | {"download_url": "https://mch.weixin.qq.com.evil.example/"}, "not at WeChat Pay"),
        (OFFER | {"download_url": "http://api.mch.weixin.qq.com/"}, "not at WeChat Pay"),
        (OFFER | {"download_url": "https://me@api2.mch.weixin.qq.com/"}, "not at WeChat Pay"),
        (OFFER | {"download_url": "https://api2.mch.weixin.qq.com:444/"}, "not at WeChat Pay"),
        (OFFER | {"download_url": "https://api2.mch.weixin.qq.com:x/"}, "not at WeChat Pay"),
        ({"hash_type": "SHA1", "hash_value": DIGEST}, "download_url is missing"),
        ([], "no object"),
    ],
)
def test_an_offer_that_names_no_hash_or_another_host_is_refused(content, says):
    with pytest.raises(BadPayload, match=says):
        offered(content)


def test_the_second_domain_may_have_the_file():
    second = URL.replace("//api.", "//api2.")
    assert offered(OFFER | {"download_url": second}).url == second


def test_a_day_without_trades_and_a_bill_that_is_being_made_are_no_failures():
    none, making = {"code": "NO_STATEMENT_EXIST"}, {"code": "STATEMENT_CREATING"}
    empty = EmptyDay(form="wechatpay.trade", covers=frozenset({LineKind.PAYMENT, LineKind.REFUND}))
    assert offered(none, status=400) == empty
    assert offered(making, status=400) == NotReady()
    assert GATEWAY.read_statement_offer(unsigned(400, none), now=NOW) == empty


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (answer(OFFER, key=STRANGER), BadSignature),
        (answer({"code": "NO_STATEMENT_EXIST"}, status=400, key=STRANGER), BadSignature),
        (unsigned(200, OFFER), BadSignature),
        (unsigned(200, {"code": "NO_STATEMENT_EXIST"}), BadSignature),
        (unsigned(400, {"code": "INVALID_REQUEST"}), BadPayload),
        (unsigned(403, {"code": "NO_AUTH"}), AccessDenied),
        (unsigned(429, {"code": "FREQUENCY_LIMITED"}), Unavailable),
    ],
)
def test_what_is_no_answer_is_none(response, error):
    with pytest.raises(error):
        GATEWAY.read_statement_offer(response, now=NOW)
    with pytest.raises(BadPayload):  # the code of an error alone is no offer
        offered({"code": "NO_STATEMENT_EXIST"})
