"""Reads the body of PUT /orders, checked field by field; every refusal says what would be right."""

from collections.abc import Collection, Iterator
from datetime import UTC
from typing import Final

import msgspec

from tillkeeper.domain.money import BadMoney, exponent
from tillkeeper.domain.order.registration import ClaimedPayment, Instalment, Payer, Registration
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import strictjson
from tillkeeper.ingest.api_types import OrderBody, PayerBody
from tillkeeper.ingest.payer_fields import as_link, email_problems, link_problems, locale_problems, phone_problems

YEARS: Final = range(2000, 2200)  # the database and every time zone can express these


class BadRegistration(Exception):
    """The request's body is wrong; the text says why, in words for the caller."""


def registration_of(order_ref: str, body: bytes, *, accounts: Collection[str]) -> Registration:
    """Reads the registration in a request's body.  Raises BadRegistration."""
    try:
        order = msgspec.convert(strictjson.loads(body), OrderBody)
    except BadPayload as error:
        raise BadRegistration(error.reason) from None
    except msgspec.ValidationError as error:
        raise BadRegistration(str(error)) from None
    for problem in _problems(order, accounts):
        raise BadRegistration(problem)
    return _registration(order_ref, order)


def _problems(order: OrderBody, accounts: Collection[str]) -> Iterator[str]:
    payer = order.payer or PayerBody()
    checked = {
        "payer.email": email_problems(payer.email),
        "payer.phone": phone_problems(payer.phone),
        "payer.locale": locale_problems(payer.locale),
        "pay_url": link_problems(as_link(order.pay_url)),
    }
    for name, problems in checked.items():
        yield from (f"$.{name}: {problem}" for problem in problems)
    try:
        exponent(order.currency)
    except BadMoney as error:
        yield f"currency: {error}"
    for name in order.accounts:
        if name not in accounts:
            yield f"accounts: one of them is not configured; known are {', '.join(sorted(accounts)) or 'none'}"
    for payment in order.payments:
        if payment.account not in order.accounts:
            yield "payments: each account must be one of the order's accounts"
    if order.instalments and sum(each.amount for each in order.instalments) != order.amount:
        yield "instalments: their amounts must add up to the order's amount"
    for moment in (order.expires_at, *(each.due_at for each in order.instalments)):
        if moment is not None and moment.year not in YEARS:
            yield f"a time must lie between the years {YEARS.start} and {YEARS.stop - 1}"


def _registration(order_ref: str, order: OrderBody) -> Registration:
    payer = order.payer
    return Registration(
        order_ref=order_ref,
        amount=order.amount,
        currency=order.currency,
        accounts=order.accounts,
        payments=tuple(
            ClaimedPayment(account=payment.account, payment_ref=payment.payment_ref) for payment in order.payments
        ),
        payer=Payer(email=payer.email, phone=payer.phone, locale=payer.locale) if payer else None,
        pay_url=as_link(order.pay_url),
        expires_at=order.expires_at.astimezone(UTC) if order.expires_at else None,
        instalments=tuple(
            Instalment(amount=instalment.amount, due_at=instalment.due_at.astimezone(UTC))
            for instalment in order.instalments
        ),
    )
