"""Deliveries as Stripe and WeChat Pay send them: bodies of real size and shape, signed with keys of one's own."""

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

Json = dict[str, Any]
Signed = tuple[dict[str, str], bytes]  # headers and body of one POST

SHANGHAI: Final = timezone(timedelta(hours=8))


def stripe_delivery(secret: str, now: datetime, event_type: str, subject: Json, /, **event: Any) -> Signed:
    """A signed delivery of one event about one object; `event` are fields of the event, such as `id` or `created`."""
    return stripe_signed(secret, now, stripe_body(now, event_type, subject, **event))


def stripe_signed(secret: str, now: datetime, body: bytes) -> Signed:
    """Any body with Stripe's headers."""
    timestamp = str(int(now.timestamp()))
    signature = hmac.digest(secret.encode(), timestamp.encode() + b"." + body, "sha256").hex()
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": f"t={timestamp},v1={signature}",
    }, body


def stripe_body(now: datetime, event_type: str, subject: Json, /, **event: Any) -> bytes:
    """The event around an object, laid out as Stripe lays it out."""
    seconds = int(now.timestamp())
    return json.dumps(
        {
            "id": f"evt_{_word(event_type, subject['id'], seconds)}",
            "object": "event",
            "api_version": "2025-09-30.clover",
            "created": seconds,
            "data": {"object": subject},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": f"req_{_word(subject['id'])[:14]}", "idempotency_key": None},
            "type": event_type,
        }
        | event,
        indent=2,
        ensure_ascii=False,
    ).encode()


def stripe_payment_intent(payment_ref: str, amount: int, currency: str, order_ref: str | None, /, **more: Any) -> Json:
    """A PaymentIntent that succeeded, unless `more` says otherwise; amounts in Stripe's units."""
    return {
        "id": payment_ref,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": amount,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{payment_ref}_secret_{_word(payment_ref)}",
        "confirmation_method": "automatic",
        "created": 1_790_000_000,
        "currency": currency.lower(),
        "customer": None,
        "description": "Order at the till",
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": charge_ref_of(payment_ref),
        "livemode": False,
        "metadata": {} if order_ref is None else {"order_id": order_ref},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": f"pm_{_word('method', payment_ref)}",
        "payment_method_configuration_details": {"id": f"pmc_{_word('configuration')}", "parent": None},
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            },
            "link": {"persistent_token": None},
        },
        "payment_method_types": ["card", "link"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    } | more


def charge_ref_of(payment_ref: str) -> str:
    """The one charge of an intent."""
    return f"ch_{payment_ref.removeprefix('pi_')}"


def session_ref_of(payment_ref: str) -> str:
    """The checkout session in which an intent is paid."""
    return f"cs_test_{payment_ref.removeprefix('pi_')}"


