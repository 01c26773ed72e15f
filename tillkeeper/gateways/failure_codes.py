"""Collects the gateways' codes for failures, each with its class, for whoever asks what a code means."""

from collections.abc import Mapping
from typing import Final

import msgspec

from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.adyen.items import RAW_REASONS, REASONS
from tillkeeper.gateways.alipay.objects import FAILURES as ALIPAY
from tillkeeper.gateways.braintree.objects import DECLINES, REJECTIONS
from tillkeeper.gateways.checkout.objects import FAILURES as CHECKOUT
from tillkeeper.gateways.gocardless.objects import CAUSES
from tillkeeper.gateways.mercadopago.objects import FAILURES as MERCADOPAGO
from tillkeeper.gateways.mollie.objects import FAILURES as MOLLIE
from tillkeeper.gateways.paypal.codes import FAILURES as PAYPAL
from tillkeeper.gateways.razorpay.objects import FAILURES as RAZORPAY
from tillkeeper.gateways.shengpay.objects import FAILURES as SHENGPAY
from tillkeeper.gateways.square.objects import FAILURES as SQUARE
from tillkeeper.gateways.stripe.objects import FAILURES as STRIPE
from tillkeeper.gateways.stripe.objects import REFUND_FAILURES as STRIPE_REFUNDS
from tillkeeper.gateways.wechatpay.objects import FAILURES as WECHATPAY

# Gateways that say why in sentences, as Lakala and Paystack do, have no codes to look up.
TABLES: Final[tuple[tuple[str, Mapping[str, FailureClass]], ...]] = (
    ("adyen", REASONS),
    ("adyen", RAW_REASONS),
    ("alipay", ALIPAY),
    ("braintree", DECLINES),
    ("braintree", REJECTIONS),
    ("checkout", CHECKOUT),
    ("gocardless", CAUSES),
    ("mercadopago", MERCADOPAGO),
    ("mollie", MOLLIE),
    ("paypal", PAYPAL),
    ("razorpay", RAZORPAY),
    ("shengpay", SHENGPAY),
    ("square", SQUARE),
    ("stripe", STRIPE),
    ("stripe", STRIPE_REFUNDS),
    ("wechatpay", WECHATPAY),
)


class KnownCode(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway's code, and the class of failure that it is."""

    gateway: str
    code: str
    failure: FailureClass


_KNOWN: Final[dict[str, dict[tuple[str, str], KnownCode]]] = {}
for _gateway, _table in TABLES:
    for _code, _failure in _table.items():
        _known = KnownCode(gateway=_gateway, code=_code, failure=_failure)
        _KNOWN.setdefault(_code.lower(), {})[_gateway, _code] = _known


def meanings_of(code: str) -> tuple[KnownCode, ...]:
    """Returns what a code means at each gateway that has it, in whatever case it is written."""
    return tuple(_KNOWN.get(code.lower(), {}).values())
