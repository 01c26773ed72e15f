"""Standard Webhooks and any HMAC that settings describe."""

import hmac
from base64 import b64encode
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError
from specimen import NOW, request_of
from specimen_standard import BODY, OTHER, SECRET
from standard_factories import STAMP, TEXT_SECRET, a_gateway, described, events, mac, sent
from standardwebhooks import Webhook

from tillkeeper.domain.events import Kind
from tillkeeper.gateways.errors import BadSignature, Stale, VerificationStep
from tillkeeper.gateways.kit.key_labels import key_label
from tillkeeper.gateways.messages import Request
from tillkeeper.gateways.standard.standard_signature import standard_key
from tillkeeper.sandbox.simulators.standard.signing import signed

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


BOTH = {"header": "x-sign", "timestamp_header": "x-time", "id_header": "x-id"}


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
