"""The discrete-event loop: from one due moment to the next, with nothing in between.

registrations (ahead, each with its own time) ─> the merchant's refunds ─> webhooks ─> sweeps ─> the next moment
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from tillkeeper.domain.order.refund_registration import AskedRefund
from tillkeeper.domain.order.registration import Payer, Registration
from tillkeeper.sandbox.scenarios.delivery_faults import ArrivingWebhook
from tillkeeper.sandbox.scenarios.system import System
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.story import Story

STEP: Final = timedelta(seconds=10)  # moments closer than this are taken together: the error of every time measured
AHEAD: Final = timedelta(minutes=15)  # orders are registered that long before, each under its own time
ASKED_BACK: Final = frozenset({"refund asked", "REFUND.PROCESSING"})  # what merchants ask for, and so know of


class _Act(NamedTuple):
    at: datetime
    number: int
    refund: AskedRefund | None
    arrival: ArrivingWebhook | None


class MerchantOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What merchants say with a registration."""

    expires_after: Mapping[str, timedelta]  # by gateway; none: never
    mail: Callable[[Story], Payer | None] = lambda _: None


class Simulation:
    """One run of one house from the first order until `until`."""

    def __init__(
        self,
        system: System,
        signers: Mapping[str, Signer],
        *,
        stories: Sequence[Story],
        arrivals: Iterable[ArrivingWebhook],
        merchant: MerchantOptions,
        sweeps: bool,
    ) -> None:
        self._system = system
        self._signers = signers
        self._merchant = merchant
        self._sweeps = sweeps
        self._orders = deque(sorted(stories, key=lambda story: story.started_at))
        refunds = [asked for story in stories for asked in refunds_asked_for(story)]
        timed = [(at, refund, None) for at, refund in refunds] + [(each.at, None, each) for each in arrivals]
        acts = [_Act(at, number, refund, arrival) for number, (at, refund, arrival) in enumerate(timed)]
        self._acts = deque(sorted(acts, key=lambda act: (act.at, act.number)))
        self.steps = 0

    async def run(self, *, until: datetime, show: Callable[[datetime], None]) -> None:
        """Goes from moment to moment."""
        clock = self._system.clock
        while (at := await self._next(clock.now())) is not None and at <= until:
            clock.advance_to(at)
            await self._register(at + AHEAD)
            due = self._take(at)
            await self._system.register_refunds([act.refund for act in due if act.refund is not None])
            await self._system.receive([self._signed(act.arrival) for act in due if act.arrival is not None])
            if self._sweeps:
                await self._system.run_due_work()
            self.steps += 1
            show(at)
        clock.advance_to(until)

    async def _next(self, now: datetime) -> datetime | None:
        """Returns the next moment, STEP after the last one or later."""
        coming = [self._acts[0].at] if self._acts else []
        coming += [self._orders[0].started_at] if self._orders else []
        soonest = min(coming, default=None)
        if self._sweeps and (soonest is None or soonest > now + STEP):
            due = await self._system.next_due()
            soonest = min((moment for moment in (soonest, due) if moment is not None), default=None)
        return None if soonest is None else max(soonest, now + STEP)

    async def _register(self, until: datetime) -> None:
        coming = []
        while self._orders and self._orders[0].started_at <= until:
            story = self._orders.popleft()
            coming.append((story.started_at, self._registration(story)))
        if coming:
            await self._system.register(coming)

    def _registration(self, story: Story) -> Registration:
        expires_after = self._merchant.expires_after.get(self._signers[story.account].gateway)
        return Registration(
            order_ref=story.order_ref,
            amount=story.amount,
            currency=story.due_currency,
            accounts=(story.due_at,),
            payer=self._merchant.mail(story),
            pay_url=f"https://shop.example/pay/{story.order_ref}",
            expires_at=None if expires_after is None else story.started_at + expires_after,
        )

    def _take(self, until: datetime) -> list[_Act]:
        due = []
        while self._acts and self._acts[0].at <= until:
            due.append(self._acts.popleft())
        return due

    def _signed(self, arrival: ArrivingWebhook) -> tuple[datetime, str, tuple[dict[str, str], bytes]]:
        story = arrival.story
        signed = self._signers[story.account].sign(story, arrival.event, now=arrival.at, again=arrival.again)
        return arrival.at, story.account, signed


def refunds_asked_for(story: Story) -> list[tuple[datetime, AskedRefund]]:
    """Returns what the merchant's system tells of refunds, for it asked for them."""
    return [
        (
            event.at,
            AskedRefund(
                order_ref=story.order_ref,
                account=story.account,
                refund_ref=event.refund_ref,
                payment_ref=story.payment_ref,
                amount=event.amount,
            ),
        )
        for event in story.events
        if event.event_type in ASKED_BACK
    ]
