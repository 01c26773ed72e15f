"""`tillkeeper inspect` on requests that the gateways' own packages signed, as a merchant captures them."""

import json
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest
import stripe
from alipay.aop.api.util.SignatureUtils import get_sign_content, sign_with_rsa2
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from wechatpayv3.utils import rsa_sign

from tests.system.commands import tillkeeper, written
from tillkeeper.cli.inspection import _print

NOW = datetime(2026, 10, 5, 12, tzinfo=UTC)
UNIX = int(NOW.timestamp())
SECRET = "whsec_of_the_inspection"
APIV3_KEY = "0123456789abcdef0123456789ABCDEF"
PUBLIC_KEY_ID = "PUB_KEY_ID_0114232134912410000000000000"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC_PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
# Accounts alone: nothing says where a database is.
CONFIG = f'''
[accounts.stripe-main]
gateway = "stripe"
webhook_secrets = ["env:INSPECTED_SECRET"]
[accounts.alipay-main]
gateway = "alipay"
app_id = "2021004100000001"
seller_id = "2088000000000001"
alipay_public_key = """{PUBLIC_PEM}"""
[accounts.wechat-main]
gateway = "wechatpay"
mch_id = "1900000100"
app_id = "wx8888888888888888"
apiv3_key = "{APIV3_KEY}"
public_keys = {{ {PUBLIC_KEY_ID} = """{PUBLIC_PEM}""" }}
'''


@pytest.fixture
def config(tmp_path):
    return written(tmp_path, CONFIG)


async def inspected(config, *arguments, told=b"", secret=SECRET):
    return await tillkeeper("inspect", *arguments, "--config", config, told=told, INSPECTED_SECRET=secret)


def captured(directory, name, file):
    path = directory / name
    path.write_text(json.dumps(file, ensure_ascii=False))
    return path


