"""Adyen: the official package signs what we take and verifies what the sandbox signs; every code and its outcome."""

import json
from datetime import timedelta
from operator import attrgetter

import pytest
from Adyen.util import generate_notification_sig, is_valid_hmac_notification
from pydantic import ValidationError
from specimen import NOW, request_of
from told_plays import Told, impostor_of, with_amount_raised

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.domain.order.sums import held_in_all
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.adyen.codes import OF_NO_ORDER, READERS
from tillkeeper.gateways.adyen.gateway import Adyen
from tillkeeper.gateways.adyen.items import ITEMS_MAX, RAW_REASONS, REASONS
from tillkeeper.gateways.adyen.settings import AdyenSettings
from tillkeeper.gateways.errors import BadPayload, BadSignature, CannotQuery, VerificationStep
from tillkeeper.gateways.kit.unknown_words import UnknownWord, unknown_words
from tillkeeper.gateways.messages import Query
from tillkeeper.sandbox.simulators.adyen.signing import adyen_delivery, adyen_item, adyen_signed
from tillkeeper.sandbox.simulators.adyen.simulator import SIMULATOR

KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
OLDER = "DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00"
PAYMENT, MODIFICATION = "QFQTPCQ8HXSKGK82", "M8NB66SBZSGLNK82"


def a_gateway(**settings):
    base = {"gateway": "adyen", "hmac_keys": [KEY], "merchant_account": "TillECOM"}
    return Adyen("adyen-main", AdyenSettings.model_validate(base | settings))


def an_item(code="AUTHORISATION", success="true", value=12900, currency="EUR", **more):
    """What happens to the payment itself names it first; all else refers to it."""
    own = code in {"AUTHORISATION", "PENDING", "OFFER_CLOSED", "EXPIRE"}
    refs = {} if own else {"originalReference": PAYMENT}
    ref = PAYMENT if own else MODIFICATION
    return adyen_item(code, ref, value, currency, "ORDER-1", at=NOW, success=success, **refs | more)


def signed(item, key=KEY):
    return adyen_signed(key, item)


def events_of(*items, gateway=None):
    gateway = gateway or a_gateway()
    return gateway.parse(gateway.verify(request_of(adyen_delivery([signed(item) for item in items])), NOW))


def event_of(code="AUTHORISATION", success="true", *, auto_capture=True, **more):
    (event,) = events_of(an_item(code, success, **more), gateway=a_gateway(auto_capture=auto_capture))
    return event


def refused(body, **settings):
    with pytest.raises((BadPayload, BadSignature)) as caught:
        a_gateway(**settings).verify(request_of(({}, body)), NOW)
    return caught.value


# The signature.

SLASHES = "74F490DD33F7327BAECC88B2947C011FC02D014A473AAA33A8EC93E4DC069174"
# key, references (payment, original, account, order), value, code, signature: all of EUR and successful
PUBLISHED = {
    "of the Python package": (
        KEY,
        ("7914073381342284", "", "TestMerchant", "TestPayment-1407325143704"),
        1130,
        "AUTHORISATION",
        "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0=",
    ),
    "of the Node package": (
        OLDER,
        ("pspReference", "originalReference", "merchantAccount", "reference"),
        1000,
        "CAPTURE",
        "xhpHvYq2u2Np0rstbZ6QjLGu7JWhvf7Iwaa6EviJSX0=",
    ),
    "a colon is not escaped": (
        SLASHES,
        ("M8NB66SBZSGLNK82", "", "AntoniStroinski", ":slashes are fun"),
        1000,
        "AUTHORISATION",
        "2EQYm7YJpKO4EtHSPu55SQTyWf8dkW5u2nD1tJFpViA=",
    ),
    "nor is a backslash": (
        SLASHES,
        ("T7FD4VM4D3RZNN82", "", "AntoniStroinski", "\\\\slashes are fun"),
        1000,
        "AUTHORISATION",
        "nIgT81gaB5oJpn2jPXupDq68iRo2wUlBsuYjtYfwKqo=",
    ),
}


