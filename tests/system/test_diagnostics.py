"""Why a delivery was refused: found by trying, kept for ops, shown by the commands, and never told to the caller."""

import json
from datetime import timedelta

import pytest
from standardwebhooks import Webhook

from tests.system.commands import tillkeeper, toml, written
from tests.system.receiving import ACCOUNT, SECRET, a_delivery, exchange, some_settings, status_of
from tillkeeper import clock
from tillkeeper.accounts import KnownAccounts
from tillkeeper.diagnostics.findings import ADVICE, BY_STEP, Finding
from tillkeeper.diagnostics.refusals import TOO_LONG, RefusedRequest, diagnose
from tillkeeper.gateways.errors import BadPayload, BadSignature, Refused, VerificationStep
from tillkeeper.gateways.inspection import inspect_request
from tillkeeper.gateways.messages import Request
from tillkeeper.gateways.mollie.settings import MollieSettings
from tillkeeper.gateways.paystack.settings import PaystackSettings
from tillkeeper.gateways.registry import build
from tillkeeper.gateways.square.settings import SquareSettings
from tillkeeper.gateways.standard.settings import StandardSettings
from tillkeeper.gateways.stripe.settings import StripeSettings
from tillkeeper.ingest.server import receiver
from tillkeeper.sandbox.simulators.square.signing import square_signed
from tillkeeper.sandbox.simulators.stripe.signing import stripe_signed
from tillkeeper.store.deliveries.refused import (
    list_refused,
)

NOW = clock.now().replace(microsecond=0)
OTHER_SECRET = "whsec_of_another_account"
SQUARE_KEY, SQUARE_URL = "a-signature-key-that-square-drew", "https://pay.example.com/webhooks/square"
SQUARE = {"gateway": "square", "signature_keys": [SQUARE_KEY], "notification_url": SQUARE_URL}
SHOPEE = {
    "gateway": "shopee",
    "partner_keys": ["a-partner-key-of-shopee"],
    "push_url": "https://pay.example.com/webhooks/shopee",
    "partner_id": "2001",
    "shop_id": "1001",
    "access_token": "a-token-of-shopee",
}


def stripe(account="stripe-main", **settings):
    return build(account, StripeSettings.model_validate({**ACCOUNT, **settings}))


def received(signed, **changes):
    headers, body = signed
    told = {name.lower(): [value] for name, value in headers.items()}
    return Request(headers={**told, **changes.pop("headers", {})}, body=changes.pop("body", body))


def examined(gateway, request, *, now=NOW, **known):
    """The diagnosis of a delivery that the gateway refuses."""
    try:
        gateway.parse(gateway.verify(request, now))
    except Refused as refused:
        return diagnose(RefusedRequest(gateway=gateway, request=request, now=now, refused=refused, **known))
    raise AssertionError("it was not refused")


def genuine(now=NOW, **changes):
    return a_delivery("evt_1", now=now, **changes)


def test_every_finding_has_advice_and_every_step_a_finding():
    assert set(ADVICE) == set(Finding)
    assert set(BY_STEP) == set(VerificationStep)


@pytest.mark.parametrize("header", [[], ["t=1"], ["t=1,v1=a", "t=1,v1=a"], ["é"], ["v1=a"]])
def test_a_header_that_is_missing_or_broken(header):
    found = examined(stripe(), received(genuine(), headers={"stripe-signature": header}))
    assert found.finding is (Finding.WRONG_SECRET if header == ["t=1"] else Finding.HEADER_MISSING) or header == ["t=1"]


@pytest.mark.parametrize("seconds", [-301, 301, 86_400])
def test_a_clock_that_is_off(seconds):
    found = examined(stripe(), received(genuine(now=NOW - timedelta(seconds=seconds))))
    assert found.finding is Finding.CLOCK_SKEW
    assert f"{abs(seconds)} s {'before' if seconds > 0 else 'after'}" in found.detail


def test_an_old_time_with_a_wrong_signature_is_no_matter_of_clocks():
    signed = genuine(now=NOW - timedelta(seconds=1000), secret=OTHER_SECRET)
    assert examined(stripe(), received(signed)).finding is Finding.WRONG_SECRET


def test_a_time_beyond_all_calendars_is_no_crash():
    header = {"stripe-signature": ["t=999999999999,v1=00"]}
    assert examined(stripe(), received(genuine(), headers=header)).finding is Finding.WRONG_SECRET


def test_a_secret_that_was_taken_out():
    found = examined(stripe(), received(genuine(secret=OTHER_SECRET)), former=[stripe(webhook_secrets=[OTHER_SECRET])])
    assert found.finding is Finding.OLD_SECRET


def test_the_key_of_another_account():
    others = {"stripe-main": stripe(), "stripe-eu": stripe("stripe-eu", webhook_secrets=[OTHER_SECRET])}
    found = examined(others["stripe-main"], received(genuine(secret=OTHER_SECRET)), others=others)
    assert (found.finding, "stripe-eu" in found.detail) == (Finding.OTHER_ACCOUNT, True)


