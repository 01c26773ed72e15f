"""What a merchant's system registers: the terms of an order, which never change."""

from datetime import datetime

import msgspec

from tillkeeper.domain.ladder import Phase, first_due
from tillkeeper.domain.order.state import next_due_at
from tillkeeper.domain.order.terms import Instalment
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import Status


class ClaimedPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that the merchant says belongs to the order."""

    account: str
    payment_ref: str


class Payer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom to tell, and in which language."""

    email: str | None = None
    phone: str | None = None
    locale: str | None = None


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What a merchant's system says it sells.  `amount` is in minor units of `currency`."""

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
    """The order is registered already and says something else in `field`."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


def refuse_difference(registration: Registration, known: Registration) -> None:
    """Raises Contradiction where the order is registered with other terms."""
    for field in Registration.__struct_fields__:
        said, before = getattr(registration, field), getattr(known, field)
        if field in ("accounts", "payments"):
            said, before = set(said), set(before)
        if said != before:
            raise Contradiction(field)


def first_look(registration: Registration, *, policy: Policy, now: datetime) -> datetime | None:
    """When the sweep must look at an order of which nothing is heard."""
    accounts = set(registration.accounts)
    ladder = policy.ladder(Status.UNPAID, accounts.pop() if len(accounts) == 1 else None)
    due_at = next_due_at(registration.instalments, captured=0)
    return first_due(ladder, Phase(began_at=now, expires_at=registration.expires_at, next_due_at=due_at), now)
