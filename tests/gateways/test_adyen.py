"""Adyen: what notification items mean."""

from datetime import timedelta

import pytest
from adyen_factories import KEY, MODIFICATION, PAYMENT, a_gateway, an_item, event_of, events_of
from specimen import NOW, request_of

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.adyen.codes import OF_NO_ORDER, READERS
from tillkeeper.gateways.adyen.items import RAW_REASONS, REASONS
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.unknown_words import UnknownWord, unknown_words
from tillkeeper.sandbox.simulators.adyen.signing import adyen_delivery, adyen_signed

# Events.

UNDONE = (Kind.PAYMENT_CANCELLED, Kind.PAYMENT_REVERSED)
AUTO = {
    ("AUTHORISATION", "true"): Kind.PAYMENT_SUCCEEDED,
    ("AUTHORISATION", "false"): Kind.PAYMENT_FAILED,
    ("AUTHORISATION_ADJUSTMENT", "true"): None,
    ("PENDING", "true"): Kind.PAYMENT_PENDING,
    ("CAPTURE", "true"): Kind.PAYMENT_SUCCEEDED,
    ("CAPTURE", "false"): None,
    ("CAPTURE_FAILED", "true"): Kind.PAYMENT_REVERSED,
    ("CANCELLATION", "true"): UNDONE,
    ("CANCELLATION", "false"): None,
    ("TECHNICAL_CANCEL", "true"): UNDONE,
    ("CANCEL_OR_REFUND", "true"): Kind.REFUND_SUCCEEDED,
    ("CANCEL_OR_REFUND", "false"): Kind.REFUND_FAILED,
    ("EXPIRE", "true"): UNDONE,
    ("OFFER_CLOSED", "true"): Kind.PAYMENT_CANCELLED,
    ("REFUND", "true"): Kind.REFUND_SUCCEEDED,
    ("REFUND", "false"): Kind.REFUND_FAILED,
    ("REFUND_WITH_DATA", "true"): Kind.REFUND_SUCCEEDED,
    ("REFUND_FAILED", "true"): Kind.REFUND_FAILED,
    ("REFUND_FAILED", "false"): Kind.REFUND_FAILED,
    ("REFUNDED_REVERSED", "true"): Kind.REFUND_FAILED,
    ("REQUEST_FOR_INFORMATION", "true"): Kind.DISPUTE_OPENED,
    ("INFORMATION_SUPPLIED", "true"): Kind.DISPUTE_OPENED,
    ("NOTIFICATION_OF_CHARGEBACK", "true"): Kind.DISPUTE_OPENED,
    ("CHARGEBACK", "true"): Kind.DISPUTE_OPENED,
    ("DISPUTE_OPENED_WITH_CHARGEBACK", "true"): Kind.DISPUTE_OPENED,
    ("DISPUTE_DEFENSE_PERIOD_ENDED", "true"): Kind.DISPUTE_OPENED,
    ("CHARGEBACK_REVERSED", "true"): Kind.DISPUTE_WON,
    ("ISSUER_RESPONSE_TIMEFRAME_EXPIRED", "true"): Kind.DISPUTE_WON,
    ("PREARBITRATION_WON", "true"): Kind.DISPUTE_WON,
    ("SCHEME_ARBITRATION_WON", "true"): Kind.DISPUTE_WON,
    ("SECOND_CHARGEBACK", "true"): Kind.DISPUTE_LOST,
    ("PREARBITRATION_LOST", "true"): Kind.DISPUTE_LOST,
    ("SCHEME_ARBITRATION_LOST", "true"): Kind.DISPUTE_LOST,
    ("REPORT_AVAILABLE", "true"): None,
    ("NOTIFICATION_OF_FRAUD", "true"): None,
    ("SOMETHING_NEW", "perhaps"): None,
}
MANUAL = AUTO | {
    ("AUTHORISATION", "true"): Kind.PAYMENT_AUTHORIZED,
    ("AUTHORISATION_ADJUSTMENT", "true"): Kind.PAYMENT_AUTHORIZED,
    ("AUTHORISATION_ADJUSTMENT", "false"): None,
    ("CAPTURE", "true"): Kind.PAYMENT_SUCCEEDED,
    ("CAPTURE", "false"): None,
    ("CANCELLATION", "true"): Kind.PAYMENT_CANCELLED,
    ("TECHNICAL_CANCEL", "true"): Kind.PAYMENT_CANCELLED,
    ("EXPIRE", "true"): Kind.PAYMENT_CANCELLED,
    ("CANCEL_OR_REFUND", "true"): UNDONE,
}