def test_test_mode_at_a_live_account():
    live = stripe(api_key="sk_live_0123456789")
    assert examined(live, received(genuine())).finding is Finding.WRONG_MODE  # signed right: the parser says it
    assert examined(live, received(genuine(secret=OTHER_SECRET))).finding is Finding.WRONG_MODE


PAYSTACK_HEADER, MOLLIE_HEADER = "x-paystack-signature", "x-mollie-signature"


@pytest.mark.parametrize("mode", ["live", "test"])
@pytest.mark.parametrize(
    ("settings", "header", "body"),
    [
        (
            PaystackSettings(gateway="paystack", secret_keys=["sk_live_of_february"]),
            PAYSTACK_HEADER,
            {"data": {"domain": ...}},
        ),
        (
            MollieSettings(gateway="mollie", api_key="live_0123", signing_secrets=["a-secret-drawn-in-may"]),
            MOLLIE_HEADER,
            {"resource": "event", "_embedded": {"entity": {"mode": ...}}},
        ),
    ],
    ids=["paystack", "mollie"],
)
def test_a_mode_that_is_told_by_a_word(settings, header, body, mode):
    request = Request(headers={header: ["00"]}, body=json.dumps(body, default=lambda _: mode).encode())
    found = examined(build("main", settings), request)
    assert found.finding is (Finding.WRONG_MODE if mode == "test" else Finding.WRONG_SECRET)


HEADERS, BODY = genuine()


@pytest.mark.parametrize(
    ("sent", "how"),
    [
        (BODY + b"\n", "without white space"),
        (BODY.replace(b"\n", b"\r\n"), "with other line ends"),
        (b"\xef\xbb\xbf" + BODY, "without a byte order mark"),
        (json.dumps(json.loads(BODY)).encode(), "indented by two"),
    ],
)
def test_a_body_that_was_written_anew_on_its_way(sent, how):
    found = examined(stripe(), received((HEADERS, sent)))
    assert (found.finding, how in found.detail) == (Finding.BODY_REENCODED, True)


def test_utf8_that_was_taken_for_latin1():
    body = BODY.replace(b"Order at the till", "Bestellung für 茶".encode())
    twice = body.decode("latin-1").encode()
    found = examined(stripe(), received((stripe_signed(SECRET, NOW, body)[0], twice)))
    assert found.finding is Finding.BODY_REENCODED


def test_a_forgery_is_a_wrong_secret():
    found = examined(stripe(), received(genuine(secret=OTHER_SECRET)))
    assert (found.finding, found.detail) == (Finding.WRONG_SECRET, "")
    assert found.advice == ADVICE[Finding.WRONG_SECRET]


def test_an_authentic_body_that_cannot_be_read():
    found = examined(stripe(), received(stripe_signed(SECRET, NOW, b"[]")))
    assert found.finding is Finding.UNREADABLE


@pytest.mark.parametrize("body", [b"", b"\xff", b"{", b'{"a":1.5}', b"x" * 300_000])
def test_whatever_the_body_it_is_no_crash(body):
    assert examined(stripe(), received((HEADERS, body))).finding is Finding.WRONG_SECRET


URL = "https://pay.example.com/webhooks/acme"


class UrlSigned:
    """A gateway that signs our URL along, reduced to that."""

    name, account, own_url, live = "acme", "acme", "notification_url", None

    def __init__(self, url):
        self.url = url

    def verify(self, request, now):
        if request.headers["url"] != [self.url]:
            raise BadSignature("the signature is not by any of the keys")

    def parse(self, verified):
        return ()


@pytest.mark.parametrize(
    "signed", ["http://pay.example.com/webhooks/acme", f"{URL}/", "https://proxy.local/webhooks/acme"]
)
def test_a_url_that_is_registered_otherwise(signed):
    gateway = UrlSigned(URL)
    request = Request(headers={"url": [signed]}, body=b"{}")
    seen = "https://proxy.local/webhooks/acme"
    found = examined(gateway, request, own_url=URL, with_url=UrlSigned, seen_url=seen)
    assert (found.finding, signed in found.detail) == (Finding.URL_DIFFERS, True)
    far = Request(headers={"url": ["https://elsewhere.example/"]}, body=b"{}")
    assert examined(gateway, far, own_url=URL, with_url=UrlSigned).finding is Finding.WRONG_SECRET


def test_what_takes_too_long_is_left_and_said():
    others = {"stripe-main": stripe(), "stripe-eu": stripe("stripe-eu", webhook_secrets=[OTHER_SECRET])}
    refused = BadSignature("no v1 signature is by any of the webhook_secrets")
    refused_request = RefusedRequest(
        gateway=others["stripe-main"],
        request=received(genuine(secret=OTHER_SECRET)),
        now=NOW,
        refused=refused,
        others=others,
        out_of_time=lambda: True,
    )
    found = diagnose(refused_request)
    assert (found.finding, found.detail) == (Finding.WRONG_SECRET, TOO_LONG)


def test_a_key_keeps_its_fingerprint_when_its_place_changes():
    before = stripe(webhook_secrets=[SECRET, OTHER_SECRET]).key_labels()
    after = stripe(webhook_secrets=[OTHER_SECRET]).key_labels()
    assert before[1].partition(":")[2] == after[0].partition(":")[2]
    assert all(SECRET not in label and OTHER_SECRET not in label for label in (*before, *after))