@pytest.mark.parametrize("vector", PUBLISHED.values(), ids=PUBLISHED)
def test_the_published_vectors_verify(vector):
    key, (psp_ref, original_ref, merchant_account, order_ref), value, code, signature = vector
    item = adyen_item(code, psp_ref, value, "EUR", order_ref, at=NOW, success="true", merchant_account=merchant_account)
    item |= {"originalReference": original_ref} if original_ref else {}
    item["additionalData"] = {"hmacSignature": signature}
    gateway = a_gateway(hmac_keys=[key], merchant_account=merchant_account, auto_capture=False)
    (event,) = gateway.parse(gateway.verify(request_of(adyen_delivery([item])), NOW))
    assert (event.order_ref, event.amount, event.payment_ref) == (order_ref, value, original_ref or psp_ref)


@pytest.mark.parametrize("code", [*READERS, "REPORT_AVAILABLE"])
@pytest.mark.parametrize("success", ["true", "false"])
def test_the_official_package_accepts_what_the_sandbox_signs_and_we_what_it_signs(code, success):
    item = an_item(code, success, reference="王 é")
    ours = signed(item)
    assert is_valid_hmac_notification({"notificationItems": [{"NotificationRequestItem": ours}]}, KEY)
    assert not is_valid_hmac_notification({"notificationItems": [{"NotificationRequestItem": ours}]}, OLDER)
    theirs = item | {"additionalData": {"hmacSignature": generate_notification_sig(item, KEY).decode()}}
    verified = a_gateway().verify(request_of(adyen_delivery([theirs])), NOW)
    assert verified.key == a_gateway().key_labels()[0]


def test_either_of_two_keys_fits_and_is_named():
    gateway = a_gateway(hmac_keys=[KEY, OLDER.lower()])
    for at, key in enumerate((KEY, OLDER)):
        verified = gateway.verify(request_of(adyen_delivery([signed(an_item(), key)])), NOW)
        assert verified.key == gateway.key_labels()[at]
        assert verified.key.startswith(f"hmac_keys[{at}]:")


@pytest.mark.parametrize("key", ["not hexadecimal", KEY[:-1], "44 78 2D EF", "", "\uff14\uff14", "0x44782DEF"])
def test_a_key_that_is_not_hexadecimal_is_refused_at_the_start(key):
    with pytest.raises(ValidationError):
        a_gateway(hmac_keys=[key])


def test_at_most_five_keys_are_tried():
    a_gateway(hmac_keys=[f"{KEY}{at:02}" for at in range(5)])
    with pytest.raises(ValidationError):
        a_gateway(hmac_keys=[f"{KEY}{at:02}" for at in range(6)])


def test_a_delivery_with_one_bad_signature_is_refused_whole():
    good, bad = signed(an_item()), signed(an_item("REFUND"), OLDER)
    for items in ([good, bad], [bad, good]):
        assert refused(adyen_delivery(items)[1]).step is VerificationStep.SIGNATURE


def test_one_item_cannot_lend_its_signature_to_another():
    good, other = signed(an_item()), an_item("REFUND")
    assert refused(adyen_delivery([good, other | {"additionalData": good["additionalData"]}])[1]).status == 401


@pytest.mark.parametrize("data", [None, {}, {"hmacSignature": None}, {"hmacSignature": 7}, {"hmacSignature": ["a"]}])
def test_an_item_without_a_signature_proves_nothing(data):
    assert (
        refused(adyen_delivery([signed(an_item()), an_item() | {"additionalData": data}])[1]).step
        is VerificationStep.HEADER
    )


@pytest.mark.parametrize("change", [{"success": "false"}, {"eventCode": "REFUND"}, {"merchantReference": "ORDER-2"}])
def test_each_signed_field_counts(change):
    assert refused(adyen_delivery([signed(an_item()) | change])[1]).step is VerificationStep.SIGNATURE


def test_a_colon_cannot_move_what_is_signed_from_field_to_field():
    """Two readings of one signed text: 100 for the order ORDER-1:500, and 500 for the order ORDER-1."""
    item = signed(an_item(value=100) | {"merchantReference": "ORDER-1:500"})
    moved = item | {"merchantReference": "ORDER-1", "amount": {"value": 500, "currency": "100:EUR"}}
    assert generate_notification_sig(item, KEY) == generate_notification_sig(moved, KEY)
    assert "two ways" in refused(adyen_delivery([moved])[1]).reason
    (event,) = events_of(an_item(value=100) | {"merchantReference": "ORDER-1:500"})
    assert (event.order_ref, event.amount) == ("ORDER-1:500", 100)