@pytest.mark.parametrize(
    ("auto_capture", "code_and_success", "kind"),
    [(True, *item) for item in AUTO.items()] + [(False, *item) for item in MANUAL.items()],
    ids=str,
)
def test_every_code_with_its_outcome(auto_capture, code_and_success, kind):
    code, success = code_and_success
    events = events_of(an_item(code, success), gateway=a_gateway(auto_capture=auto_capture))
    kinds = kind if isinstance(kind, tuple) else () if kind is None else (kind,)
    assert tuple(event.kind for event in events) == kinds
    for event in events:
        ref = PAYMENT if event.payment_ref == event.event_id.partition(":")[0] else MODIFICATION
        assert event.event_id in (f"{ref}:{code}:{success}", f"{ref}:{code}:{success}:reversed")
        assert (event.payment_ref, event.order_ref) == (PAYMENT, "ORDER-1")
        assert event.occurred_at == NOW
        assert event.method == "visa"
        assert event.amount in (12900, None)


def test_every_code_that_is_read_is_in_the_table():
    assert {code for (code, _), kind in MANUAL.items() if kind is not None} == READERS.keys()


@pytest.mark.parametrize(
    ("code", "success", "noted"),
    [
        ("SOMETHING_NEW", "true", [UnknownWord("eventCode", "SOMETHING_NEW")]),
        ("AUTHORISATION", "True", [UnknownWord("success", "True")]),
        ("AUTHORISATION", "1", [UnknownWord("success", "1")]),
        *((code, "true", []) for code in sorted(OF_NO_ORDER)),
    ],
)
def test_what_nobody_knows_is_noted_and_refuses_nothing(code, success, noted):
    with unknown_words() as words:
        assert [event.kind for event in events_of(an_item(code, success), an_item("REFUND"))] == [Kind.REFUND_SUCCEEDED]
    assert list(words) == noted


def test_what_is_authorized_is_paid_or_not_yet():
    auto, manual = event_of(), event_of(auto_capture=False)
    assert (auto.amount, auto.currency, auto.capture_ref) == (12900, "EUR", None)
    assert (manual.kind, manual.amount) == (Kind.PAYMENT_AUTHORIZED, 12900)


def test_each_capture_is_a_part_of_its_own():
    event = event_of("CAPTURE", auto_capture=False, value=400)
    assert (event.payment_ref, event.capture_ref, event.amount) == (PAYMENT, MODIFICATION, 400)


@pytest.mark.parametrize(("code", "success"), [("REFUND", "true"), ("REFUND_FAILED", "true"), ("REFUND", "false")])
def test_all_of_one_refund_has_one_reference(code, success):
    event = event_of(code, success, value=400)
    assert (event.refund_ref, event.payment_ref, event.amount) == (MODIFICATION, PAYMENT, 400)


def test_all_of_one_dispute_has_one_reference():
    codes = ("NOTIFICATION_OF_CHARGEBACK", "CHARGEBACK", "SECOND_CHARGEBACK")
    assert {event_of(code).dispute_ref for code in codes} == {MODIFICATION}


@pytest.mark.parametrize("code", ["CHARGEBACK", "SECOND_CHARGEBACK", "PREARBITRATION_LOST"])
def test_older_dispute_webhooks_name_the_payment_alone(code):
    event = event_of(code, pspReference=PAYMENT, originalReference=None)
    assert (event.payment_ref, event.dispute_ref) == (PAYMENT, PAYMENT)


def test_a_failed_capture_undoes_the_capture_that_it_names_or_all_that_counted_at_once():
    by_hand, at_once = event_of("CAPTURE_FAILED", auto_capture=False), event_of("CAPTURE_FAILED")
    assert (by_hand.payment_ref, by_hand.capture_ref, by_hand.amount) == (PAYMENT, MODIFICATION, 12900)
    assert (at_once.payment_ref, at_once.capture_ref) == (PAYMENT, None)


def test_a_dispute_that_nobody_defended_in_time_is_lost_if_adyen_says_so():
    lost = event_of("DISPUTE_DEFENSE_PERIOD_ENDED", additionalData={"disputeStatus": "Lost"})
    assert (lost.kind, lost.dispute_ref) == (Kind.DISPUTE_LOST, MODIFICATION)


@pytest.mark.parametrize("action", ["cancel", "refund", None, 7])
@pytest.mark.parametrize("auto_capture", [True, False])
def test_what_is_not_signed_does_not_decide_what_a_reversal_was(action, auto_capture):
    gateway = a_gateway(auto_capture=auto_capture)
    item = an_item("CANCEL_OR_REFUND", additionalData={"modification.action": action})
    assert events_of(item, gateway=gateway) == events_of(an_item("CANCEL_OR_REFUND"), gateway=gateway)


def test_what_goes_back_without_an_amount_is_undone():
    events = events_of(an_item("CANCEL_OR_REFUND", value=0))
    assert [(event.kind, event.capture_ref, event.amount) for event in events] == [
        (kind, None, None) for kind in UNDONE
    ]


