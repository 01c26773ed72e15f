"""Secrets that are none: guessable, public, or another key than belongs there."""

import importlib

import pytest
from pydantic import ValidationError

from tillkeeper.gateways.kit.rsa import rsa_public_key
from tillkeeper.gateways.kit.secret_checks import (
    BEGINNINGS,
    DOCUMENTED,
    GATEWAY_WORDS,
    VERIFYING,
    bits_of,
    doubts,
    forgeable,
    is_a_word,
    is_guessable,
)
from tillkeeper.gateways.registry import GATEWAYS

GOOD = "whsec_5f0c7a1e9b2d4c6380aa11bb22cc33dd"
GUESSABLE = [
    "changeme",
    "change-me",
    "CHANGEME123",
    "changeme-changeme-changeme",
    "password",
    "Passw0rd!",
    "p4ssw0rd1",
    "secret123",
    "my-secret-key",
    "your_webhook_secret",
    "whsec_secret",
    "whsec_test_secret",
    "test_secret",
    "stripe-secret",
    "mercadopago1",
    "tillkeeper",
    "replace-this",
    "aaaaaaaaaaaaaaaa",
    "00000000-0000-0000",
    "abababababababab",
    "12345678",
    "87654321",
    "0123456789abcdef",
    "0123456789abcdef0123456789ABCDEF",
    "abcdefghijkl",
    "whsec_12345678",
    "k12345678",
    "qwertyuiop",
    "asdfghjkl1",
]
STRONG = [
    GOOD,
    "whsec_heldout_west_0123456789abcdef",
    "heldout-west-secret",
    "BugsEast0BugsEast1BugsEast2BugsE",
    "correct-horse-battery-staple",
    "kX9vQ2mZ",
    "whsec_0123456789",  # a whole row behind a prefix is told, and not refused
    "k1234567890",
    "a-secret-key-of-our-test-shop-for-webhooks",  # a phrase of many words
]


@pytest.mark.parametrize("secret", GUESSABLE)
def test_what_is_tried_before_all_else_is_guessable(secret):
    assert is_guessable(secret)
    assert "can be guessed" in forgeable("stripe", "webhook_secrets", secret)


def test_one_word_is_told_from_runs_and_phrases():
    assert all(is_a_word(each) for each in ("changeme", "changeme-changeme", "password12345678"))
    assert not any(is_a_word(each) for each in ("0123456789abcdef", "t" * 20, "test-token-0123456789", STRONG[0]))


@pytest.mark.parametrize("secret", STRONG)
def test_what_is_drawn_or_thought_up_is_not(secret):
    assert not is_guessable(secret)
    assert forgeable("stripe", "webhook_secrets", secret) is None


@pytest.mark.parametrize("name", sorted(VERIFYING))
def test_every_gateway_refuses_what_anybody_could_sign_with(name, keys):
    gateway, setting = name.split(".")
    settings = importlib.import_module(f"specimen_{gateway}").specimen(keys).settings
    for bad, why in (
        ("changeme", "can be guessed"),
        ("pk_live_5f0c7a1e9b2d4c63", "publishable"),
        ("<your key>", "placeholder"),
    ):
        told = [bad] if isinstance(settings[setting], list | tuple) else bad
        with pytest.raises(ValidationError, match=why):
            GATEWAYS[gateway].settings.model_validate({**settings, setting: told})


def secret_settings():
    """Every setting of every gateway that is kept out of prints and is a text or a list of them."""
    for name, gateway in GATEWAYS.items():
        for setting, field in gateway.settings.model_fields.items():
            if not field.repr and "cert" not in setting and not setting.startswith("public_keys"):
                yield f"{name}.{setting}"


def test_every_secret_setting_verifies_or_only_asks():
    only_ask = {
        "alipay.app_auth_token",
        "alipay.app_private_key",
        "checkout.secret_key",
        "flutterwave.client_secret",
        "flutterwave.secret_key",
        "gocardless.access_token",
        "klarna.password",
        "lakala.merchant_private_key",
        "mercadopago.access_token",
        "mollie.api_key",
        "paypal.client_secret",
        "razorpay.key_secret",
        "shengpay.mch_private_key",
        "shengpay.shengpay_public_key",
        "shopee.access_token",
        "square.access_token",
        "stripe.api_key",
        "wechatpay.apiv3_key",
        "wechatpay.merchant_private_key",
    }
    assert set(secret_settings()) == VERIFYING | only_ask
    assert set(BEGINNINGS) <= VERIFYING | only_ask


def test_the_gateways_names_are_among_the_words():
    words = GATEWAY_WORDS.split()
    assert {part for name in GATEWAYS for part in name.split("_")} <= set(words)


