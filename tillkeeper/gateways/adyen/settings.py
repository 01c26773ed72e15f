"""Defines the settings of an Adyen account, and describes the gateway for docs/gateways.md."""

import re
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, Secrets
from tillkeeper.gateways.adyen.methods import CAPTURED_BY_HAND, WITHOUT_CAPTURE

KEY_HEX_DIGITS: Final = 64  # 32 bytes, as the Customer Area makes them
METHODS_MAX: Final = 200  # of one setting; Adyen has some 250 in all
_HEX: Final = re.compile(r"([0-9A-Fa-f]{2})+", re.ASCII)

MethodNames = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}\*?$")], ...], Field(max_length=METHODS_MAX)
]


class AdyenSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "adyen"`."""

    gateway: Literal["adyen"]
    hmac_keys: Secrets = Field(
        description="The HMAC keys of the standard webhook, in hexadecimal as the Customer Area shows them.  Name the "
        "old one too until its last repetitions are through."
    )
    merchant_account: str = Field(
        min_length=1,
        pattern=r"^[^:]+$",
        description="The merchant account code.  What a company's webhook tells of its others changes nothing.",
    )
    auto_capture: bool = Field(
        default=True,
        description="Whether Adyen captures by itself, so that what is authorized is paid.  If false, each capture "
        "pays its part.  Some payment methods keep to neither; the next two settings name them.",
    )
    methods_without_capture: MethodNames = Field(
        default=WITHOUT_CAPTURE,
        description="Methods that are paid once authorized although auto_capture is false, for they have no separate "
        "capture; * stands for whatever follows.  Adyen does not sign which method it was: with [] none counts before "
        "its CAPTURE.",
    )
    methods_captured_by_hand: MethodNames = Field(
        default=CAPTURED_BY_HAND,
        description="Methods that are paid by their CAPTURE alone although auto_capture is true, as pay-later methods "
        "are unless Adyen's support changed that for you.",
    )
    multiple_captures: bool = Field(
        default=True,
        description="Whether an authorization stays open after a capture of a part, as it does where Adyen's support "
        "switched on multiple partial captures.  If false, a capture lets go of the rest, so that payers may be asked "
        "to pay it.",
    )
    live: bool | None = Field(
        default=None,
        description="Whether the account is of the live environment: deliveries of the other are refused.  Without it "
        "both are taken.",
    )

    @field_validator("hmac_keys")
    @classmethod
    def _are_hexadecimal(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_HEX.fullmatch(key) for key in keys):
            raise ValueError("an HMAC key is not hexadecimal; copy it as the Customer Area shows it")
        if any(len(key) < KEY_HEX_DIGITS for key in keys):
            raise ValueError(f"an HMAC key has {KEY_HEX_DIGITS} hexadecimal digits; copy all of it")
        return keys


ABOUT: Final = About(
    title="Adyen",
    verifies="HMAC-SHA256 over eight fields of each item; several keys at once; no time is signed",
    uncovered="`reason`, `eventDate`, `live` and the rest of `additionalData` are not signed: they tell why and when "
    "(which of two words on one refund or dispute is the later), and neither references nor amounts hang on them. "
    "Nor is `paymentMethod`: where `auto_capture` is false it decides whether an authorized payment has a capture to "
    "come (`methods_without_capture`), so that whoever could change it on the way could have goods leave for money "
    "that is authorized and not yet captured. TLS protects them, and an item repeated with others changes nothing and "
    "opens a case",
    dedupes_by="`pspReference`, `eventCode` and `success`",
    acknowledges="200 with the body `[accepted]`",
    refunds_seen="nothing: there is no query; register refunds, or make them in your own systems",
    checked="the package `Adyen` signs and verifies",
    sources=(
        "the package `Adyen`, `util.py`",
        "Adyen/adyen-openapi, `json/Webhooks-v1.json`",
        'docs.adyen.com, "Dispute webhooks", "Refusal reasons", "Failure reasons", "Currency codes and minor units"',
        "adyen-magento2 and Adyen's connector for commercetools: which methods have no separate capture",
        "not confirmed: that CAPTURE_FAILED, REFUND_FAILED and REFUNDED_REVERSED carry the pspReference of what failed",
    ),
)
