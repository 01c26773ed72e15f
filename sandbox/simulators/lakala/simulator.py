"""Simulates Lakala: its cashier, whose notices are signed over time, nonce and body."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, cast

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tillkeeper.sandbox.keys import new_rsa_key
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.lakala.api import LakalaApi
from tillkeeper.sandbox.simulators.lakala.signing import LakalaSigner, pay_order_no
from tillkeeper.sandbox.simulators.lakala.templates import EVENT_TYPES, TEMPLATES, UNTOLD
from tillkeeper.sandbox.story import Story, StoryEvent


def certificate_of(
    key: RSAPrivateKey,
    *,
    since: datetime = datetime(2020, 1, 1, tzinfo=UTC),
    until: datetime = datetime(2050, 1, 1, tzinfo=UTC),
) -> str:
    """Returns a certificate of this key, as PEM."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sandbox lkl-apigw")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    numbered = builder.serial_number(x509.random_serial_number()).not_valid_before(since).not_valid_after(until)
    return numbered.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def new_signer(account: str) -> LakalaSigner:
    """Returns a merchant with fresh keys on both sides."""
    return LakalaSigner(
        account=account,
        merchant_no="82216205947000G",
        app_id="OP00000003",
        serial="00dfba8194c41b84cf",
        key=new_rsa_key(),
        merchant_key=new_rsa_key(),
    )


def _impostor(signer: Signer) -> Signer:
    return msgspec.structs.replace(cast("LakalaSigner", signer), key=new_rsa_key())


def _settings(signer: Signer) -> Mapping[str, Setting]:
    ours = cast("LakalaSigner", signer)
    private = ours.merchant_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "merchant_no": ours.merchant_no,
        "platform_cert": Secret(certificate_of(ours.key)),
        "cashier": True,
        "app_id": ours.app_id,
        "merchant_serial": ours.serial,
        "merchant_private_key": Secret(private.decode()),
    }


def _event_id_of(story: Story, event: StoryEvent) -> str:
    """Returns the trade's number and what became of it; or the order's, which nobody tried to pay."""
    kind, _, status = event.event_type.partition(".")
    if kind == "ORDER":
        return f"{pay_order_no(story)}:order:{status}"
    return f"{story.payment_ref if kind == 'PAY' else event.refund_ref}:{kind}:{status}"


SIMULATOR: Final = Simulator(
    gateway="lakala",
    event_types=EVENT_TYPES,
    fetched=frozenset({UNTOLD}),
    event_id_of=_event_id_of,
    templates=TEMPLATES,
    currencies=("CNY",),
    payment_prefix="2026100566210",
    new_signer=new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: LakalaApi(cast("LakalaSigner", signer), ledger),
)
