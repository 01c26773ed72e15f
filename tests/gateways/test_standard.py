"""The gateway without code: Standard Webhooks as their packages sign them, any HMAC a table describes, and mappings."""

import hmac
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError
from specimen import NOW, request_of
from specimen_standard import BODY, MESSAGE, OTHER, SECRET, SETTINGS
from standardwebhooks import Webhook

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload, BadSignature, Stale, VerificationStep
from tillkeeper.gateways.kit.key_labels import key_label
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import Request
from tillkeeper.gateways.standard.gateway import Standard
from tillkeeper.gateways.standard.settings import StandardSettings
from tillkeeper.gateways.standard.standard_signature import standard_key
from tillkeeper.sandbox.simulators.standard.signing import signed
from tillkeeper.sandbox.simulators.standard.simulator import MAPPING


def a_gateway(*, mapping=None, without=(), **settings):
    paths = {key: value for key, value in {**MAPPING, **(mapping or {})}.items() if key not in without}
    return Standard("acme", StandardSettings.model_validate({**SETTINGS, "mapping": paths, **settings}))


def events(gateway, request):
    return gateway.parse(gateway.verify(request, NOW))


def message(**changes):
    data = {**MESSAGE["data"], **changes.pop("data", {})}
    return json.dumps({**MESSAGE, **changes, "data": data}).encode()


def sent(body):
    return request_of(signed(SECRET, "msg_1", NOW, body))


def event_of(body, gateway=None):
    (event,) = events(gateway or a_gateway(), sent(body))
    return event


# --- Standard Webhooks ------------------------------------------------------------------------------------------------


def test_what_their_package_signs_is_verified():
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(NOW.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", NOW, BODY.decode()),
    }
    assert headers == {name: value for name, value in signed(SECRET, "msg_1", NOW, BODY)[0].items() if name in headers}
    (event,) = events(a_gateway(), request_of((headers, BODY)))
    assert (event.kind, event.amount, event.currency) == (Kind.PAYMENT_SUCCEEDED, 12900, "CNY")


def test_svix_names_the_headers_after_itself():
    headers, body = signed(SECRET, "msg_1", NOW, BODY)
    renamed = {name.replace("webhook-", "svix-"): value for name, value in headers.items()}
    assert events(a_gateway(), request_of((renamed, body)))


def test_any_of_several_secrets_and_signatures_will_do():
    gateway = a_gateway(webhook_secrets=[OTHER, SECRET])
    headers, body = signed(SECRET, "msg_1", NOW, BODY)
    several = {**headers, "webhook-signature": f"v2,xyz v1,AAAA {headers['webhook-signature']}"}
    verified = gateway.verify(request_of((several, body)), NOW)
    assert verified.key == gateway.key_labels()[1]
    assert gateway.key_labels()[0] != gateway.key_labels()[1]


def test_a_public_key_verifies_v1a():
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    other = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    gateway = a_gateway(webhook_secrets=[f"whpk_{b64encode(key).decode()}" for key in (other, public)] + [SECRET])
    timestamp = str(int(NOW.timestamp()))
    signature = b64encode(private.sign(f"msg_1.{timestamp}.".encode() + BODY)).decode()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": timestamp, "webhook-signature": f"v1a,{signature}"}
    assert events(gateway, request_of((headers, BODY)))
    labels = gateway.key_labels()
    assert sorted(label.partition(":")[0] for label in labels) == [f"webhook_secrets[{at}]" for at in range(3)]
    assert labels[0] == key_label("webhook_secrets", 2, standard_key(SECRET))
    assert gateway.verify(sent(BODY), NOW).key == labels[0]
    for bad in (f"v1a,{b64encode(bytes(64)).decode()}", "v1a,not base64!", f"v1,{signature}"):
        with pytest.raises(BadSignature):
            gateway.verify(request_of(({**headers, "webhook-signature": bad}, BODY)), NOW)


@pytest.mark.parametrize("message_id", ["", "a.b", "a b", "é", "x" * 300])
def test_an_odd_id_is_refused(message_id):
    headers, body = signed(SECRET, "msg_1", NOW, BODY)
    with pytest.raises(BadSignature):
        a_gateway().verify(request_of(({**headers, "webhook-id": message_id}, body)), NOW)