def stripe_refund(refund_ref: str, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """A Refund that succeeded, unless `more` says otherwise."""
    return {
        "id": refund_ref,
        "object": "refund",
        "amount": amount,
        "balance_transaction": f"txn_{_word('transaction', refund_ref)}",
        "charge": charge_ref_of(payment_ref),
        "created": 1_790_000_000,
        "currency": currency.lower(),
        "destination_details": {
            "card": {
                "reference": "8004719386295471",
                "reference_status": "available",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        "metadata": {},
        "payment_intent": payment_ref,
        "reason": "requested_by_customer",
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    } | more


def stripe_session(session_ref: str, payment_ref: str | None, amount: int, currency: str, /, **more: Any) -> Json:
    """A checkout session that is complete and paid, unless `more` says otherwise."""
    return {
        "id": session_ref,
        "object": "checkout.session",
        "amount_subtotal": amount,
        "amount_total": amount,
        "cancel_url": "https://shop.example/cart",
        "client_reference_id": None,
        "created": 1_790_000_000,
        "currency": currency.lower(),
        "customer_details": {"email": "payer@shop.example", "name": "Ada 王", "tax_exempt": "none"},
        "expires_at": 1_790_086_400,
        "livemode": False,
        "metadata": {},
        "mode": "payment",
        "payment_intent": payment_ref,
        "payment_method_types": ["card"],
        "payment_status": "paid",
        "status": "complete",
        "success_url": "https://shop.example/thanks",
        "url": None,
    } | more


def stripe_charge(charge_ref: str, payment_ref: str | None, amount: int, currency: str, /, **more: Any) -> Json:
    """A captured charge, unless `more` says otherwise."""
    return {
        "id": charge_ref,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": 0,
        "balance_transaction": f"txn_{_word('transaction', charge_ref)}",
        "billing_details": {"address": {"country": "DE", "postal_code": "10115"}, "email": None, "name": "Ada 王"},
        "captured": True,
        "created": 1_790_000_000,
        "currency": currency.lower(),
        "disputed": False,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "outcome": {"network_status": "approved_by_network", "reason": None, "risk_level": "normal"},
        "paid": True,
        "payment_intent": payment_ref,
        "payment_method_details": {"card": {"brand": "visa", "country": "DE", "last4": "4242"}, "type": "card"},
        "refunded": False,
        "status": "succeeded",
    } | more


def stripe_dispute(dispute_ref: str, payment_ref: str, amount: int, currency: str, /, **more: Any) -> Json:
    """A dispute that waits for the merchant's word, unless `more` says otherwise."""
    return {
        "id": dispute_ref,
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge_ref_of(payment_ref),
        "created": 1_790_000_000,
        "currency": currency.lower(),
        "evidence_details": {"due_by": 1_790_600_000, "has_evidence": False, "past_due": False, "submission_count": 0},
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": payment_ref,
        "reason": "product_not_received",
        "status": "needs_response",
    } | more


class WeChatPayKey(msgspec.Struct, frozen=True):
    """A key of WeChat Pay's: a platform certificate's serial or a public key's id, and the private half."""

    serial: str
    private_key: RSAPrivateKey


def wechatpay_delivery(
    key: WeChatPayKey, apiv3_key: str, now: datetime, event_type: str, resource: Json, /, **notice: Any
) -> Signed:
    """A signed notice; the resource is encrypted within.  `notice` are fields of the notice, such as `id`, and
    `original_type`, which stands within its resource."""
    plain = json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()
    return wechatpay_signed(key, now, wechatpay_body(apiv3_key, now, event_type, plain, **notice))


def wechatpay_signed(key: WeChatPayKey, now: datetime, body: bytes) -> Signed:
    """Any body with WeChat Pay's headers."""
    timestamp, nonce = str(int(now.timestamp())), _word("header", body.hex())
    signature = key.private_key.sign(f"{timestamp}\n{nonce}\n".encode() + body + b"\n", PKCS1v15(), SHA256())
    return {
        "Content-Type": "application/json",
        "User-Agent": "Mozilla/4.0",
        "Wechatpay-Timestamp": timestamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Serial": key.serial,
        "Wechatpay-Signature": b64encode(signature).decode(),
        "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
    }, body


def wechatpay_body(
    apiv3_key: str, now: datetime, event_type: str, plain: bytes, /, original_type: str | None = None, **notice: Any
) -> bytes:
    """The notice around any plaintext, whose kind the event_type does not always tell."""
    kind = original_type or ("refund" if event_type.startswith("REFUND") else "transaction")
    nonce = _word(event_type, plain.hex())[:12]
    sealed = AESGCM(apiv3_key.encode()).encrypt(nonce.encode(), plain, kind.encode())
    return json.dumps(
        {
            "id": _word(event_type, plain.hex(), "id"),
            "create_time": rfc3339(now),
            "resource_type": "encrypt-resource",
            "event_type": event_type,
            "summary": "支付成功" if kind == "transaction" else "退款结果",
            "resource": {
                "original_type": kind,
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": b64encode(sealed).decode(),
                "associated_data": kind,
                "nonce": nonce,
            },
        }
        | notice,
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def wechatpay_certificates(apiv3_key: str, certificates: Sequence[x509.Certificate]) -> bytes:
    """The list of platform certificates, each encrypted for the merchant."""
    listed = []
    for certificate in certificates:
        nonce = _word("certificate", str(certificate.serial_number))[:12]
        pem = certificate.public_bytes(Encoding.PEM)
        sealed = AESGCM(apiv3_key.encode()).encrypt(nonce.encode(), pem, b"certificate")
        listed.append(
            {
                "serial_no": f"{certificate.serial_number:X}",
                "effective_time": rfc3339(certificate.not_valid_before_utc),
                "expire_time": rfc3339(certificate.not_valid_after_utc),
                "encrypt_certificate": {
                    "algorithm": "AEAD_AES_256_GCM",
                    "nonce": nonce,
                    "associated_data": "certificate",
                    "ciphertext": b64encode(sealed).decode(),
                },
            }
        )
    return json.dumps({"data": listed}, separators=(",", ":")).encode()


def platform_certificate(key: WeChatPayKey, now: datetime) -> x509.Certificate:
    """A certificate of the key's, valid for years around now; for a public key, one that it might have had."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tenpay.com Root CA")])
    is_hex = not key.serial.startswith("PUB_KEY_ID_")
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.private_key.public_key())
        .serial_number(int(key.serial if is_hex else key.serial.removeprefix("PUB_KEY_ID_"), 16))
        .not_valid_before(now - timedelta(days=365))
        .not_valid_after(now + timedelta(days=4 * 365))
        .sign(key.private_key, SHA256())
    )


def wechatpay_transaction(
    *, mch_id: str, app_id: str, order_ref: str, payment_ref: str, amount: int, at: datetime, **more: Any
) -> Json:
    """The resource of a paid transaction, amounts in fen."""
    return {
        "mchid": mch_id,
        "appid": app_id,
        "out_trade_no": order_ref,
        "transaction_id": payment_ref,
        "trade_type": "JSAPI",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "CMB_DEBIT",
        "attach": "",
        "success_time": rfc3339(at),
        "payer": {"openid": f"o{_word(order_ref)[:27]}"},
        "amount": {"total": amount, "payer_total": amount, "currency": "CNY", "payer_currency": "CNY"},
    } | more


def wechatpay_refund(
    *,
    mch_id: str,
    order_ref: str,
    payment_ref: str,
    refund_ref: str,
    refund: int,
    total: int,
    at: datetime,
    **more: Any,
) -> Json:
    """The resource of a refund that succeeded, amounts in fen; `total` is what the payment was."""
    return {
        "mchid": mch_id,
        "transaction_id": payment_ref,
        "out_trade_no": order_ref,
        "refund_id": refund_ref,
        "out_refund_no": f"R{order_ref}",
        "refund_status": "SUCCESS",
        "success_time": rfc3339(at),
        "user_received_account": "招商银行信用卡0403",
        "amount": {"total": total, "refund": refund, "payer_total": total, "payer_refund": refund},
    } | more


def wechatpay_refund_id(out_refund_no: str) -> str:
    """WeChat Pay's own number for a refund, which is not the merchant's."""
    return f"5030{int(_word('refund', out_refund_no), 16) % 10**24:024d}"


def rfc3339(at: datetime) -> str:
    """A time as WeChat Pay writes it, in Shanghai's."""
    return at.astimezone(SHANGHAI).replace(microsecond=0).isoformat()


def _word(*parts: object) -> str:
    """Twenty-four letters and digits that look drawn by chance and are the same for the same parts."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:24]