def test_what_is_over_says_why_and_asks_for_nothing():
    assert event_of("OFFER_CLOSED").failure is FailureClass.EXPIRED_UNPAID
    assert event_of("EXPIRE", auto_capture=False).failure is FailureClass.EXPIRED_UNPAID
    cancelled = event_of("CANCELLATION", auto_capture=False)
    assert (cancelled.failure, cancelled.amount, cancelled.currency) == (FailureClass.USER_CANCELLED, None, None)


def test_items_of_other_merchant_accounts_change_nothing():
    theirs = an_item("REFUND", merchant_account="TillPOS")
    assert [event.kind for event in events_of(theirs, an_item())] == [Kind.PAYMENT_SUCCEEDED]
    assert events_of(theirs) == ()


def test_several_items_are_as_many_events():
    events = events_of(an_item(), an_item("REFUND", value=400), an_item("REPORT_AVAILABLE"), an_item("CHARGEBACK"))
    assert [event.kind for event in events] == [Kind.PAYMENT_SUCCEEDED, Kind.REFUND_SUCCEEDED, Kind.DISPUTE_OPENED]
    assert len({event.event_id for event in events}) == 3


def test_a_repetition_is_known_whatever_else_it_says():
    later = an_item(reason="other", eventDate=(NOW + timedelta(days=1)).isoformat())
    assert events_of(later)[0].event_id == events_of(an_item())[0].event_id
    assert event_of(success="false").event_id != event_of().event_id


def test_a_capture_that_names_no_payment_has_no_place():
    with pytest.raises(BadPayload):
        event_of("CAPTURE", auto_capture=False, originalReference=None)


def test_a_code_without_an_amount_can_be_of_interest_or_not():
    item = an_item("REPORT_AVAILABLE") | {"merchantReference": ""}
    del item["amount"]
    fields = adyen_signed(KEY, item | {"amount": {"value": "", "currency": ""}})
    del fields["amount"]
    gateway = a_gateway()
    assert gateway.parse(gateway.verify(request_of(adyen_delivery([fields])), NOW)) == ()
    item = adyen_signed(KEY, an_item() | {"amount": {"value": "", "currency": ""}}) | {"amount": None}
    with pytest.raises(BadPayload):
        gateway.parse(gateway.verify(request_of(adyen_delivery([item])), NOW))


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [
        (1500, "JPY", 1500),
        (12345, "KWD", 12345),
        (150000, "CLP", 1500),
        (150000, "ISK", 1500),
        (1500, "IDR", 150000),
        (1500, "CVE", 150000),
    ],
)
def test_minor_units_are_adyens_own(value, currency, minor):
    event = event_of(value=value, currency=currency)
    assert (event.amount, event.currency) == (minor, currency)


@pytest.mark.parametrize(("value", "currency"), [(-1, "EUR"), (150001, "CLP")])
def test_an_amount_that_is_none_is_refused(value, currency):
    with pytest.raises(BadPayload):
        event_of(value=value, currency=currency)


def test_the_time_is_cut_to_seconds_in_utc():
    assert event_of(eventDate="2026-10-05T14:00:00.121+02:00").occurred_at == NOW


# Why a payment failed.


@pytest.mark.parametrize(("reason", "failure"), REASONS.items())
def test_reasons_by_table_in_either_way_of_writing(reason, failure):
    for written in (reason, reason.replace("_", " ").title(), reason.replace("_", "-").lower()):
        event = event_of(success="false", reason=written, additionalData={"refusalReasonRaw": "05 : Do not honor"})
        assert (event.failure, event.failure_code) == (failure, reason)


@pytest.mark.parametrize(("code", "failure"), RAW_REASONS.items())
@pytest.mark.parametrize("reason", ["Refused", "", None, 7])
def test_the_schemes_own_code_tells_where_the_reason_does_not(code, failure, reason):
    for raw in (code, f"{code} : In its own words"):
        event = event_of(success="false", reason=reason, additionalData={"refusalReasonRaw": raw})
        assert (event.failure, event.failure_code) == (failure, code)


@pytest.mark.parametrize(
    ("reason", "data", "code"),
    [
        ("Refused", {}, "REFUSED"),
        ("Declined Non Generic", {"refusalReasonRaw": "05 : Do not honor"}, "DECLINED_NON_GENERIC"),
        ("Refused", {"refusalReasonRaw": "514"}, "REFUSED"),
        ("Refused", {"refusalReasonRaw": ["51"]}, "REFUSED"),
        (None, {}, None),
        ("拒绝", {}, None),
        ("x" * 65, {}, None),
    ],
)
def test_what_nobody_knows_the_reason_of(reason, data, code):
    event = event_of(success="false", reason=reason, additionalData=data)
    assert (event.failure, event.failure_code) == (FailureClass.UNKNOWN, code)


def test_a_refund_that_is_refused_says_why():
    event = event_of("REFUND", "false", reason="Insufficient balance on payment")
    assert (event.failure, event.failure_code) == (FailureClass.UNKNOWN, "INSUFFICIENT_BALANCE_ON_PAYMENT")