@pytest.mark.parametrize(
    "secret",
    ["whsec_", "whsec_AAAA", "whsec_a9Kx2mQ4vT7z", "whsec_!!!!!!!!!!!!!!!!!!!!!!!!", "whpk_AAAA", "short", " " * 30],
)
def test_a_secret_that_is_none_is_refused_at_start(secret):
    with pytest.raises(ValidationError):
        a_gateway(webhook_secrets=[secret])


@pytest.mark.parametrize(
    "secret",
    ["polar_whs_AbCdEfGhIjKlMnOpQrStUvWx", "whsec_" + SECRET.removeprefix("whsec_"), "6t3c8ce2247c493a3ade20ab"],
)
def test_a_provider_may_sign_with_the_text_of_the_secret_itself(secret):
    gateway = a_gateway(webhook_secrets=[OTHER, secret])
    timestamp = str(int(NOW.timestamp()))
    digest = hmac.digest(secret.encode(), f"msg_1.{timestamp}.".encode() + BODY, "sha256")
    headers = {"webhook-id": "msg_1", "webhook-timestamp": timestamp}
    request = request_of(({**headers, "webhook-signature": f"v1,{b64encode(digest).decode()}"}, BODY))
    assert gateway.verify(request, NOW).key == gateway.key_labels()[1]
    assert len(gateway.key_labels()) == 2
    with pytest.raises(BadSignature):
        a_gateway(webhook_secrets=[OTHER]).verify(request, NOW)


def test_a_secret_that_is_no_base64_is_a_key_as_it_stands_where_the_settings_say_so():
    secret = "whsec_not-base64-at-all!"
    with pytest.raises(ValidationError, match="secrets_as_text"):
        a_gateway(webhook_secrets=[secret])
    assert a_gateway(webhook_secrets=[secret], secrets_as_text=True).key_labels()
    for short in ("whsec_", "polar_whs_"):
        with pytest.raises(ValidationError, match="16 characters"):
            a_gateway(webhook_secrets=[short + "x9Qk"], secrets_as_text=True)


def test_a_secret_with_the_version_of_its_signatures_in_front_is_taken():
    assert events(a_gateway(webhook_secrets=[f"v1,{SECRET}"]), sent(BODY))


def test_a_header_that_is_too_long_holds_no_signature():
    headers, body = signed(SECRET, "msg_1", NOW, BODY)
    long = {**headers, "webhook-signature": headers["webhook-signature"] + " v2," + "x" * 4096}
    with pytest.raises(BadSignature, match="too long"):
        a_gateway().verify(request_of((long, body)), NOW)


def test_an_unpadded_secret_is_taken():
    unpadded = b64encode(b"20 bytes of a secret").decode().rstrip("=")
    assert a_gateway(webhook_secrets=[f"whsec_{unpadded}"]).key_labels()


# --- any HMAC ---------------------------------------------------------------------------------------------------------

TEXT_SECRET = "a-shared-secret-of-acme"
BOTH = {"header": "x-sign", "timestamp_header": "x-time", "id_header": "x-id"}


def mac(text, *, secret=None, algorithm="sha256"):
    return hmac.digest(secret or TEXT_SECRET.encode(), text, algorithm)


def described(signature, **settings):
    return a_gateway(signature=signature, webhook_secrets=[TEXT_SECRET], **settings)


def test_a_plain_hex_hmac_of_the_body():
    gateway = described({"header": "X-Acme-Signature", "prefix": "sha256="})
    assert gateway.kept_headers >= {"x-acme-signature"}
    assert events(gateway, request_of(({"X-Acme-Signature": f"sha256={mac(BODY).hex()}"}, BODY)))
    for bad in (mac(BODY).hex(), f"sha256={mac(BODY + b' ').hex()}", "sha256=", ""):
        with pytest.raises(BadSignature):
            gateway.verify(request_of(({"X-Acme-Signature": bad}, BODY)), NOW)


def test_base64_of_sha512_over_the_url_and_the_body_with_a_secret_in_hex():
    signature = {
        "header": "x-sign",
        "algorithm": "sha512",
        "encoding": "base64",
        "signed": "{url}|{body}",
        "url": "https://pay.example.com/webhooks/acme",
        "secret_encoding": "hex",
    }
    gateway = a_gateway(signature=signature, webhook_secrets=["00112233445566778899aabbccddeeff"])
    key = bytes.fromhex("00112233445566778899aabbccddeeff")
    signed = b64encode(mac(b"https://pay.example.com/webhooks/acme|" + BODY, secret=key, algorithm="sha512")).decode()
    assert events(gateway, request_of(({"x-sign": signed}, BODY)))


