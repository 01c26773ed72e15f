"""HMAC signatures by any of several keys."""

import hmac
import re
from base64 import b64encode

import pytest
from specimen import request_of

from tillkeeper.gateways.errors import BadSignature, VerificationStep
from tillkeeper.gateways.kit.hmacs import SIGNATURE_CHARS_MAX, SIGNATURES_MAX, HmacKeys

SECRETS = ["the-first-secret-of-the-tests", "the-second-secret-of-the-tests"]


def mac(secret=SECRETS[0], body=b"{}", digest="sha256"):
    return hmac.digest(secret.encode(), body, digest)


def label_in(keys, value, **more):
    return keys.label_in(request_of(({"X-Sign": value}, b"{}")), "x-sign", b"{}", **more)


def test_the_key_that_fits_is_named_by_its_place_and_never_shown():
    keys = HmacKeys("webhook_secrets", SECRETS)
    for at, secret in enumerate(SECRETS):
        assert keys.label_of(b"{}", mac(secret).hex()) == keys.labels[at]
        assert re.fullmatch(rf"webhook_secrets\[{at}\]:[0-9a-f]{{4}}", keys.labels[at])


def test_a_secret_is_the_same_as_text_and_as_bytes():
    assert HmacKeys("keys", [SECRETS[0].encode()]).label_of(b"{}", mac().hex())


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
def test_the_digest_is_the_one_that_was_asked_for(digest):
    keys = HmacKeys("keys", SECRETS, digest=digest)
    assert keys.label_of(b"{}", mac(digest=digest).hex()) == keys.labels[0]
    with pytest.raises(BadSignature):
        keys.label_of(b"{}", mac(digest="sha384").hex())


def test_the_encoding_is_the_one_that_was_asked_for():
    keys = HmacKeys("keys", SECRETS, encoding="base64")
    assert keys.label_of(b"{}", b64encode(mac()).decode()) == keys.labels[0]
    with pytest.raises(BadSignature):
        keys.label_of(b"{}", mac().hex())


def test_two_uses_of_one_secret_have_one_label():
    keys = HmacKeys("keys", [*SECRETS, "a-third-secret"], labels=["one", "one", "other"])
    assert keys.labels == ("one", "other")
    assert keys.label_of(b"{}", mac("a-third-secret").hex()) == "other"
    with pytest.raises(ValueError, match="argument"):
        HmacKeys("keys", SECRETS, labels=["one"])


def test_what_no_key_signed_is_refused_with_the_name_of_the_setting():
    keys = HmacKeys("webhook_secrets", SECRETS)
    for signatures in ([], [""], [mac("of somebody else").hex()], [mac(body=b"[]").hex()], [mac().hex().upper()]):
        with pytest.raises(BadSignature, match=r"^the signature is not by any of the webhook_secrets$") as refused:
            keys.label_of(b"{}", *signatures)
        assert refused.value.step is VerificationStep.SIGNATURE


def test_one_of_several_signatures_must_fit_in_any_line_and_behind_any_comma():
    keys, good = HmacKeys("keys", SECRETS), mac(SECRETS[1]).hex()
    for value in (good, f"forged,{good}", f" forged , {good} "):
        assert label_in(keys, value) == keys.labels[1]
    assert label_in(keys, f"sha256={good}", prefix="sha256=") == keys.labels[1]
    with pytest.raises(BadSignature):
        label_in(keys, f"sha256={good}")


def test_of_many_signatures_only_the_first_few_are_tried():
    keys, good = HmacKeys("keys", SECRETS), mac().hex()
    assert label_in(keys, ",".join(["forged"] * (SIGNATURES_MAX - 1) + [good])) == keys.labels[0]
    with pytest.raises(BadSignature):
        label_in(keys, ",".join(["forged"] * SIGNATURES_MAX + [good]))


def test_a_signature_that_cannot_be_one_is_refused_for_its_header():
    keys = HmacKeys("keys", SECRETS)
    for odd in ("é", "a" * (SIGNATURE_CHARS_MAX + 1)):
        with pytest.raises(BadSignature, match=r"^the signature is not ASCII or too long$") as refused:
            keys.label_of(b"{}", mac().hex(), odd)
        assert refused.value.step is VerificationStep.HEADER
    assert keys.label_of(b"{}", "a" * SIGNATURE_CHARS_MAX, mac().hex()) == keys.labels[0]
