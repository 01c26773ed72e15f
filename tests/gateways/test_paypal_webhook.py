"""PayPal's events by type, and what its objects say; by documents."""

from datetime import timedelta

import pytest
from paypal_samples import (
    CAPTURE_ID,
    DISPUTE_TYPES,
    ORDER_ID,
    PAYMENT,
    PAYMENTS,
    REFUND,
    REFUND_TYPES,
    SALE,
    SALE_REFUND,
    SALES,
    a_capture,
    a_dispute,
    a_gateway,
    a_refund,
    a_sale,
    a_sale_refund,
    an_order,
    answer_to,
    event_of,
    fetched,
    parsed,
    summary_after,
)
from pydantic import ValidationError
from specimen import NOW
from specimen_paypal import URL

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.unknown_words import UnknownWord, unknown_words
from tillkeeper.gateways.messages import Answer, Query
from tillkeeper.gateways.paypal.codes import OUTCOMES, REFUNDS
from tillkeeper.gateways.paypal.settings import ABOUT
from tillkeeper.gateways.paypal.webhook import TYPES
from tillkeeper.sandbox.simulators.paypal.objects import paypal_money


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": None},
        {"client_secret": None},
        {"webhook_id": ""},
        {"webhook_id": "a|b"},
        {"certs": {"https://evil.example/cert": "PEM"}},
        {"certs": {URL: "no PEM"}},
        {"trusted_ca": "no PEM"},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ValidationError):
        a_gateway(**wrong)


def test_people_are_told_that_a_checksum_can_be_forged():
    assert "CRC-32" in ABOUT.uncovered


