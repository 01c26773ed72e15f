"""Mollie: classic calls, signatures and next-gen events."""

import hmac
import json
from datetime import UTC, datetime

import pytest
from mollie_factories import LINK, PAYMENT, SECRET, a_gateway, a_payment, a_refund, parsed, taken
from specimen import NOW, Request, request_of, with_header

from tillkeeper.domain.events import Kind
from tillkeeper.gateways.errors import (
    BadPayload,
    BadSignature,
    VerificationStep,
)
from tillkeeper.gateways.messages import ClaimedReferences
from tillkeeper.sandbox.simulators.mollie.objects import (
    mollie_chargeback,
    money,
)
from tillkeeper.sandbox.simulators.mollie.signing import mollie_called, mollie_event, mollie_signed

OLDER = "alternate_webhook_secret"
PAID_AT = datetime(2026, 10, 5, 11, 58, tzinfo=UTC)


# --- classic calls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secrets", [[], [SECRET]])
def test_a_classic_call_is_taken_with_and_without_signing_secrets(secrets):
    gateway = a_gateway(signing_secrets=secrets)
    assert gateway.verify(request_of(mollie_called("tr_1")), NOW).key == "unsigned"
    assert taken(mollie_called("tr_1"), gateway) == ((), (PAYMENT,))
    assert taken(mollie_called("pl_1"), gateway) == ((), (LINK,))


@pytest.mark.parametrize("ref", ["sub_kEn1PlbGa", "sub_1", "nobody-knows-this", "tr_", "tr_1.2", "tr_1-2"])
def test_an_id_of_another_sort_is_acknowledged_and_queries_nothing(ref):
    """Mollie wants 200 for whatever is unknown, so that nobody learns which exist."""
    assert taken(mollie_called(ref)) == ((), ())


@pytest.mark.parametrize("ref", ["", "../tr_1", "tr_1/refunds", "tr 1", "%C3%A9", "t" * 65])
def test_an_id_that_is_none_is_refused(ref):
    with pytest.raises(BadPayload):
        taken(mollie_called(ref))


@pytest.mark.parametrize("body", [b"", b"id", b"id=tr_1&id=tr_2", b"ref=tr_1", b"id=%zz", b"[]", b"null", b"\xff"])
def test_a_classic_call_that_cannot_be_read_is_refused(body):
    with pytest.raises(BadPayload):
        taken(({}, body))


def test_a_classic_call_with_a_signature_must_verify():
    headers, body = mollie_signed(SECRET, mollie_called("tr_1")[1])
    assert taken((headers, body)) == ((), (PAYMENT,))
    with pytest.raises(BadSignature) as refused:
        taken((headers, body.replace(b"1", b"2")))
    assert refused.value.step is VerificationStep.SIGNATURE


# --- signatures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["sha256=", ""])
@pytest.mark.parametrize("secret", [SECRET, OLDER])
def test_either_secret_fits_with_the_prefix_or_without(prefix, secret):
    gateway = a_gateway(signing_secrets=[SECRET, OLDER])
    body = b'{"id":"tr_12345","event_type":"payment-link.paid"}'  # the payload of the PHP package's tests
    headers, _ = mollie_signed(secret, body, prefix=prefix)
    assert headers["X-Mollie-Signature"] == prefix + hmac.new(secret.encode(), body, "sha256").hexdigest()
    label = gateway.verify(request_of((headers, body)), NOW).key
    assert label.startswith(f"signing_secrets[{[SECRET, OLDER].index(secret)}]")


def test_of_several_signatures_one_must_fit():
    request = request_of(mollie_signed(SECRET, b"{}"))
    value = request.header("x-mollie-signature")
    assert a_gateway().verify(with_header(request, "x-mollie-signature", ["invalid", value, "sha256="]), NOW)
    with pytest.raises(BadSignature):
        a_gateway().verify(with_header(request, "x-mollie-signature", ["invalid", ""]), NOW)


@pytest.mark.parametrize("space", [b"", b" \n"])
def test_an_event_without_a_signature_is_refused_even_without_signing_secrets(space):
    for secrets in ([], [SECRET]):
        with pytest.raises(BadSignature) as refused:
            a_gateway(signing_secrets=secrets).verify(Request(headers={}, body=space + b"{}"), NOW)
        assert refused.value.step is VerificationStep.HEADER


def test_a_signature_that_no_secret_is_set_for_is_refused():
    with pytest.raises(BadSignature) as refused:
        a_gateway(signing_secrets=[]).verify(request_of(mollie_signed(SECRET, b"{}")), NOW)
    assert refused.value.step is VerificationStep.KEY


# --- next-gen events --------------------------------------------------------------------------------------------------


def test_a_payment_within_an_event_is_believed():
    (event,), queries = parsed("payment.paid", a_payment())
    assert queries == ()
    assert (event.event_id, event.kind, event.amount) == ("event_GvJ8WHrp5isUdRub9CJyH", Kind.PAYMENT_SUCCEEDED, 12900)
    assert (event.order_ref, event.payment_ref, event.occurred_at) == ("ORDER-1", "tr_1", PAID_AT)
    assert event.method == "ideal"


