"""Defines what the bodies of the orders API hold, in requests and in responses, field by field.

ingest/registration.py and ingest/refunds.py decode these types, ingest/orders.py and ingest/health.py encode them, and
ingest/openapi.py publishes them with their descriptions.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tillkeeper.domain.events import REF_CHARS_MAX
from tillkeeper.domain.money import AMOUNT_MINOR_MAX, EXPONENTS
from tillkeeper.ingest.payer_fields import EMAIL, LOCALE, PHONE
from tillkeeper.notices.addresses import ADDRESS_CHARS_MAX, URL_CHARS_MAX

ACCOUNTS_MAX: Final = 100
PAYMENTS_MAX: Final = 100
INSTALMENTS_MAX: Final = 120  # ten years of months

Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MINOR_MAX)]
Ref = Annotated[str, Meta(min_length=1, max_length=REF_CHARS_MAX)]
Moment = Annotated[datetime, Meta(tz=True)]


class ClaimedPaymentBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A payment that you know to be for this order."""

    account: Annotated[Ref, Meta(description="One of the order's accounts.")]
    payment_ref: Annotated[
        Ref,
        Meta(description="The gateway's name for it: Stripe's pi_..., Alipay's trade_no, WeChat Pay's transaction_id."),
    ]


class PayerBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach the payer; without an address they are sent no mail."""

    email: Annotated[
        str | None,
        Meta(
            description="One mail address, without a name.",
            extra_json_schema={"pattern": f"^{EMAIL.pattern}$", "maxLength": ADDRESS_CHARS_MAX},
        ),
    ] = None
    phone: Annotated[
        str | None,
        Meta(
            description="For people who look after the order; nothing is sent to it.",
            extra_json_schema={"pattern": f"^{PHONE.pattern}$"},
        ),
    ] = None
    locale: Annotated[
        str | None,
        Meta(
            description="The language of mails: zh-CN.  Chinese locales read Chinese, all others English; without "
            "one `notify.default_locale` holds.",
            extra_json_schema={"pattern": f"^{LOCALE.pattern}$"},
        ),
    ] = None


class InstalmentBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the amount, with its own deadline."""

    amount: Annotated[Amount, Meta(description="In minor units of the order's currency.")]
    due_at: Annotated[Moment, Meta(description="When it must be paid: RFC 3339 with its offset, years 2000 to 2199.")]


class OrderBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order as you register it.  Its terms never change: the same body again is `unchanged`, another one is 409."""

    amount: Annotated[
        Amount, Meta(description="What is due, in minor units of the currency: 12900 is 129.00 CNY, and 12900 JPY.")
    ]
    currency: Annotated[
        str, Meta(description="ISO 4217, three capital letters.", extra_json_schema={"enum": sorted(EXPONENTS)})
    ]
    accounts: Annotated[
        tuple[Ref, ...],
        Meta(
            min_length=1,
            max_length=ACCOUNTS_MAX,
            description="The configured accounts at which it may be paid.  Money at any other counts for nothing and "
            "opens a case.",
        ),
    ]
    payments: Annotated[
        tuple[ClaimedPaymentBody, ...],
        Meta(
            max_length=PAYMENTS_MAX,
            description="Payments that you know already; their webhooks need not name the order.",
        ),
    ] = ()
    payer: Annotated[PayerBody | None, Meta(description="Whom to send mails, and in which language.")] = None
    pay_url: Annotated[
        str | None,
        Meta(
            description="Where the payer can pay: the button in mails.  Plain http or https without a login; what is "
            "not ASCII is encoded.",
            extra_json_schema={"pattern": "^https?://", "maxLength": URL_CHARS_MAX},
        ),
    ] = None
    expires_at: Annotated[
        Moment | None,
        Meta(
            description="Until when it may be paid: RFC 3339 with an offset or Z, years 2000 to 2199.  Before it "
            "expires its gateway is asked."
        ),
    ] = None
    instalments: Annotated[
        tuple[InstalmentBody, ...],
        Meta(max_length=INSTALMENTS_MAX, description="A plan of payment, whose amounts add up to the order's."),
    ] = ()


class RefundBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A refund that you requested from the gateway."""

    account: Annotated[Ref, Meta(description="The account at which you requested it, one of the order's.")]
    amount: Annotated[Amount, Meta(description="In minor units of the order's currency.")]
    payment_ref: Annotated[
        Ref | None,
        Meta(description="The payment that it is of.  Some gateways can be asked about a refund only with it."),
    ] = None


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a registration."""

    order_ref: Annotated[str, Meta(description="The order's reference, decoded.")]
    registration: Annotated[
        Literal["created", "unchanged"],
        Meta(
            description="`unchanged`: it was registered before, with the same terms. Of an order whose payer's data "
            "was erased, `payer` and `pay_url` are neither compared nor kept."
        ),
    ]


class RefundRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a refund's registration."""

    order_ref: Annotated[str, Meta(description="The order's reference, decoded.")]
    refund_ref: Annotated[str, Meta(description="The refund's reference, decoded.")]
    refund: Annotated[
        Literal["created", "unchanged"], Meta(description="`unchanged`: it was registered before, and says the same.")
    ]


class RefundWithdrawn(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a refund's withdrawal."""

    order_ref: Annotated[str, Meta(description="The order's reference, decoded.")]
    refund_ref: Annotated[str, Meta(description="The refund's reference, decoded.")]
    refund: Annotated[Literal["withdrawn", "unchanged"], Meta(description="`unchanged`: it was withdrawn before.")]


class Problem(msgspec.Struct, frozen=True):
    """Why a request was refused.  Every error has this body."""

    error: Annotated[str, Meta(description="What was wrong, and what would be right; never what was sent.")]


class Alive(msgspec.Struct, frozen=True):
    """The process runs."""

    alive: Annotated[Literal[True], Meta(description="Always true.")] = True


class Ready(msgspec.Struct, frozen=True):
    """The receiver can take deliveries."""

    ready: Annotated[Literal[True], Meta(description="Always true.")] = True
