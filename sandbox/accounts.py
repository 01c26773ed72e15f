"""The sandbox's accounts: keys made for the occasion, and what a configuration file says of them."""

import secrets
import string
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from sandbox.signing import WeChatPayKey
from sandbox.voices import AlipayVoice, StripeVoice, Voice, WeChatPayVoice
from tillkeeper.gateways.stripe import LIVE_BY_KEY_PREFIX, StripeSettings
from tillkeeper.settings import Settings

RSA_BITS: Final = 2048
API_PATHS: Final[Mapping[str, str]] = {"stripe": "", "alipay": "/gateway.do", "wechatpay": ""}
APIV3_KEY_CHARS: Final = 32


def new_voices() -> dict[str, Voice]:
    """An account at each gateway, with fresh keys."""
    voices = (
        StripeVoice(account="stripe-main", secret=_stripe_secret(), api_key=f"sk_test_{secrets.token_hex(16)}"),
        AlipayVoice(
            account="alipay-main",
            app_id="2021004100000001",
            seller_id="2088000000000001",
            private_key=_rsa_key(),
            app_key=_rsa_key(),
        ),
        WeChatPayVoice(
            account="wechatpay-main",
            mch_id="1900000100",
            app_id="wx8888888888888888",
            apiv3_key="".join(secrets.choice(string.ascii_letters) for _ in range(APIV3_KEY_CHARS)),
            key=WeChatPayKey("PUB_KEY_ID_0119000001002026112200000001", _rsa_key()),
            merchant_serial=secrets.token_hex(20).upper(),
            merchant_key=_rsa_key(),
        ),
    )
    return {voice.account: voice for voice in voices}


def impostors_of(voices: Mapping[str, Voice]) -> dict[str, Voice]:
    """The same accounts with keys that nobody configured."""
    return {account: _impostor_of(voice) for account, voice in voices.items()}


def _impostor_of(voice: Voice) -> Voice:
    match voice:
        case StripeVoice():
            return msgspec.structs.replace(voice, secret=_stripe_secret())
        case AlipayVoice():
            return msgspec.structs.replace(voice, private_key=_rsa_key())
        case WeChatPayVoice():
            return msgspec.structs.replace(voice, key=WeChatPayKey(voice.key.serial, _rsa_key()))
        case _:
            raise AssertionError(f"nobody can imitate {voice.gateway}")


def voices_of(settings: Settings) -> dict[str, Voice]:
    """The accounts of a configuration that a stranger to the gateway can play: Stripe's, which signs with a secret
    that both sides know, and of those no live ones."""
    return {
        name: StripeVoice(account=name, secret=account.webhook_secrets[0], api_key=account.api_key or "")
        for name, account in settings.accounts.items()
        if isinstance(account, StripeSettings) and not LIVE_BY_KEY_PREFIX.get((account.api_key or "")[:8])
    }


def write_config(
    path: Path,
    voices: Mapping[str, Voice],
    *,
    database_url: str,
    broker_url: str | None,
    port: int,
    token: str,
    bases: Mapping[str, str] = MappingProxyType({}),
    more: str = "",
) -> None:
    """A configuration file for these accounts, beside it a file for each secret; for our eyes only.

    `bases` tells where the gateway of an account is asked, `more` are tables of settings besides.
    """
    lines = [
        f"database_url = {_secret(path, 'database_url', database_url)}",
        f"api_tokens = [{_secret(path, 'api_token', token)}]",
    ]
    if broker_url is not None:
        lines.append(f"broker_url = {_secret(path, 'broker_url', broker_url)}")
    lines += ["[ingest]", f"port = {port}"]
    for voice in voices.values():
        lines += [f"[accounts.{voice.account}]", f'gateway = "{voice.gateway}"', *_settings(path, voice)]
        if voice.account in bases:
            lines.append(f'api_base = "{bases[voice.account]}{API_PATHS[voice.gateway]}"')
    _write(path, "\n".join([*lines, more]))


def _settings(path: Path, voice: Voice) -> list[str]:
    match voice:
        case StripeVoice():
            return [
                f"webhook_secrets = [{_secret(path, 'stripe_webhook_secret', voice.secret)}]",
                f"api_key = {_secret(path, 'stripe_api_key', voice.api_key)}",
            ]
        case AlipayVoice():
            return [
                f'app_id = "{voice.app_id}"',
                f'seller_id = "{voice.seller_id}"',
                f"alipay_public_key = {_secret(path, 'alipay_public_key', _public_pem(voice.private_key))}",
                f"app_private_key = {_secret(path, 'alipay_app_private_key', _private_pem(voice.app_key))}",
            ]
        case WeChatPayVoice():
            public_key = _secret(path, "wechatpay_public_key", _public_pem(voice.key.private_key))
            return [
                f'mch_id = "{voice.mch_id}"',
                f'app_id = "{voice.app_id}"',
                f"apiv3_key = {_secret(path, 'wechatpay_apiv3_key', voice.apiv3_key)}",
                f'public_keys = {{ "{voice.key.serial}" = {public_key} }}',
                f'merchant_serial = "{voice.merchant_serial}"',
                f"merchant_private_key = {_secret(path, 'wechatpay_merchant_key', _private_pem(voice.merchant_key))}",
            ]
        case _:
            raise AssertionError(f"nobody configures {voice.gateway}")


def _secret(path: Path, name: str, secret: str) -> str:
    """Keeps a secret in a file of its own and returns how the configuration names it."""
    kept = path.with_name(name)
    _write(kept, secret)
    return f"'file:{kept}'"


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(f"{text}\n")


def _stripe_secret() -> str:
    return f"whsec_{secrets.token_hex(16)}"


def _rsa_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=RSA_BITS)


def _public_pem(key: RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _private_pem(key: RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