@pytest.mark.parametrize(
    ("setting", "secret", "why"),
    [
        ("stripe.webhook_secrets", "sk_live_5f0c7a1e9b2d4c6380aa", "looks like a secret API key"),
        ("stripe.webhook_secrets", "rk_live_5f0c7a1e9b2d4c6380aa", "looks like a restricted API key"),
        (
            "stripe.webhook_secrets",
            "5f0c7a1e9b2d4c6380aa11bb22cc33dd",
            "not look like an endpoint's",
        ),
        ("stripe.api_key", GOOD, "looks like a webhook's signing secret"),
        ("stripe.api_key", "changeme", "can be guessed"),
        ("stripe.api_key", "pk_live_5f0c7a1e9b2d4c6380aa", "publishable"),
        ("paystack.secret_keys", GOOD, "looks like a webhook's signing secret"),
        ("mollie.signing_secrets", "live_5f0c7a1e9b2d4c6380aa11bb22cc33dd", "Mollie"),
        ("mollie.api_key", "5f0c7a1e9b2d4c6380aa11bb22cc33dd", "does not look like an API key"),
        ("flutterwave.secret_hashes", "FLWSECK-5f0c7a1e9b2d4c6380aa-X", "Flutterwave secret key"),
        ("square.signature_keys", "EAAAE5f0c7a1e9b2d4c6380aa", "Square access token"),
        ("mercadopago.webhook_secrets", "APP_USR-1020304050-102030-5f0c7a1e", "Mercado Pago access token"),
        ("klarna.password", "-----BEGIN RSA PRIVATE KEY-----\nMIIE", "private key in PEM"),
        ("razorpay.webhook_secrets", "kX9vQ2mZ", "short"),
        ("wechatpay.apiv3_key", "0123456789abcdef0123456789ABCDEF", "can be guessed"),
        ("wechatpay_v2.api_key", "192006250b4c09247ec02edce69f6a2d", "documentation"),
    ],
)
def test_another_key_in_its_place_is_told_and_its_value_is_not(setting, secret, why):
    gateway, _, name = setting.partition(".")
    told = list(doubts(gateway, name, (secret,)))
    assert any(why in event for event in told)
    assert all(secret not in event for event in told)


def test_what_belongs_there_is_not_doubted():
    for setting, secret in (
        ("stripe.webhook_secrets", GOOD),
        ("stripe.api_key", "rk_live_5f0c7a1e9b2d4c6380aa"),
        ("checkout.secret_key", "sk_sbox_5f0c7a1e9b2d4c6380aa"),
        ("mollie.api_key", "test_5f0c7a1e9b2d4c6380aa11bb22cc33dd"),
        ("gocardless.access_token", "sandbox_5f0c7a1e9b2d4c6380aa11bb22cc33dd-_55"),
        ("square.signature_keys", "5Gp0DcnzlMnZHDsSkJ8I5A"),
    ):
        gateway, _, name = setting.partition(".")
        assert list(doubts(gateway, name, (secret,))) == []


def test_keys_of_both_modes_in_one_account_are_told():
    told = list(doubts("paystack", "secret_keys", ("sk_live_5f0c7a1e9b2d4c6380aa", "sk_test_5f0c7a1e9b2d4c6380aa")))
    assert [event.partition(":")[0] for event in told] == ["mixes keys of live and of test mode"]


def test_documented_keys_are_taken_with_a_word():
    for secret in DOCUMENTED:
        assert forgeable("standard", "webhook_secrets", secret) is None
        assert any("documentation" in doubt for doubt in doubts("standard", "webhook_secrets", (secret,)))


def test_chance_is_reckoned_by_the_sorts_of_characters():
    assert round(bits_of("00112233")) == 27
    assert round(bits_of("0011aabb")) == 32
    assert bits_of("kX9v-Q2m") > bits_of("kX9vaQ2m")
    assert bits_of("----") == 20


def an_account(gateway, **settings):
    return GATEWAYS[gateway].settings.model_validate({"gateway": gateway, **settings})


def test_a_secret_that_is_an_accounts_id_is_refused():
    with pytest.raises(ValidationError, match="private_key is the same as public_key"):
        an_account("braintree", merchant_id="m", public_key="n3k7q9w2z5x8c1v4", private_key="n3k7q9w2z5x8c1v4")


def test_an_account_tells_its_doubts_by_setting():
    told = list(an_account("stripe", webhook_secrets=["sk_live_5f0c7a1e9b2d4c6380aa"], api_key=GOOD).doubts())
    assert [event.partition(" ")[0] for event in told] == ["webhook_secrets", "api_key"]
    assert list(an_account("stripe", webhook_secrets=[GOOD]).doubts()) == []


def test_a_private_key_where_a_public_one_belongs_is_named_as_such():
    with pytest.raises(ValueError, match="this is a private key"):
        rsa_public_key("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----")


@pytest.mark.parametrize("key", ["44782DEF", "5f0c7a1e9b2d4c6380aa11bb22cc33dd"])
def test_a_short_key_of_adyens_is_refused(key):
    with pytest.raises(ValidationError, match="64 hexadecimal digits"):
        an_account("adyen", hmac_keys=[key], merchant_account="TillECOM")


@pytest.mark.parametrize("secret", ["whsec_0123456789", "k1234567890", "sk_test_0123456789"])
def test_a_row_behind_a_prefix_is_told(secret):
    assert any("row of characters" in doubt for doubt in doubts("stripe", "webhook_secrets", (secret,)))