def test_a_secret_in_base64():
    gateway = a_gateway(
        signature={"header": "x-sign", "secret_encoding": "base64"}, webhook_secrets=[b64encode(b"k" * 32).decode()]
    )
    assert events(gateway, request_of(({"x-sign": mac(BODY, secret=b"k" * 32).hex()}, BODY)))


@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_a_secret_of_another_encoding_is_refused_at_start(encoding):
    with pytest.raises(ValidationError, match=encoding):
        a_gateway(signature={"header": "x-sign", "secret_encoding": encoding}, webhook_secrets=["not of it: ä!"])


def test_pairs_with_a_time_in_milliseconds():
    signature = {
        "header": "x-sign",
        "signature_key": "v1",
        "timestamp_key": "t",
        "timestamp_unit": "ms",
        "signed": "{timestamp}.{body}",
        "tolerance_s": 60,
    }
    gateway = described(signature)

    def at(moment, more=""):
        timestamp = str(int(moment.timestamp() * 1000))
        return request_of(({"x-sign": f"t={timestamp},v1={mac(timestamp.encode() + b'.' + BODY).hex()}{more}"}, BODY))

    assert events(gateway, at(NOW))
    assert events(gateway, at(NOW, ",v1=00,v0=11"))
    with pytest.raises(Stale) as caught:
        gateway.verify(at(NOW - timedelta(seconds=61)), NOW)
    assert caught.value.signed_at == NOW - timedelta(seconds=61)
    with pytest.raises(Stale):
        gateway.verify(at(NOW + timedelta(seconds=61)), NOW)
    for bad in ("t=1,t=2,v1=00", "v1=00", "t=x,v1=00", "", "t=" + "9" * 20 + ",v1=00"):
        with pytest.raises(BadSignature):
            gateway.verify(request_of(({"x-sign": bad}, BODY)), NOW)


def test_a_time_in_a_header_of_its_own_and_no_tolerance():
    signature = {
        "header": "x-sign",
        "timestamp_header": "x-time",
        "id_header": "x-id",
        "signed": "{id}.{timestamp}.{body}",
        "separator": " ",
        "tolerance_s": None,
    }
    gateway = described(signature, without=("event_id",))
    old = str(int((NOW - timedelta(days=30)).timestamp()))
    headers = {"x-sign": f"00 {mac(b'e-1.' + old.encode() + b'.' + BODY).hex()}", "x-time": old, "x-id": "e-1"}
    (event,) = events(gateway, request_of((headers, BODY)))
    assert event.event_id == "e-1"
    with pytest.raises(BadSignature):
        gateway.verify(request_of(({**headers, "x-id": "e.1"}, BODY)), NOW)
    with pytest.raises(BadSignature):
        gateway.verify(request_of(({**headers, "x-sign": "0" * 5000}, BODY)), NOW)


STAMP = str(int(NOW.timestamp()))


@pytest.mark.parametrize(
    ("signed", "moved"),
    [
        ("{timestamp}{body}", (STAMP[:-1], STAMP[-1:].encode() + BODY)),
        ("{timestamp}{body}", (STAMP + BODY[:1].decode(), BODY[1:])),
        ("{body}{timestamp}", (STAMP[1:], BODY + STAMP[:1].encode())),
        ("{body}{timestamp}", (BODY[-1:].decode() + STAMP, BODY[:-1])),
    ],
)
def test_a_time_may_touch_the_body_for_nobody_can_move_the_border(signed, moved):
    gateway = described({"header": "x-sign", "timestamp_header": "x-time", "signed": signed, "tolerance_s": None})
    text = signed.encode().replace(b"{timestamp}", STAMP.encode()).replace(b"{body}", BODY)

    def request(timestamp, body):
        return request_of(({"x-sign": mac(text).hex(), "x-time": timestamp}, body))

    assert events(gateway, request(STAMP, BODY))
    with pytest.raises(BadSignature):
        gateway.verify(request(*moved), NOW)