@pytest.mark.parametrize("field", ["pspReference", "originalReference", "merchantAccountCode", "eventCode", "success"])
def test_only_the_merchants_reference_may_hold_a_colon(field):
    assert refused(adyen_delivery([signed(an_item() | {field: "a:b"})])[1]).step is VerificationStep.SIGNATURE


@pytest.mark.parametrize(
    "body",
    [
        {"live": "false"},
        {"live": "false", "notificationItems": []},
        {"live": "false", "notificationItems": {}},
        {"live": "false", "notificationItems": [None]},
        {"live": "false", "notificationItems": [7]},
        {"live": "false", "notificationItems": [{"NotificationRequestItem": []}]},
        {"live": "false", "notificationItems": [{"NotificationRequestItem": {}}]},
        {"live": "false", "notificationItems": [{"NotificationRequestItem": {}}] * (ITEMS_MAX + 1)},
    ],
)
def test_a_delivery_without_items_proves_nothing(body):
    error = refused(json.dumps(body).encode())
    assert isinstance(error, BadPayload)
    assert a_gateway().claimed_references(request_of(({}, json.dumps(body).encode()))) is None


@pytest.mark.parametrize("value", [True, "12900", 1.5])
def test_an_amount_is_a_whole_number(value):
    assert isinstance(refused(adyen_delivery([signed(an_item(value=value))])[1]), BadPayload)


# Test and live.


@pytest.mark.parametrize(("sent", "live"), [("true", True), ("false", False), ("true", None), ("false", None)])
def test_the_environment_is_ours_or_is_not_configured(sent, live):
    gateway = a_gateway() if live is None else a_gateway(live=live)
    assert gateway.live is live
    assert gateway.parse(gateway.verify(request_of(adyen_delivery([signed(an_item())], live=sent)), NOW))


@pytest.mark.parametrize(("sent", "live"), [("false", True), ("true", False), ("yes", True), ("True", True)])
def test_the_other_environment_is_refused(sent, live):
    error = refused(adyen_delivery([signed(an_item())], live=sent)[1], live=live)
    assert (type(error), error.step) == (BadPayload, VerificationStep.MODE)


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


# What becomes of an order.


ORDER = Order(order_ref="ORDER-1", amount=12900, currency="EUR", accounts=frozenset({"adyen-main"}))


def facts_of(events):
    facts = OrderFacts()
    for event in events:
        facts = apply(facts, event)
    return facts


def settled(events):
    summary = summarize(ORDER, facts_of(events))
    return summary.status, summary.captured, summary.refunded


def status_of(*items, auto_capture=True):
    """(code, success, value, own reference) each, a minute apart."""
    items = [
        an_item(code, success, value, pspReference=ref, eventDate=(NOW + timedelta(minutes=at)).isoformat())
        for at, (code, success, value, ref) in enumerate(items)
    ]
    return settled(events_of(*items, gateway=a_gateway(auto_capture=auto_capture)))


AUTHORISED = ("AUTHORISATION", "true", 12900, PAYMENT)


def test_a_capture_is_not_counted_twice():
    assert status_of(AUTHORISED, ("CAPTURE", "true", 12900, "CAP1")) == (Status.PAID, 12900, 0)


def test_with_manual_capture_parts_add_up():
    first, second = ("CAPTURE", "true", 12000, "CAP1"), ("CAPTURE", "true", 900, "CAP2")
    assert status_of(AUTHORISED, auto_capture=False) == (Status.PROCESSING, 0, 0)
    assert status_of(AUTHORISED, first, auto_capture=False) == (Status.PARTIALLY_PAID, 12000, 0)
    assert status_of(AUTHORISED, first, second, auto_capture=False) == (Status.PAID, 12900, 0)
    assert status_of(AUTHORISED, ("CAPTURE", "false", 12900, "CAP1"), auto_capture=False) == (Status.PROCESSING, 0, 0)


def test_with_manual_capture_a_cancelled_or_expired_payment_is_over():
    for end in (("CANCELLATION", "true", 0, "MOD1"), ("EXPIRE", "true", 12900, PAYMENT)):
        assert status_of(AUTHORISED, end, auto_capture=False) == (Status.FAILED, 0, 0)


