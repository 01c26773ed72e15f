"""The story of one order: what is due, what the gateway says and when, and how it must end.  (seed, index) tells it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Final

import msgspec

from sandbox.plays import find
from sandbox.templates import Say, Template
from tillkeeper.domain.order.status import Status

STARTED_AGO_S: Final = (600, 3600)  # gateway times lie behind us, as they do in a redelivery
HUNDREDS: Final = (5, 2_500)  # an amount in hundreds: every tenth of it is whole, and ends in 0 as Stripe's KWD must


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """How an order ends.  Sums in minor units of the order's currency; `paid` is before refunds."""

    status: Status
    paid: int
    refunded: int


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened at the gateway, and that it tells under its own word for it."""

    word: str
    event_id: str
    at: datetime
    amount: int
    refund_ref: str


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """One order from its registration to its end.  Amounts in minor units."""

    name: str
    account: str  # where it is paid
    order_ref: str
    payment_ref: str
    amount: int
    currency: str  # in which it is paid
    due_currency: str
    due_at: str  # the account at which payment is expected
    started_at: datetime
    happenings: tuple[Happening, ...]
    truth: Truth

    @property
    def registration(self) -> dict[str, object]:
        """The body of PUT /orders/{order_ref}."""
        return {"amount": self.amount, "currency": self.due_currency, "accounts": [self.due_at]}


def tell(
    seed: int,
    index: int,
    *,
    run: str,
    now: datetime,
    accounts: Mapping[str, str],
    templates: Mapping[str, Sequence[Template]] | None = None,
    started_ago_s: tuple[int, int] = STARTED_AGO_S,
) -> Story:
    """The story of the order `index`.  `run` begins its references; `accounts` names the gateway of each account.

    `templates` by gateway are told instead of those of the gateways' plays.
    """
    chance = Random(f"{seed}:{index}")  # noqa: S311 - to be repeatable is the purpose
    account = chance.choice(sorted(accounts))
    gateway = accounts[account]
    play = find(gateway)
    told = play.templates if templates is None else templates[gateway]
    template = _pick(chance, told, lonely=len(accounts) == 1)
    started_at = (now - timedelta(seconds=chance.randint(*started_ago_s))).replace(microsecond=0)
    amount = chance.randint(*HUNDREDS) * 100
    currency, due_currency = _currencies(chance, template, play.currencies)
    order_ref = f"{run}-{index:06d}"
    return Story(
        name=f"{gateway}: {template.name}",
        account=account,
        order_ref=order_ref,
        payment_ref=f"{prefix}{bare(order_ref)}" if (prefix := find(gateway).payment_prefix) else order_ref,
        amount=amount,
        currency=currency,
        due_currency=due_currency,
        due_at=chance.choice(sorted(accounts.keys() - {account})) if template.at_other_account else account,
        started_at=started_at,
        happenings=_happenings(chance, template.says, order_ref, amount, started_at),
        truth=Truth(
            status=template.status, paid=amount // 10 * template.paid, refunded=amount // 10 * template.refunded
        ),
    )


def bare(order_ref: str) -> str:
    """An order's reference as part of a gateway's own, which have letters and digits only."""
    return order_ref.replace("-", "")


def _pick(chance: Random, templates: Sequence[Template], *, lonely: bool) -> Template:
    told = [it for it in templates if not (lonely and it.at_other_account)]
    return chance.choices(told, weights=[it.weight for it in told])[0]


def _currencies(chance: Random, template: Template, known: Sequence[str]) -> tuple[str, str]:
    """In which currency the order is paid, and in which it is due."""
    if template.in_other_currency:
        paid, due = chance.sample(known, 2)
        return paid, due
    return (only := chance.choice(known)), only


def _happenings(
    chance: Random, says: Sequence[Say], order_ref: str, amount: int, started_at: datetime
) -> tuple[Happening, ...]:
    happenings, at = list[Happening](), started_at
    for step, say in enumerate(says):
        at += timedelta(seconds=chance.choice(say.after_s))
        happenings.append(
            Happening(
                word=say.word,
                event_id=f"evt_{bare(order_ref)}{step:02d}",
                at=at,
                amount=amount // 10 * say.tenths,
                refund_ref=f"re_{bare(order_ref)}{say.part}",
            )
        )
    return tuple(happenings)