def test_a_payment_that_gave_back_is_queried_as_well():
    events, queries = parsed("payment.paid", a_payment(amountRefunded=money(400, "EUR")))
    assert [event.kind for event in events] == [Kind.PAYMENT_SUCCEEDED]
    assert queries == (PAYMENT,)
    assert parsed("payment.paid", a_payment(amountChargedBack=money(400, "EUR")))[1] == (PAYMENT,)


def test_a_refund_within_an_event_is_believed():
    (event,), queries = parsed("refund.refunded", a_refund())
    assert queries == ()
    assert (event.kind, event.amount, event.currency) == (Kind.REFUND_SUCCEEDED, 400, "EUR")
    assert (event.payment_ref, event.refund_ref, event.order_ref) == ("tr_1", "re_1", None)
    assert event.occurred_at == NOW


LINKED = {"_links": {"entity": {"href": "https://api.mollie.com/v2/payments/tr_1/refunds/re_1"}}}


@pytest.mark.parametrize("entity_id", ["re_1", "chb_1", "cpt_1"])
@pytest.mark.parametrize("links", [{}, {"_links": {"entity": {"href": "https://api.mollie.com/v2/refunds/re_1"}}}])
def test_what_names_no_payment_is_refused_for_a_reason_that_people_can_mend(entity_id, links):
    with pytest.raises(BadPayload, match="subscribe to the full payload"):
        parsed("refund.refunded", None, entityId=entity_id, **links)


@pytest.mark.parametrize("entity", [a_payment(), a_refund(), mollie_chargeback("chb_1", "tr_1", 400, "EUR")])
def test_a_body_that_is_the_entity_itself_has_its_payment_queried(entity):
    assert taken(mollie_signed(SECRET, json.dumps(entity).encode())) == ((), (PAYMENT,))


@pytest.mark.parametrize(
    ("entity", "more", "queries"),
    [
        ({"resource": "payment-link", "id": "pl_1"}, {}, (LINK,)),  # it tells no payment
        (None, {"entityId": "pl_1"}, (LINK,)),  # the simple payload
        (None, {"entityId": "tr_1"}, (PAYMENT,)),
        ({"resource": "profile", "id": "pfl_1"}, {}, ()),
        (None, {"entityId": "re_1"} | LINKED, (PAYMENT,)),
        (None, {"entityId": "chb_1"} | LINKED, (PAYMENT,)),
        (None, {"entityId": "cpt_1"} | LINKED, (PAYMENT,)),
        (mollie_chargeback("chb_1", "tr_1", 400, "EUR"), {}, (PAYMENT,)),
        ({"resource": "capture", "id": "cpt_1", "paymentId": "tr_1", "status": "failed"}, {}, (PAYMENT,)),
        (None, {"entityId": "../1"}, ()),
    ],
)
def test_what_is_no_payment_is_queried_where_it_leads_to_some(entity, more, queries):
    assert parsed("payment-link.paid", entity, **more) == ((), queries)


def test_a_payment_that_nobody_tried_to_pay_says_nothing():
    assert parsed("payment.created", a_payment(status="open", paidAt=None)) == ((), ())


@pytest.mark.parametrize(
    ("entity", "more"),
    [
        (a_payment(), {"entityId": "tr_2"}),
        (a_payment(), {"createdAt": "today"}),
        (a_payment(), {"id": ""}),
        (a_payment(), {"id": "e" * 300}),
        (a_refund(paymentId=None), {}),
        (a_payment(amount={"value": "12.345", "currency": "EUR"}), {}),
        (a_payment(amount={"value": 129, "currency": "EUR"}), {}),
    ],
)
def test_an_event_that_cannot_be_is_refused(entity, more):
    with pytest.raises(BadPayload):
        parsed("payment.paid", entity, **more)


@pytest.mark.parametrize(
    ("key", "mode", "good"),
    [
        ("test_1234", "test", True),
        ("live_1234", "live", True),
        ("test_1234", "live", False),
        ("live_1234", "test", False),
        ("live_1234", None, True),  # refunds need not tell
        ("access_1234", "test", True),
    ],
)
def test_test_money_pays_no_live_order(key, mode, good):
    gateway = a_gateway(api_key=key)
    for entity in (a_payment(mode=mode), a_refund(mode=mode)):
        if good:
            assert parsed("it", entity, gateway)[0]
            continue
        with pytest.raises(BadPayload) as refused:
            parsed("it", entity, gateway)
        assert refused.value.step is VerificationStep.MODE


def test_an_unproven_event_names_its_payment():
    def named(body):
        return a_gateway().claimed_references(Request(headers={}, body=body))

    assert named(mollie_event(NOW, "payment.paid", a_payment())) == ClaimedReferences(payment_ref="tr_1")
    assert named(mollie_event(NOW, "payment-link.paid", None, entityId="pl_1")) is None
    assert named(mollie_event(NOW, "payment.paid", None, entityId="../1")) is None
    assert named(b"id=tr_1") is None
