"""Captured requests are explained, and a broken file is explained too."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from specimen import NOW
from specimen_stripe import BODY, SECRET, SETTINGS

from tests.notify_only_gateway import NotifyOnlyGateway
from tillkeeper.gateways.errors import BadPayload, VerificationStep
from tillkeeper.gateways.inspection import inspect_request
from tillkeeper.gateways.messages import Query, Verified
from tillkeeper.gateways.stripe.gateway import Stripe
from tillkeeper.gateways.stripe.settings import StripeSettings
from tillkeeper.sandbox.simulators.stripe.objects import stripe_payment_intent, stripe_refund
from tillkeeper.sandbox.simulators.stripe.signing import stripe_body, stripe_signed

ACCOUNTS = {"stripe-main": Stripe("stripe-main", StripeSettings.model_validate(SETTINGS))}
UNIX = int(NOW.timestamp())


def a_file(signed=BODY, /, **changes):
    headers, _ = stripe_signed(SECRET, NOW, signed)
    file = {
        "method": "POST",
        "url": "https://pay.shop.example/webhooks/stripe-main",
        "headers": headers,
        "body": signed.decode(),
        "now": UNIX,
    }
    return {name: value for name, value in (file | changes).items() if value is not ...}


def inspected(file, account=None, now=None, default_now=datetime(2000, 1, 1, tzinfo=UTC)):
    captured = file if isinstance(file, bytes) else json.dumps(file).encode()
    return inspect_request(captured, ACCOUNTS, account, now, default_now=default_now)


def test_a_good_capture_shows_its_event():
    found = inspected(a_file())
    assert found == {
        "verified": True,
        "reason": None,
        "events": [
            {
                "event_id": json.loads(BODY)["id"],
                "kind": "payment.succeeded",
                "order_ref": "ORDER-1",
                "payment_ref": "pi_3conform",
                "refund_ref": None,
                "amount": 12900,
                "total": None,
                "currency": "CNY",
                "occurred_at": "2026-10-05T12:00:00Z",
                "failure": None,
            }
        ],
    }
    json.dumps(found)


def asking(payment_ref, *, proven=True):
    """A query as it is shown: with every key, whatever it names."""
    return {"about": "payment", "payment_ref": payment_ref, "refund_ref": None, "order_ref": None, "proven": proven}


class Terse(Stripe):
    """A gateway that says only that something happened, and signs where it posts to."""

    name = "terse"

    def verify(self, request, now):
        return Verified(key="url", content=request.query)

    def parse(self, verified):
        return ()

    def queries_for(self, verified):
        if not verified.content:
            raise BadPayload("it names nothing")
        return (Query(about="payment", payment_ref=verified.content),)


@pytest.mark.parametrize(
    ("url", "query"),
    [
        ("/webhooks/terse-main?id=%2f1&x=a+b", "id=%2f1&x=a+b"),
        ("https://pay.shop.example/webhooks/terse-main/?a?b#c?d", "a?b"),
        ("/webhooks/terse-main#?no", ""),
    ],
)
def test_the_url_is_looked_at_as_well_and_what_would_be_asked_is_shown(url, query):
    terse = {"terse-main": Terse("terse-main", StripeSettings.model_validate(SETTINGS))}
    found = inspect_request(json.dumps(a_file(url=url)).encode(), terse, None, None, default_now=NOW)
    if query:
        asked = asking(query)
        assert found == {"verified": True, "reason": None, "events": [], "fetches": [asked]}
    else:
        assert found == {"verified": False, "reason": "the signature is good, but it names nothing", "events": []}


def test_a_failure_is_shown_by_its_class():
    intent = stripe_payment_intent("pi_1", 100, "cny", "O", last_payment_error={"decline_code": "insufficient_funds"})
    (event,) = inspected(a_file(stripe_body(NOW, "payment_intent.payment_failed", intent)))["events"]
    assert event["failure"] == "insufficient_funds"


def test_an_event_of_no_interest_is_verified_and_empty():
    found = inspected(a_file(stripe_body(NOW, "customer.created", stripe_payment_intent("pi_1", 100, "cny", "O"))))
    assert found == {"verified": True, "reason": None, "events": []}


def test_a_wrong_signature_is_explained():
    found = inspected(a_file(body=BODY.decode() + "\n"))
    assert found["verified"] is False
    assert "webhook_secrets" in found["reason"]
    assert found["events"] == []


def test_a_good_signature_over_nonsense_is_not_verified():
    found = inspected(a_file(b'{"id":1,"id":2}'))
    assert found == {
        "verified": False,
        "reason": "the signature is good, but an object repeats a key",
        "events": [],
    }


def test_an_unknown_state_of_a_refund_is_shown_and_nothing_guessed():
    body = stripe_body(NOW, "refund.updated", stripe_refund("re_1", "pi_1", 5, "eur", status="lost at sea"))
    found = inspected(a_file(body))
    assert (found["verified"], found["events"]) == (True, [])
    assert [row["word"] for row in found["unknown"]] == ["lost at sea"]


@pytest.mark.parametrize(
    "changes",
    [
        {"body": ..., "body_b64": b64encode(BODY).decode()},
        {"method": ...},
        {"method": "post"},
        {"url": "/webhooks/stripe-main/"},
        {"url": "/webhooks/stripe-main?x=1"},
        {"url": "/webhooks/other", "account": "stripe-main"},
        {"url": ..., "account": "stripe-main"},
        {"now": UNIX + 0.75},
    ],
    ids=",".join,
)
def test_the_same_request_written_otherwise_is_as_good(changes):
    assert inspected(a_file(**changes))["verified"] is True


@pytest.mark.parametrize("as_list", [True, False])
def test_header_names_have_no_case_and_values_may_be_lists(as_list):
    headers = stripe_signed(SECRET, NOW, BODY)[0]
    written = {name.upper(): [value] if as_list else value for name, value in headers.items()}
    assert inspected(a_file(headers=written))["verified"] is True


def test_a_header_repeated_in_another_case_is_repeated():
    headers = stripe_signed(SECRET, NOW, BODY)[0]
    twice = headers | {"stripe-signature": headers["Stripe-Signature"]}
    assert "exactly once" in inspected(a_file(headers=twice))["reason"]


def test_the_options_win_over_the_file():
    assert inspected(a_file(account="elsewhere", now=1), account="stripe-main", now=NOW)["verified"] is True
    assert "ago" in inspected(a_file(), now=NOW + timedelta(hours=1))["reason"]
    assert "elsewhere" in inspected(a_file(), account="elsewhere")["reason"]


def test_without_any_time_the_default_holds():
    assert inspected(a_file(now=...), default_now=NOW)["verified"] is True
    assert "ahead" in inspected(a_file(now=...), default_now=NOW - timedelta(hours=1))["reason"]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"method": "GET"}, "POST"),
        ({"method": 7}, "method"),
        ({"url": ...}, "account"),
        ({"url": "https://[broken"}, "account"),
        ({"url": "/webhooks/nobody"}, "nobody"),
        ({"account": []}, "account"),
        ({"now": "soon"}, "now"),
        ({"now": True}, "now"),
        ({"now": -1}, "time"),
        ({"now": 10**17}, "time"),
        ({"headers": []}, "missing"),
        ({"headers": 7}, "headers"),
        ({"headers": {"stripe-signature": 7}}, "header"),
        ({"headers": {"stripe-signature": [7]}}, "header"),
        ({"headers": {"stripe-signature": []}}, "missing"),
        ({"headers": ...}, "missing"),
        ({"body": ...}, "body"),
        ({"body": {}}, "body"),
        ({"body_b64": "e30="}, "body"),
        ({"body": ..., "body_b64": "é"}, "base64"),
        ({"body": ..., "body_b64": "e30"}, "base64"),
    ],
    ids=str,
)
def test_a_broken_file_is_explained(changes, word):
    found = inspected(a_file(**changes))
    assert found["verified"] is False
    assert word in found["reason"]
    assert found["events"] == []


@pytest.mark.parametrize("captured", [b"", b"[]", b"7", b"\xff", b"null", b"[" * 100_000, b'{"now":1e400}'], ids=len)
def test_a_file_that_is_no_request_is_explained(captured):
    found = inspected(captured)
    assert found["verified"] is False
    assert found["reason"]


def test_without_accounts_it_says_so():
    assert "none" in inspect_request(json.dumps(a_file()).encode(), {}, None, NOW, default_now=NOW)["reason"]


@given(st.binary(max_size=200))
def test_it_never_raises(captured):
    assert inspected(captured)["verified"] is False


def test_a_capture_that_says_only_that_something_changed_shows_what_is_asked():
    file = {"url": "/webhooks/telling-main?key=key-of-the-tests#top", "headers": {}, "body": '{"payment": "tr_1"}'}
    accounts = {"telling-main": NotifyOnlyGateway("telling-main")}
    found = inspect_request(json.dumps(file).encode(), accounts, None, None, default_now=NOW)
    expected = {"verified": True, "reason": None, "events": []}
    assert found == expected | {"fetches": [asking("tr_1")]}
    file["url"] = "/webhooks/telling-main"
    found = inspect_request(json.dumps(file).encode(), accounts, None, None, default_now=NOW)
    assert not found["verified"]


def test_a_capture_shows_the_words_that_no_list_of_ours_has():
    accounts = {"telling-main": NotifyOnlyGateway("telling-main")}
    file = {"url": "/webhooks/telling-main?key=key-of-the-tests", "headers": {}}
    file["body"] = '{"payment": "tr_1", "mood": "odd"}'
    found = inspect_request(json.dumps(file).encode(), accounts, None, None, default_now=NOW)
    assert (found["verified"], found["unknown"]) == (True, [{"field": "mood", "word": "odd"}])


def test_a_capture_that_nobody_signed_is_not_shown_as_proven():
    accounts = {"telling-main": NotifyOnlyGateway("telling-main", unsigned=True)}

    def found(body):
        file = {"account": "telling-main", "headers": {}, "body": body}
        return inspect_request(json.dumps(file).encode(), accounts, None, None, default_now=NOW)

    told = found('{"payment": "tr_1"}')
    assert (told["verified"], told["proven"], told["fetches"]) == (True, False, [asking("tr_1", proven=False)])
    assert found("{}")["reason"] == "nothing is signed, and what to ask about has no reference"


class Remarking(NotifyOnlyGateway):
    def remarks(self, verified):
        return ("look here: nothing fits",)


def test_a_capture_that_the_configuration_does_not_fit_has_a_remark():
    file = {"url": "/webhooks/telling-main?key=key-of-the-tests", "headers": {}, "body": '{"payment": "tr_1"}'}
    accounts = {"telling-main": Remarking("telling-main")}
    found = inspect_request(json.dumps(file).encode(), accounts, None, None, default_now=NOW)
    assert (found["verified"], found["remarks"]) == (True, ["look here: nothing fits"])


def a_refused(**changes):
    """What `refused show --json` prints."""
    file = a_file(method=..., url=..., now=..., body=..., account="stripe-main", id=7, finding="wrong_secret", query="")
    file |= {"received_at": "2026-10-05T12:00:00.123456Z", "body_b64": b64encode(BODY).decode()}
    return file | {"headers": [*file["headers"].items()]} | changes


def test_a_refused_delivery_is_read_as_it_was_shown():
    assert NOW.isoformat() == "2026-10-05T12:00:00+00:00"
    assert inspected(a_refused()) == inspected(a_file())
    late = inspected(a_refused(received_at="2026-10-05T13:00:00Z"))
    assert (late["verified"], inspected(a_refused(received_at="noon"))["verified"]) == (False, False)
    assert inspected(a_refused(), now=NOW, default_now=NOW)["verified"]


def test_a_refused_delivery_has_its_query_by_itself():
    file = {"account": "telling-main", "headers": [], "body": '{"payment": "tr_1"}', "query": "key=key-of-the-tests"}
    accounts = {"telling-main": NotifyOnlyGateway("telling-main")}
    assert inspect_request(json.dumps(file).encode(), accounts, None, None, default_now=NOW)["verified"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"headers": [["one"]]}, "no pair"),
        ({"headers": [[7, "x"]]}, "no pair"),
        ({"headers": "x"}, "neither an object nor a list of pairs"),
        ({"headers": [["name", 7]]}, "neither text nor a list of texts"),
        ({"body_b64": None, "body": None}, "it must have body or body_b64"),
    ],
)
def test_a_refused_delivery_that_is_broken_is_explained(changes, reason):
    assert reason in inspected(a_refused(**changes))["reason"]


def test_whoever_examines_is_told_all_and_is_heard():
    told = []

    def examine(gateway, request, now, refused, url):
        told.append((gateway.account, now, refused.step, url))
        return {"finding": "header_missing"}

    found = inspect_request(
        json.dumps(a_file(headers={}, url="/webhooks/stripe-main")).encode(),
        ACCOUNTS,
        "stripe-main",
        NOW,
        default_now=NOW,
        examine=examine,
    )
    assert (found["verified"], found["diagnosis"]) == (False, {"finding": "header_missing"})
    assert told == [("stripe-main", NOW, VerificationStep.HEADER, "/webhooks/stripe-main")]