def test_what_stands_behind_the_body_is_set_off_by_a_sign():
    gateway = described({**BOTH, "signed": "{body}.{timestamp}.{id}"})
    headers = {"x-sign": mac(BODY + f".{STAMP}.e-1".encode()).hex(), "x-time": STAMP, "x-id": "e-1"}
    assert events(gateway, request_of((headers, BODY)))


@pytest.mark.parametrize(("unit", "factor", "unit_name"), [("s", 1000, "milliseconds"), ("ms", 1, "seconds")])
def test_a_time_in_the_other_unit_is_said_to_be_one(unit, factor, unit_name):
    gateway = described(
        {"header": "x-sign", "timestamp_header": "x-time", "signed": "{timestamp}.{body}", "timestamp_unit": unit}
    )
    with pytest.raises(BadSignature, match=f"looks like {unit_name}: set timestamp_unit") as caught:
        gateway.verify(request_of(({"x-sign": "00", "x-time": str(int(STAMP) * factor)}, BODY)), NOW)
    assert caught.value.step is VerificationStep.HEADER


def test_hexadecimal_is_read_in_either_case():
    gateway = described({"header": "x-sign"})
    assert events(gateway, request_of(({"x-sign": mac(BODY).hex().upper()}, BODY)))
    gateway = described({"header": "x-sign", "encoding": "base64"})
    with pytest.raises(BadSignature):
        gateway.verify(request_of(({"x-sign": b64encode(mac(BODY)).decode().swapcase()}, BODY)), NOW)


def test_an_id_that_is_not_signed_may_hold_any_sign_that_can_be_kept():
    gateway = described({"header": "x-sign", "id_header": "x-id"}, without=("event_id",))

    def sent_as(message_id):
        return request_of(({"x-sign": mac(BODY).hex(), "x-id": message_id}, BODY))

    (event,) = events(gateway, sent_as("urn:acme/e.1=7"))
    assert event.event_id == "urn:acme/e.1=7"
    for odd in ("", "a b", "a\n", "é", "x" * 256):
        with pytest.raises(BadSignature):
            gateway.verify(sent_as(odd), NOW)


@pytest.mark.parametrize("separator", [None, " ", ";"])
def test_a_described_signature_may_come_twice_or_joined_by_a_comma(separator):
    gateway = described({"header": "x-sign", "prefix": "sha256="} | ({"separator": separator} if separator else {}))
    ours, theirs = f"sha256={mac(BODY).hex()}", "sha256=" + "0" * 64
    for lines in ([theirs, ours], [f"{theirs}, {ours}"], [f"{theirs},{ours}"]):
        assert gateway.verify(Request(headers={"x-sign": lines}, body=BODY), NOW)


def test_a_comma_of_the_prefix_parts_nothing():
    gateway = described({"header": "x-sign", "prefix": "v1,"})
    assert gateway.verify(Request(headers={"x-sign": [f"v1,{mac(BODY).hex()}"]}, body=BODY), NOW)


def test_signatures_of_another_scheme_beside_ours_are_left_out():
    gateway = described({"header": "x-sign", "separator": " ", "prefix": "v1="})
    assert events(gateway, request_of(({"x-sign": f"v0=abc v1={mac(BODY).hex()}"}, BODY)))
    with pytest.raises(BadSignature, match="no signature of the form described"):
        gateway.verify(request_of(({"x-sign": f"v0={mac(BODY).hex()}"}, BODY)), NOW)


@pytest.mark.parametrize(
    ("encoding", "secret"), [("hex", "5d1c90e7"), ("base64", b64encode(bytes(range(15))).decode())]
)
def test_a_secret_that_is_short_once_decoded_is_refused_at_start(encoding, secret):
    with pytest.raises(ValidationError, match="16 bytes or more"):
        a_gateway(signature={"header": "x-sign", "secret_encoding": encoding}, webhook_secrets=[secret])


