"""Which payment methods Adyen captures at once, and which it captures only when told to: decision 18 has the reasons.

Sources: docs.adyen.com, "Capture" of point of sale (Alipay and WeChat Pay), "Klarna and RatePay open invoice" (captured
by hand even where others are captured by themselves), pages of the methods; adyen-magento2, `PaymentMethodUtil.php` and
`PaymentMethods.php`; Adyen's connector for commercetools, `payment-method.config.ts`.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from tillkeeper.gateways.adyen.items import Item, method_of
from tillkeeper.gateways.kit.fields import at

# As `paymentMethod` names them; * stands for whatever follows.
WITHOUT_CAPTURE: Final = (
    "alipay*",
    "bankTransfer*",
    "bcmc",
    "bcmc_mobile",
    "blik",
    "dana",
    "directEbanking",
    "doku_*",
    "dotpay",
    "dragonpay_*",
    "duitnow",
    "ebanking_FI",
    "econtext_*",
    "eps",
    "gcash",
    "giropay",
    "grabpay*",
    "ideal",
    "kakaopay*",
    "mbway",
    "molpay_*",
    "momo*",
    "multibanco",
    "onlineBanking*",
    "oxxo",
    "paybybank*",
    "payconiq*",
    "paynow",
    "paysafecard",
    "promptpay",
    "swish",
    "trustly*",
    "upi*",
    "wechatpay*",
)
CAPTURED_BY_HAND: Final = (
    "affirm*",
    "afterpay*",
    "billie*",
    "clearpay*",
    "facilypay*",
    "klarna*",
    "paybright*",
    "ratepay*",
    "riverty*",
    "walley*",
    "zip*",
)


class Methods:
    """Some of the methods, by exact names and by what names begin with."""

    def __init__(self, names: Iterable[str]) -> None:
        folded = [name.casefold() for name in names]
        self._exact = frozenset(folded)
        self._beginnings = tuple(name.removesuffix("*") for name in folded if name.endswith("*"))

    def have(self, method: str | None) -> bool:
        """Whether the method is among them; an unknown one is not."""
        if method is None:
            return False
        folded = method.casefold()
        return folded in self._exact or folded.startswith(self._beginnings)


class CaptureMode:
    """Whether what is authorized counts at once, by the account and by the payment's method."""

    def __init__(self, *, auto_capture: bool, without_capture: Sequence[str], by_hand: Sequence[str]) -> None:
        self._auto_capture = auto_capture
        self._without_capture, self._by_hand = Methods(without_capture), Methods(by_hand)

    def is_at_once(self, item: Item) -> bool:
        """`operations`, what can still be done with the payment, is not signed either: it can only say no."""
        if self._auto_capture:
            return not self._by_hand.have(method_of(item))
        operations = at(item.whole, ["operations"])
        can_be_captured = isinstance(operations, list) and "CAPTURE" in operations
        return self._without_capture.have(method_of(item)) and not can_be_captured
