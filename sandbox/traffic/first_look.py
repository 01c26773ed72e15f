"""Leaves three things for a first look at the desk, as a day leaves them: docs/desk.md goes through them.

SHOP-1042   its payer paid, and the webhook that says so is lost: whoever has the gateway asked sees the truth arrive
SHOP-1043   its payer paid, and the checkout wrote the letter O for a zero: the money waits for a person to bind it
SHOP-1044   paid; the notice of a refund is parked, for its worker ended each time: a person tries it, and replays it
"""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

import asyncpg
import msgspec

from tillkeeper import clock
from tillkeeper.domain.delivery import Delivery
from tillkeeper.domain.order.registration import Registration
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.messages import Request
from tillkeeper.loops import pause
from tillkeeper.policy import load_policy
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.servers import ServerFailed
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.story import ExpectedOrder, Story, StoryEvent
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.deliveries.parked import park_event
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.case_list import Filters, list_cases

ACCOUNT: Final = "alipay-main"  # where a sandbox does not play it, there is nothing to look at
LOST, MISTYPED, PARKED = "SHOP-1042", "SHOP-1043", "SHOP-1044"
AS_TYPED: Final = "SHOP-1O43"
AGO: Final = timedelta(minutes=47)  # orders that stand for half an hour are called stuck
SWEPT_WITHIN_S: Final = 60.0  # the sweep looks once a second
LOOK_S: Final = 0.05
WORKER_ENDED: Final = "its worker ended before the transaction did, every time it was handed out"


class FirstLook:
    """What the gateway knows, and what it told, of three orders that begin at `at`."""

    def __init__(self, signer: Signer, gateway: Gateway, *, at: datetime) -> None:
        self._signer = signer
        self._gateway = gateway
        self._policy: Policy = load_policy()
        self._run = uuid4()
        self._at = at
        self.lost = self._story(LOST, "2026112222001466881402837156", 12_900, "WAIT_BUYER_PAY")
        self.mistyped = self._story(AS_TYPED, "2026112222001466881402990417", 25_800, "TRADE_SUCCESS")
        self.parked = self._story(PARKED, "2026112222001466881402551860", 9_900, "TRADE_SUCCESS", "refunded")

    @property
    def stories(self) -> tuple[Story, ...]:
        """All three."""
        return self.lost, self.mistyped, self.parked

    def paid_after_all(self, now: datetime) -> Story:
        """Returns the first order's story when its payer has paid."""
        paid = self._event(self.lost.order_ref, "TRADE_SUCCESS", len(self.lost.events), self.lost.amount, now)
        return msgspec.structs.replace(self.lost, events=(*self.lost.events, paid))

    async def leave(self, pool: asyncpg.Pool) -> None:
        """Registers the orders, and has applied what their gateway told; but for what is lost, waits or is parked."""
        for story, order_ref in ((self.lost, LOST), (self.mistyped, MISTYPED), (self.parked, PARKED)):
            terms = Registration(order_ref=order_ref, amount=story.amount, currency="CNY", accounts=(ACCOUNT,))
            await register(pool, terms, policy=self._policy, now=self._at)
        told = list(self._deliveries())
        refund = told.pop()
        await repeat_on_conflict(
            pool,
            lambda conn: apply_deliveries(conn, told, policy=self._policy, now=told[-1].received_at),
        )
        async with pool.acquire() as conn:
            [event] = refund.events
            error, now = WORKER_ENDED, refund.received_at
            await park_event(conn, refund, event, reason="delivery_limit", error=error, now=now)

    def _deliveries(self) -> Iterator[Delivery]:
        """Yields a delivery for each event, the refund's last."""
        told = [(story, event) for story in self.stories for event in story.events]
        for number, (story, event) in enumerate(told, 1):
            received_at = event.at + timedelta(seconds=1)
            headers, body = self._signer.sign(story, event, now=received_at, again=0)
            request = Request({name.lower(): (value,) for name, value in headers.items()}, body)
            verified = self._gateway.verify(request, received_at)
            yield Delivery(
                run=self._run,
                number=number,
                account=ACCOUNT,
                received_at=received_at,
                key=verified.key,
                headers=tuple((name.lower(), value) for name, value in headers.items()),
                body=body,
                events=tuple(self._gateway.parse(verified)),
            )

    def _story(self, order_ref: str, payment_ref: str, amount: int, *event_types: str) -> Story:
        told = (amount, amount // 3)  # what is paid, and what goes back of it
        events = tuple(
            self._event(order_ref, event_type, step, told[step], self._at + timedelta(minutes=1 + 9 * step))
            for step, event_type in enumerate(event_types)
        )
        return Story(
            name="a first look",
            account=ACCOUNT,
            order_ref=order_ref,
            payment_ref=payment_ref,
            amount=amount,
            currency="CNY",
            due_currency="CNY",
            due_at=ACCOUNT,
            started_at=self._at,
            events=events,
            expected=ExpectedOrder(status=Status.UNPAID, paid=0, refunded=0),  # people decide
        )

    def _event(self, order_ref: str, event_type: str, step: int, amount: int, at: datetime) -> StoryEvent:
        return StoryEvent(
            event_type=event_type,
            event_id=f"look_{order_ref}_{step}",
            at=at.replace(microsecond=0),
            amount=amount,
            refund_ref=f"RF-{order_ref}",
        )


async def leave_first_look(
    pool: asyncpg.Pool, *, signer: Signer, gateway: Gateway, ledger: Ledger, stop: asyncio.Event
) -> None:
    """Leaves all three, and ends when the sweep has asked about the first, to no avail, and opened its case; its payer
    pays then.

    Raises ServerFailed where no sweep does.
    """
    look = FirstLook(signer, gateway, at=clock.now() - AGO)
    for story in look.stories:
        ledger.add(story)
    await look.leave(pool)
    until_s = clock.monotonic_s() + SWEPT_WITHIN_S
    while not await _has_case(pool) and not stop.is_set():
        if clock.monotonic_s() > until_s:
            raise ServerFailed(f"tillkeeper run has not swept {LOST} in {SWEPT_WITHIN_S:g} s")
        await pause(stop, LOOK_S)
    ledger.add(look.paid_after_all(clock.now()))


async def _has_case(pool: asyncpg.Pool) -> bool:
    async with pool.acquire() as conn:
        return bool(await list_cases(conn, Filters(kind="stuck"), limit=1))