@pytest.mark.parametrize(
    ("signature", "word"),
    [
        ({"header": "x-sign", "signed": "{timestamp}.{body}"}, "timestamp_header"),
        ({"header": "x-sign", "signed": "{id}.{body}"}, "id_header"),
        ({"header": "x-sign", "signed": "{url}{body}"}, "url says"),
        ({"header": "x-sign", "signed": "{colour}.{body}"}, "there is no {colour}"),
        ({"header": "x-sign", "signed": "{url}"}, "must hold {body}"),
        ({"header": "x-sign", "signed": "{body}{body}"}, "must hold {body}"),
        ({"header": "x-sign", "signed": "{timestamp}1{body}", "timestamp_header": "x-time"}, "such as a dot"),
        ({"header": "x-sign", "signed": "{body}1{timestamp}", "timestamp_header": "x-time"}, "such as a dot"),
        ({"header": "x-sign", "signed": "{id}x{body}", "id_header": "x-id"}, "such as a dot"),
        ({"header": "x-sign", "signed": "{id}{body}", "id_header": "x-id"}, "such as a dot"),
        ({"header": "x-sign", "signed": "{body}{id}", "id_header": "x-id"}, "such as a dot"),
        ({**BOTH, "signed": "{id}{timestamp}{body}"}, "such as a dot"),
        ({**BOTH, "signed": "{timestamp}{id}.{body}"}, "such as a dot"),
        ({**BOTH, "signed": "{body}{timestamp}{id}"}, "such as a dot"),
        ({"header": "x-sign", "timestamp_key": "t"}, "signature_key"),
        ({"header": "x sign"}, "pattern"),
        ({"header": "x-sign", "algorithm": "md5"}, "sha256"),
    ],
)
def test_a_scheme_that_is_unsafe_or_unclear_is_refused_at_start(signature, word):
    with pytest.raises(ValidationError) as caught:
        described(signature)
    assert word in str(caught.value)
    assert TEXT_SECRET not in str(caught.value)


# --- mappings ---------------------------------------------------------------------------------------------------------


def test_every_field_is_where_the_mapping_says():
    event = event_of(message())
    assert event.event_id == "msg_conform"
    assert (event.order_ref, event.payment_ref, event.refund_ref) == ("ORDER-1", "lan_3conform", None)
    assert event.occurred_at == datetime(2026, 10, 5, 11, 59, tzinfo=UTC)


def test_a_failure_has_the_providers_code_and_our_class():
    event = event_of(message(type="payment.declined", data={"reason": "no_money"}))
    assert (event.failure, event.failure_code) == (FailureClass.INSUFFICIENT_FUNDS, "no_money")
    event = event_of(message(type="payment.declined", data={"reason": "moon"}))
    assert (event.failure, event.failure_code) == (FailureClass.UNKNOWN, "moon")


def test_a_word_that_the_mapping_does_not_have_is_noted_and_one_that_it_ignores_is_not():
    gateway = a_gateway(mapping={"kinds": {**MAPPING["kinds"], "seen": "ignore"}})
    for word, noted in (("seen", []), ("of next year", ["of next year"])):
        with unknown_words() as words:
            assert events(gateway, sent(message(type=word))) == ()
        assert [each.word for each in words] == noted


def test_words_that_are_ignored_or_unknown_make_no_event():
    for word in ("payment.viewed", "payment.exploded"):
        assert events(a_gateway(), sent(message(type=word))) == ()


def test_a_word_that_stands_nowhere_is_noted_and_one_that_is_ignored_is_not():
    with unknown_words() as words:
        events(a_gateway(), sent(message(type="payment.viewed")))
        events(a_gateway(), sent(message(type="payment.exploded")))
    assert [(word.field, word.word) for word in words] == [("mapping.kinds", "payment.exploded")]


def remarks(gateway, body):
    return gateway.remarks(gateway.verify(sent(body), NOW))


@pytest.mark.parametrize(
    ("mapping", "changes", "beginnings"),
    [
        ({}, {"type": "payment.exploded"}, ["'payment.exploded' does not stand in mapping.kinds"]),
        ({"order_ref": "data.ordre"}, {}, ["order_ref: data.ordre leads nowhere"]),
        ({"order_ref": ["data.ordre", "data.no"]}, {}, ["order_ref: data.ordre, data.no leads nowhere"]),
        (
            {"dispute_ref": "data.case", "kinds": {"lost": "dispute.lost"}},
            {"type": "lost"},
            ["dispute_ref: "],
        ),
        (
            {"refund_ref": "data.back", "kinds": {"back": "refund.succeeded"}},
            {"type": "back"},
            ["refund_ref: data.back"],
        ),
        ({"only": {"data.shop": "s-1"}}, {}, ["what only asks for"]),
        ({}, {"data": {"amount": 12900}}, ["amount: 12900 is read as major units"]),
        ({}, {"type": "payment.viewed"}, []),
        ({}, {}, []),
    ],
)
def test_what_looks_like_a_mistake_in_the_mapping_is_named(mapping, changes, beginnings):
    found = remarks(a_gateway(mapping=mapping), message(**changes))
    assert len(found) == len(beginnings)
    assert all(remark.startswith(start) for remark, start in zip(found, beginnings, strict=True))


