"""Lists which payment methods Adyen captures at once, and which only on request: decision 18 has the reasons.

Sources: docs.adyen.com, "Capture" of point of sale (Alipay and WeChat Pay), "Klarna and RatePay open invoice" (captured
by hand even where others are captured by themselves), pages of the methods; adyen-magento2, `PaymentMethodUtil.php` and
`PaymentMethods.php`; Adyen's connector for commercetools, `payment-method.config.ts`.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from tillkeeper.gateways.adyen.items import AdyenItem, method_of
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
    """A set of methods, by exact names and by what names begin with."""

    def __init__(self, names: Iterable[str]) -> None:
        folded = [name.casefold() for name in names]
        self._exact = frozenset(folded)
        self._beginnings = tuple(name.removesuffix("*") for name in folded if name.endswith("*"))

    def __contains__(self, method: str | None) -> bool:
        """Returns whether the method is among them; an unknown one is not."""
        if method is None:
            return False
        folded = method.casefold()
        return folded in self._exact or folded.startswith(self._beginnings)


class CaptureMode:
    """How an account captures: at once or by hand, by the payment's method, and what a capture leaves of the rest."""

    def __init__(
        self,
        *,
        auto_capture: bool,
        without_capture: Sequence[str],
        by_hand: Sequence[str],
        releases_rest: bool,
    ) -> None:
        self._auto_capture = auto_capture
        self._without_capture, self._by_hand = Methods(without_capture), Methods(by_hand)
        self.releases_rest = releases_rest

    def counts_at_once(self, item: AdyenItem) -> bool:
        """Returns whether the payment counts once it is authorized.

        `operations`, what can still be done with the payment, is not signed either: it can only say no.
        """
        if self._auto_capture:
            return method_of(item) not in self._by_hand
        operations = at(item.raw, ["operations"])
        can_be_captured = isinstance(operations, list) and "CAPTURE" in operations
        return method_of(item) in self._without_capture and not can_be_captured
