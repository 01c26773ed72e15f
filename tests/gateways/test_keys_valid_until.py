"""Until when deliveries can be verified: the last of certificates that replace one another, the first of a chain."""

from datetime import UTC, datetime, timedelta

import pytest
from certificates import issue
from conftest import specimen_of
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from specimen import NOW

from tillkeeper.gateways.paypal.certificates import Certificates, certificate_in, trust_in
from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.gateways.wechatpay.keys import PlatformKeys, certificate_of

SOON, LATE = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
WITHOUT_AN_END = GATEWAYS.keys() - {"alipay", "lakala", "paypal", "wechatpay"}


def account(name, **changes):
    """As its specimen is configured, with changes."""
    settings = {**specimen_of(name).settings, **changes}
    return GATEWAYS[name]("shop", GATEWAYS[name].settings.model_validate(settings))


@pytest.mark.parametrize("name", sorted(WITHOUT_AN_END))
def test_secrets_have_no_end(name):
    assert account(name).keys_valid_until() is None


def test_each_link_of_alipays_chain_must_be_valid_and_our_own_certificate(keys):
    root = issue("Root", keys.other, ca=True)
    own_key = load_pem_private_key(specimen_of("alipay").settings["app_private_key"].encode(), None)
    links = {"alipay_public_key": None, "alipay_root_cert": root.pem}
    links["alipay_cert"] = issue("Alipay", keys.own, by=root, until=LATE).pem
    assert account("alipay", **links).keys_valid_until() == LATE
    own = issue("App", own_key, until=SOON)
    assert account("alipay", **links, app_cert=own.pem).keys_valid_until() == SOON
    assert account("alipay").keys_valid_until() is None


def platform(keys, **ends):
    return {serial: issue(serial, keys.own, until=end).pem for serial, end in ends.items()}


def test_of_wechat_pays_certificates_the_last_counts_and_none_beside_a_public_key(keys):
    at_hand = PlatformKeys({}, platform(keys, A1=SOON, B2=LATE))
    assert at_hand.valid_until == LATE
    later = LATE + timedelta(days=9)
    at_hand.take_in({"C3": certificate_of("C3", issue("C3", keys.own, until=later).pem)}, NOW)
    assert at_hand.valid_until == later
    public = specimen_of("wechatpay").settings.get("public_keys") or {"PUB_KEY_ID_1": public_pem(keys)}
    assert PlatformKeys(public, platform(keys, A1=SOON)).valid_until is None
    ends_soon = issue("Platform", keys.own, until=SOON)
    certs = {f"{ends_soon.certificate.serial_number:X}": ends_soon.pem}
    assert account("wechatpay", public_keys={}, platform_certs=certs).keys_valid_until() == SOON


def public_pem(keys):
    return keys.own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_during_a_renewal_lakalas_last_certificate_counts(keys):
    pems = "".join(platform(keys, A=SOON, B=LATE).values())
    assert account("lakala", platform_cert=pems).keys_valid_until() == LATE


def test_paypal_renews_what_is_fetched_and_nobody_what_is_configured(keys):
    configured = platform(keys, a=SOON, b=LATE)
    certificates = Certificates(configured, trust_in(None))
    assert certificates.configured_until == LATE
    certificates._fetched["c"] = (certificate_in(configured["a"]), NOW)
    assert certificates.configured_until is None
    assert account("paypal", certs={}).keys_valid_until() is None