def test_of_each_event_in_a_delivery_once():
    gateway = a_gateway(mapping={"events": "items"}, without=("event_id",))
    assert len(remarks(gateway, json.dumps({"items": [{**MESSAGE, "type": "what"}] * 3}).encode())) == 1


def test_an_event_that_cannot_do_without_names_the_path_that_leads_nowhere():
    with pytest.raises(BadPayload, match=r"needs payment_ref; payment_ref: data\.payement leads nowhere"):
        event_of(message(), a_gateway(mapping={"payment_ref": "data.payement"}))
    with pytest.raises(BadPayload, match='need unit = "major"'):
        event_of(message(), a_gateway(mapping={"unit": "minor"}))


def test_what_is_not_ours_makes_no_event():
    gateway = a_gateway(mapping={"only": {"data.shop": "s-1"}})
    assert events(gateway, sent(message())) == ()
    assert events(gateway, sent(message(data={"shop": "s-1"})))


def test_fixed_values_first_paths_joined_ids_and_numbers():
    gateway = a_gateway(
        mapping={
            "currency": "=JPY",
            "unit": "minor",
            "event_id": ["data.payment", "data.seq"],
            "kind": ["type", "data.status"],
            "kinds": {"payment/ok": "payment.succeeded"},
            "order_ref": ["data.missing", "data.lines.0.order"],
            "method": "data.method",
        }
    )
    data = {"seq": 7, "status": "ok", "amount": "500", "lines": [{"order": 42}], "method": "wallet"}
    event = event_of(message(type="payment", data=data), gateway)
    assert (event.event_id, event.order_ref, event.amount, event.method) == ("lan_3conform:7", "42", 500, "wallet")
    (event,) = events(gateway, sent(message(type="payment", data={**data, "lines": []})))
    assert event.order_ref is None


def test_units_that_differ_from_iso():
    gateway = a_gateway(mapping={"unit": "minor", "digits": {"JPY": 2}})
    assert event_of(message(data={"currency": "jpy", "amount": 50000}), gateway).amount == 500


def test_a_running_total_of_refunds():
    gateway = a_gateway(
        mapping={"kinds": {"refunded": "refund.succeeded"}, "total": "data.refunded"}, without=("amount",)
    )
    event = event_of(message(type="refunded", data={"refunded": "4.00"}), gateway)
    assert (event.total, event.amount) == (400, None)


@pytest.mark.parametrize(
    ("time", "zone", "value", "hour"),
    [
        ("unix", "+00:00", int(NOW.timestamp()), 12),
        ("unix", "+00:00", str(int(NOW.timestamp())), 12),
        ("unix_ms", "+00:00", int(NOW.timestamp()) * 1000 + 999, 12),
        ("dashed", "+08:00", "2026-10-05 20:00:00", 12),
        ("dashed", "-03:00", "2026-10-05 09:00:00", 12),
        ("compact", "+00:00", "20261005120000", 12),
        ("rfc3339", "+00:00", "2026-10-05T14:00:00+02:00", 12),
    ],
)
def test_times_in_every_form(time, zone, value, hour):
    event = event_of(message(timestamp=value), a_gateway(mapping={"time": time, "zone": zone}))
    assert event.occurred_at == datetime(2026, 10, 5, hour, tzinfo=UTC)


def test_several_events_in_a_delivery():
    gateway = a_gateway(mapping={"events": "items"}, without=("event_id",))
    items = [MESSAGE, {**MESSAGE, "type": "payment.viewed"}, {**MESSAGE, "type": "payment.started"}]
    found = events(gateway, sent(json.dumps({"items": items}).encode()))
    assert [event.event_id for event in found] == ["msg_1:0", "msg_1:2"]