def test_a_refund_that_fails_later_is_taken_back():
    refund, failed = ("REFUND", "true", 12900, "REF1"), ("REFUND_FAILED", "true", 12900, "REF1")
    assert status_of(AUTHORISED, refund) == (Status.REFUNDED, 12900, 12900)
    assert status_of(AUTHORISED, refund, failed) == (Status.PAID, 12900, 0)
    events = events_of(*(an_item(code, pspReference="REF1") for code in ("REFUND_FAILED", "REFUND")), an_item())
    assert settled(events) == (Status.PAID, 12900, 0)  # all of one second, and the failure came first


def test_a_reversal_is_never_lost_whichever_it_was():
    capture, reversal = ("CAPTURE", "true", 12900, "CAP1"), ("CANCEL_OR_REFUND", "true", 12900, "MOD1")
    assert status_of(AUTHORISED, reversal) == (Status.REFUNDED, 12900, 12900)
    assert status_of(AUTHORISED, reversal, auto_capture=False) == (Status.FAILED, 0, 0)
    assert status_of(AUTHORISED, capture, reversal, auto_capture=False) == (Status.FAILED, 0, 0)


@pytest.mark.parametrize("auto_capture", [True, False])
@pytest.mark.parametrize("undo", ["CAPTURE_FAILED", "CANCELLATION", "TECHNICAL_CANCEL", "EXPIRE"])
def test_what_undoes_a_success_takes_its_money_back_and_a_later_capture_counts_again(auto_capture, undo):
    capture = ("CAPTURE", "true", 12900, "CAP1")
    paid = (AUTHORISED,) if auto_capture else (AUTHORISED, capture)
    undone = (undo, "true", 12900, PAYMENT if undo == "EXPIRE" else "CAP1")
    kept = not auto_capture and undo != "CAPTURE_FAILED"  # what was captured by hand stays, the rest was let go
    after = (Status.PAID, 12900, 0) if kept else (Status.FAILED, 0, 0)
    assert status_of(*paid, undone, auto_capture=auto_capture) == after
    again = ("CAPTURE", "true", 12900, "CAP2")
    if not kept:
        assert status_of(*paid, undone, again, auto_capture=auto_capture) == (Status.PAID, 12900, 0)


@pytest.mark.parametrize(("multiple", "held"), [(True, 900), (False, 0)])
def test_what_is_left_after_a_capture_of_a_part_is_held_where_more_captures_can_come(multiple, held):
    gateway = a_gateway(auto_capture=False, multiple_captures=multiple)
    later = (NOW + timedelta(minutes=1)).isoformat()
    facts = facts_of(events_of(an_item(), an_item("CAPTURE", value=12000, eventDate=later), gateway=gateway))
    assert (summarize(ORDER, facts).captured, held_in_all(ORDER, facts)) == (12000, held)


def test_only_the_capture_that_failed_is_undone():
    parts = ("CAPTURE", "true", 12000, "CAP1"), ("CAPTURE", "true", 900, "CAP2")
    failed = ("CAPTURE_FAILED", "true", 12000, "CAP1")
    assert status_of(AUTHORISED, *parts, failed, auto_capture=False) == (Status.PARTIALLY_PAID, 900, 0)


# Methods that keep to no account's capture mode.

AT_ONCE = (
    "ideal",
    "iDEAL",
    "alipay",
    "alipay_hk",
    "wechatpayQR",
    "bcmc",
    "eps",
    "onlineBanking_PL",
    "molpay_ebanking_fpx_MY",
    "econtext_stores",
    "grabpay_SG",
    "oxxo",
    "paynow",
    "promptpay",
)
BY_HAND = (
    "klarna",
    "klarna_account",
    "klarna_paynow",
    "afterpaytouch",
    "affirm",
    "ratepay_directdebit",
    "facilypay_3x",
)


def paid_by(method, *codes, auto_capture, **settings):
    values = {"AUTHORISATION": {}, "CAPTURE": {}}
    items = [an_item(code, paymentMethod=method, **values[code]) for code in codes]
    return settled(events_of(*items, gateway=a_gateway(auto_capture=auto_capture, **settings)))


