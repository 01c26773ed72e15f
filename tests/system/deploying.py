"""The files of deploy/, for tests."""

import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tillkeeper.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
EXAMPLE = (DEPLOY / "tillkeeper.toml").read_text()
SECRETS = "/run/secrets"


def certificate(key: rsa.RSAPrivateKey, name: str, *, serial: int, issuer: str | None = None) -> str:
    def called(common_name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])

    builder = x509.CertificateBuilder(
        issuer_name=called(issuer or name),
        subject_name=called(name),
        public_key=key.public_key(),
        serial_number=serial,
        not_valid_before=datetime(2026, 1, 1, tzinfo=UTC),
        not_valid_after=datetime(2126, 1, 1, tzinfo=UTC),
    ).add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def make_secrets(directory: Path) -> Path:
    """Passwords of one's own, and keys such as gateways hand out."""
    directory.mkdir()
    serial = next(iter(tomllib.loads(EXAMPLE)["accounts"]["wechat-main"]["platform_certs"]))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    root = certificate(key, "root", serial=1)
    for name, text in {
        "database_url": "postgresql://tillkeeper:hunter2@postgres:5432/tillkeeper",
        "broker_url": "amqp://tillkeeper:hunter2@rabbitmq:5672/tillkeeper",
        "envelope_key": token_hex(24),
        "api_token": token_hex(24),
        "stripe_webhook_secret": "whsec_of_the_configuration_shipped",
        "stripe_api_key": "sk_test_of_the_example",
        "alipay_public_key": "".join(public.splitlines()[1:-1]),
        "alipay_cert.pem": certificate(key, "alipay", serial=2, issuer="root"),
        "alipay_root_cert.pem": root,
        "wechatpay_apiv3_key": "0123456789abcdef0123456789ABCDEF",
        "wechatpay_platform_cert.pem": certificate(key, "wechat", serial=int(serial, 16)),
        "wechatpay_public_key.pem": public,
    }.items():
        (directory / name).write_text(f"{text}\n")
    return directory


def loaded(text: str, secrets: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in a text, its secrets lying in `secrets`."""
    path = secrets.parent / "tillkeeper.toml"
    path.write_text(text.replace(f"file:{SECRETS}/", f"file:{secrets}/"))
    return load_settings(path, environ or {})


def secrets_named_in(text: str) -> list[str]:
    live = [line for line in text.splitlines() if not line.startswith("#")]
    return re.findall(rf"{SECRETS}/([\w.]+)", "\n".join(live))
