"""Generates stories by chance: the same (seed, index) gives the same story."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Final

from tillkeeper.sandbox.simulators.registry import simulator_of
from tillkeeper.sandbox.story import ExpectedOrder, Story, StoryEvent, bare
from tillkeeper.sandbox.templates import Event, Template

STARTED_AGO_S: Final = (600, 3600)  # gateway times lie behind us, as they do in a redelivery
HUNDREDS: Final = (5, 2_500)  # an amount in hundreds: every tenth of it is whole, and ends in 0 as Stripe's KWD must


def generate_story(
    seed: int,
    index: int,
    *,
    run: str,
    now: datetime,
    accounts: Mapping[str, str],
    templates: Mapping[str, Sequence[Template]] | None = None,
    started_ago_s: tuple[int, int] = STARTED_AGO_S,
) -> Story:
    """Returns the story of the order `index`.  `run` begins its references; `accounts` names the gateway of each
    account.

    `templates` by gateway are told instead of those of the gateways' plays.
    """
    chance = Random(f"{seed}:{index}")  # noqa: S311 - to be repeatable is the purpose
    account = chance.choice(sorted(accounts))
    gateway = accounts[account]
    simulator = simulator_of(gateway)
    told = simulator.templates if templates is None else templates[gateway]
    template = _pick(chance, told, lonely=len(accounts) == 1)
    started_at = (now - timedelta(seconds=chance.randint(*started_ago_s))).replace(microsecond=0)
    amount = chance.randint(*HUNDREDS) * 100
    currency, due_currency = _currencies(chance, template, simulator.currencies)
    order_ref = f"{run}-{index:06d}"
    return Story(
        name=f"{gateway}: {template.name}",
        account=account,
        order_ref=order_ref,
        payment_ref=f"{prefix}{bare(order_ref)}" if (prefix := simulator_of(gateway).payment_prefix) else order_ref,
        amount=amount,
        currency=currency,
        due_currency=due_currency,
        due_at=chance.choice(sorted(accounts.keys() - {account})) if template.at_other_account else account,
        started_at=started_at,
        events=_events(chance, template.events, order_ref, amount, started_at),
        expected=ExpectedOrder(
            status=template.status, paid=amount // 10 * template.paid, refunded=amount // 10 * template.refunded
        ),
    )


def _pick(chance: Random, templates: Sequence[Template], *, lonely: bool) -> Template:
    told = [template for template in templates if not (lonely and template.at_other_account)]
    return chance.choices(told, weights=[template.weight for template in told])[0]


def _currencies(chance: Random, template: Template, known: Sequence[str]) -> tuple[str, str]:
    """In which currency the order is paid, and in which it is due."""
    if template.in_other_currency:
        paid, due = chance.sample(known, 2)
        return paid, due
    return (only := chance.choice(known)), only


def _events(
    chance: Random, templates: Sequence[Event], order_ref: str, amount: int, started_at: datetime
) -> tuple[StoryEvent, ...]:
    events, at = list[StoryEvent](), started_at
    for step, say in enumerate(templates):
        at += timedelta(seconds=chance.choice(say.after_s))
        events.append(
            StoryEvent(
                event_type=say.event_type,
                event_id=f"evt_{bare(order_ref)}{step:02d}",
                at=at,
                amount=amount // 10 * say.tenths,
                refund_ref=f"re_{bare(order_ref)}{say.part}",
            )
        )
    return tuple(events)