def test_a_standard_webhook_of_another_secret_is_known_by_the_other_account():
    mapping = {"kind": "type", "kinds": {"a": "ignore"}, "occurred_at": "at"}
    secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
    both = {
        name: build(name, StandardSettings(gateway="standard", webhook_secrets=[secret], mapping=mapping))
        for name, secret in zip(("one", "two"), secrets, strict=True)
    }
    headers = {
        "webhook-id": ["msg_1"],
        "webhook-timestamp": [str(int(NOW.timestamp()))],
        "webhook-signature": [Webhook(secrets[1]).sign("msg_1", NOW, "{}")],
    }
    found = examined(both["one"], Request(headers=headers, body=b"{}"), others=both)
    assert found.finding is Finding.OTHER_ACCOUNT


def test_a_delivery_of_another_gateway_altogether_is_known_by_its_account():
    mapping = {"kind": "type", "kinds": {"a": "ignore"}, "occurred_at": "at"}
    standard = StandardSettings(
        gateway="standard", webhook_secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], mapping=mapping
    )
    accounts = {"one": build("one", standard), "stripe-main": stripe()}
    found = examined(accounts["one"], received(genuine()), others=accounts)
    assert (found.finding, found.detail) == (
        Finding.OTHER_ACCOUNT,
        "it is right for the account stripe-main (stripe)",
    )


def test_a_refusal_says_its_step():
    assert BadSignature("x").step is VerificationStep.SIGNATURE
    assert BadPayload("x").step is VerificationStep.CONTENT
    assert BadPayload("x", VerificationStep.MODE).step is VerificationStep.MODE
    assert some_settings("postgresql://t@127.0.0.1/t").accounts["stripe-main"].gateway == "stripe"


async def test_inspect_says_the_same_of_a_file(tmp_path):
    headers, body = a_delivery("evt_late", now=NOW - timedelta(seconds=900))
    captured = {"account": "stripe-main", "now": int(NOW.timestamp()), "headers": headers, "body": body.decode()}
    (tmp_path / "late.json").write_text(json.dumps(captured))
    config = written(tmp_path, toml("postgresql://t@127.0.0.1/t"))
    done = await tillkeeper("inspect", "--json", "--config", config, tmp_path / "late.json")
    assert done.code == 1
    assert done.json["diagnosis"]["finding"] == "clock_skew"
    assert "900 s before" in done.json["diagnosis"]["detail"]
    told = await tillkeeper("inspect", "--config", config, tmp_path / "late.json")
    assert ADVICE[Finding.CLOCK_SKEW] in told.out


@pytest.mark.parametrize("registered", ["http://pay.example.com/webhooks/square", f"{SQUARE_URL}/"])
def test_a_url_signed_gateway_is_tried_with_the_ways_in_which_its_url_is_written(registered):
    accounts = KnownAccounts({"square": SquareSettings(**SQUARE)})
    gateway, request = accounts.gateways["square"], received(square_signed(SQUARE_KEY, registered, b"{}"))
    with pytest.raises(BadSignature) as caught:
        gateway.verify(request, NOW)
    found = accounts.diagnosis(gateway, request, NOW, caught.value, "https://pay.example.com/webhooks/square")
    assert found["finding"] == Finding.URL_DIFFERS
    assert f"signed for {registered}" in found["detail"]


NO_HOSTS = [b"[foo", b"a]b", b"\xff.example", b"[::1", b"[v1.]", b"\xc3\xa9.example", b"a\xe2\x84\x80b", b""]
URL_SIGNED = {"square": SQUARE, "shopee": SHOPEE}


@pytest.mark.parametrize("host", NO_HOSTS, ids=ascii)
@pytest.mark.parametrize("name", URL_SIGNED)
async def test_a_forgery_for_a_host_that_is_none_is_refused_as_any_other(database, connection, name, host):
    async with receiver(some_settings(database, accounts={name: URL_SIGNED[name]})) as port:
        head = f"POST /webhooks/{name} HTTP/1.1\r\nHost: ".encode() + host + b"\r\nConnection: close\r\n"
        signed = b"x-square-hmacsha256-signature: bm9uZQ==\r\nauthorization: 00\r\nContent-Length: 2\r\n\r\n{}"
        assert status_of(await exchange(port, head + signed)) == 401
    (kept,) = await list_refused(connection, limit=10)
    assert kept.finding == Finding.WRONG_SECRET


@pytest.mark.parametrize("url", ["https://[foo/webhooks/square", "https://\ud800/webhooks/square", "//", "https://"])
def test_inspect_takes_a_file_of_any_url(url):
    captured = {"account": "square", "url": url, "headers": {"x-square-hmacsha256-signature": "bm9uZQ=="}, "body": "{}"}
    accounts = KnownAccounts({"square": SquareSettings(**SQUARE)})
    told = inspect_request(
        json.dumps(captured).encode(),
        accounts.gateways,
        None,
        None,
        default_now=NOW,
        examine=accounts.diagnosis,
    )
    assert told["verified"] is False