@pytest.mark.parametrize("method", AT_ONCE)
def test_what_has_no_separate_capture_is_paid_once_authorized_at_any_account(method):
    for auto_capture in (True, False):
        assert paid_by(method, "AUTHORISATION", auto_capture=auto_capture) == (Status.PAID, 12900, 0)
        assert paid_by(method, "AUTHORISATION", "CAPTURE", auto_capture=auto_capture) == (Status.PAID, 12900, 0)
    nothing = {"methods_without_capture": []}
    assert paid_by(method, "AUTHORISATION", auto_capture=False, **nothing) == (Status.PROCESSING, 0, 0)


@pytest.mark.parametrize("method", BY_HAND)
def test_what_is_captured_by_hand_is_paid_by_its_capture_at_any_account(method):
    for auto_capture in (True, False):
        assert paid_by(method, "AUTHORISATION", auto_capture=auto_capture) == (Status.PROCESSING, 0, 0)
        assert paid_by(method, "AUTHORISATION", "CAPTURE", auto_capture=auto_capture) == (Status.PAID, 12900, 0)
    nothing = {"methods_captured_by_hand": []}
    assert paid_by(method, "AUTHORISATION", auto_capture=True, **nothing) == (Status.PAID, 12900, 0)


@pytest.mark.parametrize("method", ["visa", "mc_applepay", "paypal", "idealized", None, 7, "x" * 300])
def test_every_other_method_goes_by_the_account(method):
    assert paid_by(method, "AUTHORISATION", auto_capture=False) == (Status.PROCESSING, 0, 0)
    assert paid_by(method, "AUTHORISATION", auto_capture=True) == (Status.PAID, 12900, 0)


def test_what_adyen_says_can_be_captured_does_not_count_before():
    for operations, kind in (
        (["CANCEL", "CAPTURE", "REFUND"], Kind.PAYMENT_AUTHORIZED),
        (["REFUND"], Kind.PAYMENT_SUCCEEDED),
        ("CAPTURE", Kind.PAYMENT_SUCCEEDED),
    ):
        assert event_of(auto_capture=False, paymentMethod="ideal", operations=operations).kind is kind


@pytest.mark.parametrize("setting", ["methods_without_capture", "methods_captured_by_hand"])
@pytest.mark.parametrize("name", ["", "*", "a b", "ideal**", "x" * 65])
def test_a_setting_that_names_no_method_is_refused_at_the_start(setting, name):
    with pytest.raises(ValidationError):
        a_gateway(**{setting: [name]})


# Queries and acknowledgement.


def test_it_takes_yes_in_adyens_word():
    reply = a_gateway().acknowledge()
    assert (reply.status, reply.body) == (200, b"[accepted]")


def test_adyen_cannot_be_queried():
    with pytest.raises(CannotQuery):
        a_gateway().query_request(Query(about="payment", order_ref="ORDER-1", payment_ref=PAYMENT), now=NOW, nonce="n")


def test_what_an_unproven_delivery_names():
    def named(item):
        return a_gateway().claimed_references(request_of(adyen_delivery([item])))

    payment, refund = named(an_item()), named(an_item("REFUND"))
    assert (payment.payment_ref, payment.order_ref) == (PAYMENT, "ORDER-1")
    assert (refund.payment_ref, refund.order_ref) == (PAYMENT, "ORDER-1")
    assert named(an_item(pspReference="../x", merchantReference="a b")) is None


# The sandbox plays it.


@pytest.mark.slow
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=attrgetter("name"))
def test_what_the_play_tells_comes_true(template):
    played = Told(SIMULATOR, Adyen, template)
    assert played.end(played.deliveries()) == played.story.expected


def test_the_plays_impostor_and_an_altered_amount_are_refused():
    played = Told(SIMULATOR, Adyen, SIMULATOR.templates[0])
    event = played.story.events[0]
    for delivery in (
        impostor_of(played).sign(played.story, event, now=NOW, again=0),
        with_amount_raised(played.signer.sign(played.story, event, now=NOW, again=0), played.signer.amount_follows),
    ):
        with pytest.raises(BadSignature):
            played.gateway.verify(request_of(delivery), NOW)


@pytest.mark.parametrize("method", [None, "", 7, {}, "x" * 300, "\u2603"])
def test_an_odd_way_of_paying_is_unknown_and_refuses_nothing(method):
    assert event_of("AUTHORISATION", paymentMethod=method).method is None