def stripe_request(**changes):
    intent = {"id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount": 12900, "currency": "cny"}
    intent |= {"amount_received": 12900, "metadata": {"order_id": "ORDER-1"}, "latest_charge": "ch_1"}
    event = {"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "created": UNIX, "livemode": False}
    body = json.dumps(event | {"api_version": "2026-01-28", "data": {"object": intent}})
    signature = stripe.WebhookSignature._compute_signature(f"{UNIX}.{body}", SECRET)
    headers = {"Stripe-Signature": f"t={UNIX},v1={signature}", "Content-Type": "application/json"}
    return {"method": "POST", "url": "/webhooks/stripe-main", "headers": headers, "body": body, "now": UNIX} | changes


def alipay_request():
    fields = {
        "notify_time": "2026-10-05 19:59:30",
        "notify_type": "trade_status_sync",
        "notify_id": "2026100500222195930054151400000001",
        "app_id": "2021004100000001",
        "charset": "gbk",
        "version": "1.0",
        "trade_no": "2026100522001400000000000001",
        "out_trade_no": "ORDER-2",
        "seller_id": "2088000000000001",
        "trade_status": "TRADE_SUCCESS",
        "total_amount": "88.50",
        "subject": "咖啡豆",
        "gmt_create": "2026-10-05 19:58:00",
        "gmt_payment": "2026-10-05 19:59:00",
    }
    pkcs1 = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    bare = "".join(pkcs1.splitlines()[1:-1])
    sign = sign_with_rsa2(bare, get_sign_content(fields), "gbk")
    body = urlencode(fields | {"sign": sign, "sign_type": "RSA2"}, encoding="gbk")
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=gbk"}
    return {"url": "https://shop.example/webhooks/alipay-main", "headers": headers, "body": body, "now": UNIX}


def wechatpay_request():
    plain = {
        "mchid": "1900000100",
        "appid": "wx8888888888888888",
        "out_trade_no": "ORDER-3",
        "transaction_id": "4200000000202610050000000001",
        "trade_type": "JSAPI",
        "trade_state": "SUCCESS",
        "success_time": "2026-10-05T19:59:58+08:00",
        "amount": {"total": 700, "payer_total": 700, "currency": "CNY", "payer_currency": "CNY"},
    }
    sealed = AESGCM(APIV3_KEY.encode()).encrypt(b"123456789012", json.dumps(plain).encode(), b"transaction")
    resource = {"original_type": "transaction", "algorithm": "AEAD_AES_256_GCM", "nonce": "123456789012"}
    resource |= {"ciphertext": b64encode(sealed).decode(), "associated_data": "transaction"}
    notice = {"id": "EV-1", "create_time": "2026-10-05T19:59:59+08:00", "event_type": "TRANSACTION.SUCCESS"}
    body = json.dumps(notice | {"resource_type": "encrypt-resource", "summary": "支付成功", "resource": resource})
    headers = {
        "Wechatpay-Timestamp": str(UNIX),
        "Wechatpay-Nonce": "nonce-1",
        "Wechatpay-Serial": PUBLIC_KEY_ID,
        "Wechatpay-Signature": rsa_sign(KEY, f"{UNIX}\nnonce-1\n{body}\n"),
        "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
    }
    return {"headers": headers, "body_b64": b64encode(body.encode()).decode(), "account": "wechat-main", "now": UNIX}


async def test_what_the_official_packages_sign_is_verified_a_line_a_file(config, tmp_path):
    files = [
        captured(tmp_path, "s.json", stripe_request()),
        captured(tmp_path, "a.json", alipay_request()),
        captured(tmp_path, "w.json", wechatpay_request()),
    ]
    ended = await inspected(config, "--json", *files)
    assert (ended.code, ended.err) == (0, "")
    found = [json.loads(line) for line in ended.out.splitlines()]
    assert [(row["verified"], row["reason"]) for row in found] == [(True, None)] * 3
    (first,), (second,), (third,) = (row["events"] for row in found)
    assert first == {
        "event_id": "evt_1",
        "kind": "payment.succeeded",
        "order_ref": "ORDER-1",
        "payment_ref": "pi_1",
        "refund_ref": None,
        "amount": 12900,
        "total": None,
        "currency": "CNY",
        "occurred_at": "2026-10-05T12:00:00Z",
        "failure": None,
    }
    assert (second["order_ref"], second["amount"], second["currency"]) == ("ORDER-2", 8850, "CNY")
    assert (third["order_ref"], third["amount"], third["occurred_at"]) == ("ORDER-3", 700, "2026-10-05T11:59:58Z")


async def test_people_read_words(config, tmp_path):
    ended = await inspected(config, captured(tmp_path, "s.json", stripe_request()))
    assert ended.code == 0
    for words in ("s.json: verified", "payment.succeeded", "order ORDER-1", "amount 129.00 CNY"):
        assert words in ended.out


def test_what_its_gateway_would_be_asked_is_said_in_words(capsys):
    asked = {"about": "payment", "order_ref": None, "payment_ref": "tr_1", "refund_ref": None}
    found = {"verified": True, "reason": None, "events": [], "fetches": [asked]}
    _print(Path("m.json"), found)
    said = (
        "m.json: verified; it says only that something happened\n  the gateway is asked about a payment: payment tr_1\n"
    )
    assert capsys.readouterr().out == said
    _print(Path("m.json"), found | {"proven": False})
    assert capsys.readouterr().out == said.replace("verified", "nothing is signed, anybody could have sent it")


async def test_one_that_is_not_verified_makes_the_answer_no_and_keeps_its_place(config, tmp_path):
    good = captured(tmp_path, "good.json", stripe_request())
    bad = captured(tmp_path, "bad.json", stripe_request(body="{}"))
    ended = await inspected(config, "--json", bad, tmp_path / "absent.json", tmp_path, good)
    assert ended.code == 1
    found = [json.loads(line) for line in ended.out.splitlines()]
    assert [row["verified"] for row in found] == [False, False, False, True]
    assert "cannot be read: No such file" in found[1]["reason"]
    assert "cannot be read: Is a directory" in found[2]["reason"]
    assert "bad.json: NOT verified" in (await inspected(config, bad)).out


async def test_the_options_win_and_standard_input_is_a_file(config):
    file = json.dumps(stripe_request(account="elsewhere", now=1)).encode()
    ended = await inspected(config, "-", "--json", "--account", "stripe-main", "--now", str(UNIX), told=file)
    assert (ended.code, ended.json["verified"]) == (0, True)
    late = await inspected(config, "-", "--json", "--account", "stripe-main", "--now", str(UNIX + 3600), told=file)
    assert (late.code, late.json["verified"]) == (1, False)


async def test_settings_that_inspection_does_not_need_may_be_wrong(tmp_path):
    config = written(tmp_path, f'database_url = "env:NOT_HERE"\nbroker_url = "nonsense"\n{CONFIG}')
    ended = await inspected(config, captured(tmp_path, "s.json", stripe_request()))
    assert ended.code == 0


async def test_without_any_account_the_configuration_is_wrong(tmp_path):
    ended = await inspected(written(tmp_path, ""), captured(tmp_path, "s.json", stripe_request()))
    assert (ended.code, ended.out) == (2, "")
    assert "no account is configured" in ended.err


async def test_a_secret_that_is_missing_is_named(config, tmp_path):
    ended = await inspected(config, captured(tmp_path, "s.json", stripe_request()), secret="")
    assert ended.code == 2
    assert "accounts.stripe-main.webhook_secrets.0: the environment variable INSPECTED_SECRET is not set" in ended.err