def test_a_form_is_read_as_one():
    gateway = a_gateway(
        mapping={
            "body": "form",
            "event_id": "id",
            "kind": "state",
            "kinds": {"paid": "payment.succeeded"},
            "order_ref": "order",
            "payment_ref": "payment",
            "amount": "sum",
            "currency": "=EUR",
            "occurred_at": "at",
            "time": "unix",
        }
    )
    event = event_of(f"id=1&state=paid&order=O-1&payment=P-1&sum=1.50&at={int(NOW.timestamp())}".encode(), gateway)
    assert (event.order_ref, event.amount) == ("O-1", 150)


def test_a_field_whose_own_name_holds_dots_comes_before_a_path():
    fields = {"body": "form", "event_id": "data.id", "kind": "data.state", "kinds": {"paid": "payment.succeeded"}}
    fields |= {"order_ref": "data.order", "payment_ref": "data.payment", "amount": "sum", "currency": "=EUR"}
    gateway = a_gateway(mapping={**fields, "occurred_at": "at", "time": "unix"})
    body = f"data.id=1&data.state=paid&data.order=O-1&data.payment=P-1&sum=1.50&at={STAMP}"
    event = event_of(body.encode(), gateway)
    assert (event.event_id, event.order_ref, event.payment_ref) == ("1", "O-1", "P-1")


@pytest.mark.parametrize(
    ("mapping", "body"),
    [
        ({}, b"[]"),
        ({}, message(type=None)),
        ({}, message(id=None)),
        ({}, message(timestamp=None)),
        ({}, message(timestamp=5)),
        ({}, message(timestamp="yesterday")),
        ({}, message(data={"currency": None})),
        ({}, message(data={"amount": "1,00"})),
        ({}, message(data={"amount": None})),
        ({}, message(data={"payment": None})),
        ({}, message(data={"payment": {}})),
        ({}, message(data={"payment": 0.5})),
        ({}, message(type=True)),
        ({"time": "unix"}, message(timestamp="soon")),
        ({"time": "unix"}, message(timestamp=True)),
        ({"unit": "minor"}, message(data={"amount": "9" * 30})),
        ({"events": "items"}, message()),
        ({"events": "items"}, json.dumps({"items": [{}] * 501}).encode()),
    ],
)
def test_a_payload_that_does_not_fit_is_refused(mapping, body):
    gateway = a_gateway(mapping=mapping)
    verified = gateway.verify(sent(body), NOW)
    if body == message(type=True):
        assert gateway.parse(verified) == ()
        return
    with pytest.raises(BadPayload):
        gateway.parse(verified)


def test_without_an_id_anywhere_an_event_is_refused():
    gateway = described({"header": "x-sign"}, without=("event_id",))
    with pytest.raises(BadPayload, match="event_id"):
        events(gateway, request_of(({"x-sign": mac(BODY).hex()}, BODY)))


@pytest.mark.parametrize(
    "mapping",
    [
        {"kinds": {}},
        {"kinds": {"a": "payment.exploded"}},
        {"order_ref": ""},
        {"order_ref": "a..b"},
        {"currency": "=RMB"},
        {"zone": "Asia/Shanghai"},
        {"colour": "red"},
        {"failures": {"a": "bad_luck"}},
        {"kind": ["type", "state"]},
        {"kinds": {"a": "dispute.opened"}, "dispute_ref": None},
        {"kinds": {"a": "refund.failed"}, "refund_ref": None},
    ],
)
def test_a_mapping_that_means_nothing_is_refused_at_start(mapping):
    with pytest.raises(ValidationError):
        a_gateway(mapping=mapping)


@pytest.mark.parametrize("missing", ["amount", "currency", "payment_ref"])
def test_a_mapping_without_what_its_kinds_need_is_refused_at_start(missing):
    with pytest.raises(ValidationError, match=missing):
        a_gateway(without=(missing,))


def test_the_answer_is_what_the_account_says():
    gateway = a_gateway(acknowledge_status=202, acknowledge_body="OK")
    assert (gateway.acknowledge().status, gateway.acknowledge().body) == (202, b"OK")
    assert a_gateway().acknowledge().status == 200


def test_nothing_in_the_headers_is_no_crash():
    with pytest.raises(BadSignature):
        a_gateway().verify(Request(headers={}, body=BODY), NOW)
