"""Defines the settings of a PayPal account, and describes the gateway for docs/gateways.md."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalSecret
from tillkeeper.gateways.paypal.certificates import certificate_in, live_of, trust_in


class PayPalSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "paypal"`."""

    gateway: Literal["paypal"]
    webhook_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = Field(
        description="The id that PayPal gave your webhook.  It is signed: a delivery for another webhook is refused."
    )
    merchant_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="Your merchant id, where the app also acts for others: what names another payee changes nothing.",
    )
    client_id: str | None = Field(default=None, min_length=1, description="The REST app's client id, to ask PayPal.")
    client_secret: OptionalSecret = Field(default=None, description="The REST app's secret, beside its client id.")
    confirm_by_query: bool = Field(
        default=True,
        description="Ask PayPal about each payment, refund and won dispute that a delivery tells of, for only a "
        "checksum of it is signed.  Without client_id and client_secret nobody can ask, and they count as they are.",
    )
    certs: Mapping[str, str] = Field(
        default_factory=dict,
        max_length=8,
        description="Certificates by their URLs, as PEM with their intermediates, where this host may not fetch them.",
    )
    trusted_ca: str | None = Field(
        default=None,
        description="Authorities as PEM that PayPal's certificates must be issued under; else those that browsers "
        "trust.",
    )
    api_base: ApiBase = "https://api-m.paypal.com"

    @field_validator("certs")
    @classmethod
    def _certs_can_be_read(cls, certs: Mapping[str, str]) -> Mapping[str, str]:
        if any(live_of(url) is None for url in certs):
            raise ValueError("certs stand by URLs such as https://api.paypal.com/v1/notifications/certs/CERT-...")
        for pem in certs.values():
            certificate_in(pem)
        return certs

    @field_validator("trusted_ca")
    @classmethod
    def _trust_can_be_read(cls, bundle: str | None) -> str | None:
        if bundle is not None:
            trust_in(bundle)
        return bundle

    @model_validator(mode="after")
    def _client_is_whole(self) -> Self:
        if (self.client_id is None) != (self.client_secret is None):
            raise ValueError("give both client_id and client_secret, or neither")
        return self


ABOUT: Final = About(
    title="PayPal",
    verifies="RSA with SHA-256 over the transmission's id and time, your webhook's id and the CRC-32 of the body, by a "
    "certificate of PayPal's own name that a public authority issued",
    uncovered="The body itself is signed by its CRC-32 alone, which can be forged: whoever gets hold of a delivery can "
    "send another text under its signature. So successes, refunds and won disputes are asked for at PayPal before they "
    "count, unless `confirm_by_query` is off or no client is configured",
    dedupes_by="the event's `id`, which PayPal keeps when it sends again",
    acknowledges="200 without a body",
    queries="captures by their ids, orders as `order-ID` (with captures, authorizations, refunds), authorizations as "
    "`authorization-ID`, sales of the first API as `sale-ID`; refunds by their ids; not by the order reference; that "
    "PayPal took a payment back is told by webhook alone",
    refunds_seen="each refund where the order is asked about, that all went back where the capture is",
    set_up_with=("client_id", "client_secret"),
    checked="the text to be signed is made by the package `paypalrestsdk`; all else by documents",
    sources=(
        'PayPal\'s pages "Integrate webhooks" and "Webhook event names"; its references of Orders, Payments, Disputes',
        "the package `paypalrestsdk`",
        "PayPal-Python-SDK issue 91: a refund made on the website names no sale",
        "not confirmed: whether PAYMENT.CAPTURE.REVERSED shows a capture or a refund (both are read); card codes",
        "not confirmed: whether a capture that was taken back says so when it is asked about",
    ),
)
