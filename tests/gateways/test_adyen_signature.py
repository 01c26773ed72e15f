"""Adyen: the published vectors verify, all else is refused; test and live are kept apart."""

import json

import pytest
from Adyen.util import generate_notification_sig, is_valid_hmac_notification
from adyen_factories import KEY, a_gateway, an_item, events_of, signed
from pydantic import ValidationError
from specimen import NOW, request_of

from tillkeeper.gateways.adyen.codes import READERS
from tillkeeper.gateways.adyen.items import ITEMS_MAX
from tillkeeper.gateways.errors import BadPayload, BadSignature, VerificationStep
from tillkeeper.sandbox.simulators.adyen.signing import adyen_delivery, adyen_item

OLDER = "DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00"


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