AUTHORIZED = {
    "PAYMENT.AUTHORIZATION.CREATED": (Kind.PAYMENT_AUTHORIZED, None),
    "PAYMENT.AUTHORIZATION.DENIED": (Kind.PAYMENT_FAILED, FailureClass.UNKNOWN),
    "PAYMENT.AUTHORIZATION.VOIDED": (Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED),
    "PAYMENT.AUTHORIZATION.EXPIRED": (Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
}


OTHERS = {
    "CHECKOUT.ORDER.APPROVED",
    "CHECKOUT.ORDER.COMPLETED",
    "CHECKOUT.ORDER.VOIDED",
    "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
    "PAYMENT.CAPTURE.REVERSED",
    "PAYMENT.SALE.REFUNDED",
    "PAYMENT.SALE.REVERSED",
}


def test_every_type_is_tested():
    assert {*PAYMENTS, *AUTHORIZED, *SALES, *REFUND_TYPES, *DISPUTE_TYPES, *OTHERS} == set(TYPES)


@pytest.mark.parametrize(("event_type", "kind"), PAYMENTS.items())
def test_captures_by_type(event_type, kind):
    event = event_of(event_type, a_capture())
    assert (event.kind, event.event_id, event.occurred_at) == (kind, "WH-1", NOW)
    assert (event.payment_ref, event.order_ref) == (CAPTURE_ID, "ORDER-1")
    assert (event.amount, event.currency) == (12900, "EUR")


@pytest.mark.parametrize(("event_type", "told"), AUTHORIZED.items())
def test_authorizations_by_type(event_type, told):
    event = event_of(event_type, a_capture())
    assert (event.kind, event.failure) == told
    assert (event.payment_ref, event.amount) == (f"authorization-{CAPTURE_ID}", 12900)


@pytest.mark.parametrize(("event_type", "kind"), SALES.items())
def test_sales_of_the_first_api_by_type(event_type, kind):
    event = event_of(event_type, a_sale())
    assert (event.kind, event.payment_ref, event.order_ref) == (kind, f"sale-{CAPTURE_ID}", "ORDER-1")
    assert (event.amount, event.currency) == (12900, "EUR")
    assert event.occurred_at == NOW - timedelta(hours=1)


@pytest.mark.parametrize("event_type", REFUND_TYPES)
@pytest.mark.parametrize(("status", "kind"), REFUNDS.items())
def test_refunds_by_status_are_their_own_and_find_their_capture_among_the_links(event_type, status, kind):
    event = event_of(event_type, a_refund(status=status))
    assert (event.kind, event.refund_ref, event.payment_ref) == (kind, "1REF1", CAPTURE_ID)
    assert (event.amount, event.total, event.order_ref) == (400, None, None)
    assert (event.failure is not None) is (kind is Kind.REFUND_FAILED)


def test_a_refund_whose_breakdown_tells_all_that_was_given_back_tells_its_own():
    total = {"total_refunded_amount": paypal_money(9900, "EUR")}
    assert event_of("PAYMENT.CAPTURE.REFUNDED", a_refund(seller_payable_breakdown=total)).amount == 400


@pytest.mark.parametrize(
    "links",
    [
        [],
        None,
        [{"rel": "self", "href": "https://api.paypal.com/v2/payments/captures/7CAP1"}],
        [{"rel": "up", "href": "https://api.paypal.com/v2/checkout/orders/7CAP1"}],
        [{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/../7CAP1"}],
        [{"rel": "up"}],
    ],
)
def test_a_refund_that_names_no_capture_is_queried_by_its_own_id(links):
    events, (asked,) = fetched("PAYMENT.CAPTURE.REFUNDED", a_refund(links=links))
    assert (events, asked) == ((), Query(about="refund", refund_ref="1REF1"))
    assert answer_to(REFUND, a_refund(links=links)).events[0].payment_ref == CAPTURE_ID  # as the query says
    with pytest.raises(BadPayload, match="names no capture"):
        answer_to(asked, a_refund(links=links))


@pytest.mark.parametrize("place", ["capture_id", "links"])
def test_a_refund_of_the_first_api_may_be_of_a_capture(place):
    link = {"rel": "capture", "href": f"https://api.paypal.com/v1/payments/capture/{CAPTURE_ID}"}
    refund = {
        "id": "1REF1",
        "amount": {"total": "-4.00", "currency": "EUR"},
        "state": "completed",
        "create_time": "2026-10-05T11:00:00Z",
        "links": [link] if place == "links" else [],
    } | ({"capture_id": CAPTURE_ID} if place == "capture_id" else {})
    event = event_of("PAYMENT.CAPTURE.REFUNDED", refund)
    assert (event.kind, event.refund_ref, event.payment_ref) == (Kind.REFUND_SUCCEEDED, "1REF1", CAPTURE_ID)
    assert event.amount == 400
    assert fetched("PAYMENT.CAPTURE.REFUNDED", refund)[1] == (
        Query(about="refund", payment_ref=CAPTURE_ID, refund_ref="1REF1"),
    )
    reversed_ = event_of("PAYMENT.CAPTURE.REVERSED", refund)
    assert (reversed_.kind, reversed_.payment_ref) == (Kind.PAYMENT_REVERSED, CAPTURE_ID)


def test_a_refund_made_on_paypals_website_names_no_sale_and_is_queried_with_its_sale():
    bare = a_sale_refund()
    del bare["sale_id"]
    events, (asked,) = fetched("PAYMENT.SALE.REFUNDED", bare)
    assert (events, asked) == ((), Query(about="refund", refund_ref="sale-1REF1"))
    assert a_gateway().query_request(asked, now=NOW, nonce="n").url.endswith("/v1/payments/refund/1REF1")
    answer = answer_to(asked, a_sale_refund(custom=None))
    assert [(event.kind, event.payment_ref) for event in answer.events] == [
        (Kind.REFUND_SUCCEEDED, f"sale-{CAPTURE_ID}")
    ]
    assert answer.also == (Query(about="payment", payment_ref=f"sale-{CAPTURE_ID}"),)
    assert answer_to(SALE_REFUND, bare).also == ()
    of_capture = bare | {"capture_id": CAPTURE_ID}
    assert answer_to(asked, of_capture).also == (Query(about="payment", payment_ref=CAPTURE_ID),)
    assert answer_to(asked, bare | {"capture_id": "a/b"}).also == ()
    assert answer_to(asked, bare | {"capture_id": "7", "state": "melted"}) == Answer(found=True)


def test_refunds_of_the_first_api():
    event = event_of("PAYMENT.SALE.REFUNDED", a_sale_refund())
    assert (event.kind, event.refund_ref) == (Kind.REFUND_SUCCEEDED, "sale-1REF1")
    assert (event.payment_ref, event.amount) == (f"sale-{CAPTURE_ID}", 12900)
    minus = a_sale_refund(amount={"total": "-4.00", "currency": "EUR"})
    assert event_of("PAYMENT.SALE.REFUNDED", minus).amount == 400
    (asked,) = answer_to(SALE_REFUND, minus).events
    assert asked.amount == 400


@pytest.mark.parametrize("resource", [a_capture(), a_refund(12900)])
def test_what_paypal_takes_back_undoes_the_capture(resource):
    event = event_of("PAYMENT.CAPTURE.REVERSED", resource)
    assert (event.kind, event.payment_ref, event.dispute_ref) == (Kind.PAYMENT_REVERSED, CAPTURE_ID, None)
    assert event.amount == 12900


@pytest.mark.parametrize("resource", [a_sale_refund(), a_sale_refund(amount={"total": "-129.00", "currency": "EUR"})])
def test_what_paypal_takes_back_of_a_sale_may_have_a_minus(resource):
    event = event_of("PAYMENT.SALE.REVERSED", resource)
    assert (event.kind, event.payment_ref, event.amount) == (Kind.PAYMENT_REVERSED, f"sale-{CAPTURE_ID}", 12900)
    assert event_of("PAYMENT.SALE.REVERSED", a_sale()).payment_ref == f"sale-{CAPTURE_ID}"


LATER = (NOW + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("event_type", "resource"),
    [
        ("PAYMENT.CAPTURE.REVERSED", a_capture(update_time=LATER)),
        ("PAYMENT.CAPTURE.DENIED", a_capture(update_time=LATER, status="DECLINED")),
        ("PAYMENT.SALE.REVERSED", a_sale(id=CAPTURE_ID, update_time=LATER)),
        ("PAYMENT.SALE.DENIED", a_sale(id=CAPTURE_ID, update_time=LATER)),
    ],
)
def test_a_success_that_was_taken_back_is_no_money_and_no_answer_about_it_brings_it_back(event_type, resource):
    is_sale = "SALE" in event_type
    completed = parsed(f"PAYMENT.{'SALE' if is_sale else 'CAPTURE'}.COMPLETED", a_sale() if is_sale else a_capture())
    undone = parsed(event_type, resource)
    query, content = (SALE, a_sale()) if is_sale else (PAYMENT, a_capture())
    answer = answer_to(query, content | {"update_time": LATER}).events
    assert summary_after(*completed).status is Status.PAID
    for told in ((*completed, *undone), (*undone, *completed), (*completed, *undone, *answer)):
        summary = summary_after(*told)
        assert (summary.status, summary.captured) == (Status.FAILED, 0)


def test_an_amount_with_a_minus_is_refused_elsewhere():
    with pytest.raises(BadPayload):
        parsed("PAYMENT.CAPTURE.COMPLETED", a_capture(amount=-100))


def test_an_approved_order_is_not_paid():
    event = event_of("CHECKOUT.ORDER.APPROVED", an_order())
    assert (event.kind, event.payment_ref, event.order_ref) == (Kind.PAYMENT_PENDING, f"order-{ORDER_ID}", "ORDER-1")
    assert (event.amount, event.currency) == (12900, "EUR")


def test_an_order_of_several_payees_names_no_order_but_the_one_that_all_name():
    def with_refs(*refs):
        units = [{"amount": paypal_money(100, "EUR"), "custom_id": ref} for ref in refs]
        return event_of("CHECKOUT.ORDER.APPROVED", an_order(purchase_units=units))

    assert (with_refs("A", "B").order_ref, with_refs("A", "A").order_ref) == (None, "A")
    assert with_refs("A", "A").amount is None


def test_an_order_without_units_is_refused():
    with pytest.raises(BadPayload):
        parsed("CHECKOUT.ORDER.APPROVED", an_order(purchase_units=None))


def test_an_approval_that_nobody_used_is_cancelled():
    resource = {"order_id": ORDER_ID, "purchase_units": [{"custom_id": "ORDER-1"}]}
    event = event_of("CHECKOUT.PAYMENT-APPROVAL.REVERSED", resource)
    assert (event.kind, event.failure) == (Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID)
    assert (event.payment_ref, event.order_ref) == (f"order-{ORDER_ID}", "ORDER-1")
    assert event.occurred_at == NOW  # it has no time of its own


@pytest.mark.parametrize("event_type", DISPUTE_TYPES)
@pytest.mark.parametrize("status", ["OPEN", "WAITING_FOR_SELLER_RESPONSE", "UNDER_REVIEW", "RESOLVED"])
def test_disputes_are_open_until_an_outcome_is_told(event_type, status):
    event = event_of(event_type, a_dispute(status=status))
    assert (event.kind, event.dispute_ref, event.payment_ref) == (Kind.DISPUTE_OPENED, "PP-D-1", CAPTURE_ID)
    assert (event.amount, event.order_ref) == (12900, "ORDER-1")


@pytest.mark.parametrize(
    ("code", "kind"), [*OUTCOMES.items(), *dict.fromkeys(("NONE", None), Kind.DISPUTE_OPENED).items()]
)
def test_disputes_by_outcome(code, kind):
    resource = a_dispute(status="RESOLVED", dispute_outcome={"outcome_code": code})
    assert event_of("CUSTOMER.DISPUTE.RESOLVED", resource).kind is kind


def test_a_dispute_need_not_tell_its_amount():
    event = event_of("CUSTOMER.DISPUTE.UPDATED", a_dispute(dispute_amount=None))
    assert (event.kind, event.dispute_ref, event.amount) == (Kind.DISPUTE_OPENED, "PP-D-1", None)


def test_a_dispute_of_several_payments_is_of_none():
    transactions = [{"seller_transaction_id": "A"}, {"seller_transaction_id": "B"}]
    event = event_of("CUSTOMER.DISPUTE.CREATED", a_dispute(disputed_transactions=transactions))
    assert (event.payment_ref, event.order_ref, event.dispute_ref) == (None, None, "PP-D-1")


@pytest.mark.parametrize(
    ("names", "ref"),
    [
        ({"custom_id": "A", "invoice_id": "B"}, "A"),
        ({"custom_id": "", "invoice_id": "B"}, "B"),
        ({"custom_id": None}, None),
    ],
)
def test_the_order_reference_is_custom_id_or_invoice_id(names, ref):
    assert event_of("PAYMENT.CAPTURE.COMPLETED", a_capture(**names)).order_ref == ref


@pytest.mark.parametrize(
    ("value", "currency", "amount"),
    [
        ("129.00", "EUR", 12900),
        ("0.29", "USD", 29),
        ("1500", "HUF", 150_000),  # ISO 4217 has two digits for it, and PayPal writes none
        ("1500", "TWD", 150_000),
        ("1500", "JPY", 1500),
    ],
)
def test_amounts_are_decimal_text(value, currency, amount):
    event = event_of("PAYMENT.CAPTURE.COMPLETED", a_capture() | {"amount": {"value": value, "currency_code": currency}})
    assert (event.amount, event.currency) == (amount, currency)


@pytest.mark.parametrize(
    "amount",
    [
        {"value": "15.50", "currency_code": "JPY"},
        {"value": "1.001", "currency_code": "EUR"},
        {"value": 129, "currency_code": "EUR"},
        {"value": "1e3", "currency_code": "EUR"},
        {"value": "1.00"},
        {},
        "1.00",
    ],
)
def test_amounts_that_are_none_are_refused(amount):
    with pytest.raises(BadPayload):
        parsed("PAYMENT.CAPTURE.COMPLETED", a_capture() | {"amount": amount})


@pytest.mark.parametrize(
    ("event_type", "is_noted"),
    [("BILLING.PLAN.CREATED", False), ("PAYMENT.CAPTURE.NEW", True), ("CHECKOUT.ORDER.NEW", True)],
)
def test_other_types_are_of_no_interest_and_noted_where_they_could_tell_of_money(event_type, is_noted):
    with unknown_words() as words:
        assert parsed(event_type, {"id": "x"}) == ()
    assert list(words) == ([UnknownWord("event_type", event_type)] if is_noted else [])


@pytest.mark.parametrize(
    ("event_type", "resource", "field"),
    [
        ("PAYMENT.CAPTURE.REFUNDED", a_refund(status="MELTED"), "status of a refund"),
        ("PAYMENT.SALE.REFUNDED", a_sale_refund(state="melted"), "status of a refund"),
    ],
)
def test_a_state_that_nobody_knows_is_noted_and_refuses_nothing(event_type, resource, field):
    with unknown_words() as words:
        assert fetched(event_type, resource) == ((), ())
    assert list(words) == [UnknownWord(field, "MELTED")]


def test_an_order_that_is_over_is_told_by_its_captures_or_was_called_off():
    completed = event_of("CHECKOUT.ORDER.COMPLETED", an_order(status="COMPLETED"))
    assert (completed.kind, completed.amount, completed.currency) == (Kind.PAYMENT_SUCCEEDED, 0, "EUR")
    several = an_order(purchase_units=[{"amount": paypal_money(100, "EUR")}] * 2)
    assert event_of("CHECKOUT.ORDER.COMPLETED", several).currency == "EUR"
    with pytest.raises(BadPayload):
        parsed("CHECKOUT.ORDER.COMPLETED", an_order(purchase_units=[]))
    voided = event_of("CHECKOUT.ORDER.VOIDED", an_order(status="VOIDED"))
    assert (voided.kind, voided.failure) == (Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED)
