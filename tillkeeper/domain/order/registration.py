"""Defines the terms of an order, which the merchant registers and which never change."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.ladder import Phase, first_due
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import Status


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A registered order: what is due, and at which accounts."""

    order_ref: str
    amount: int
    currency: str
    accounts: frozenset[str]


class Instalment(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the amount with its own deadline.  `amount` is in minor units of the order's currency."""

    amount: int
    due_at: datetime


class ClaimedPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that the merchant says belongs to the order."""

    account: str
    payment_ref: str


class Payer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The payer's contact and language."""

    email: str | None = None
    phone: str | None = None
    locale: str | None = None


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A registration by a merchant's system.  `amount` is in minor units of `currency`."""

    order_ref: str
    amount: int
    currency: str
    accounts: tuple[str, ...]
    payments: tuple[ClaimedPayment, ...] = ()
    payer: Payer | None = None
    pay_url: str | None = None
    expires_at: datetime | None = None
    instalments: tuple[Instalment, ...] = ()


class Contradiction(Exception):
    """The order is registered already with another value of `field`."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


PERSONAL_FIELDS: Final = frozenset({"payer", "pay_url"})  # what `tillkeeper erase` removes from an order's terms


def refuse_difference(registration: Registration, known: Registration, *, erased: bool = False) -> None:
    """Raises Contradiction where the order is registered with other terms.

    Where its payer's data was erased, there is nothing left to compare theirs with.
    """
    for field in Registration.__struct_fields__:
        if erased and field in PERSONAL_FIELDS:
            continue
        said, before = getattr(registration, field), getattr(known, field)
        if field in ("accounts", "payments"):
            said, before = set(said), set(before)
        if said != before:
            raise Contradiction(field)


def next_instalment(instalments: Sequence[Instalment], captured: int) -> Instalment | None:
    """Returns the first, by deadline, that is not covered; None where all are, or where there is no plan.

    Its amount is the part that is still missing.
    """
    covered = captured
    for instalment in sorted(instalments, key=lambda part: part.due_at):
        if covered < instalment.amount:
            return Instalment(amount=instalment.amount - covered, due_at=instalment.due_at)
        covered -= instalment.amount
    return None


def next_due_at(instalments: Sequence[Instalment], captured: int) -> datetime | None:
    """Returns when the next instalment that is not covered is due."""
    following = next_instalment(instalments, captured) if instalments else None
    return following.due_at if following else None


def first_look(registration: Registration, *, policy: Policy, now: datetime) -> datetime | None:
    """Returns when the sweep must look at an order of which no event comes."""
    accounts = set(registration.accounts)
    ladder = policy.ladder(Status.UNPAID, accounts.pop() if len(accounts) == 1 else None)
    due_at = next_due_at(registration.instalments, captured=0)
    return first_due(ladder, Phase(began_at=now, expires_at=registration.expires_at, next_due_at=due_at), now)
