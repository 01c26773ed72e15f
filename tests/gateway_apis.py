"""Gateways with books, a clock that stands where the test puts it, and their APIs on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from tillkeeper import clock
from tillkeeper.domain.statuses import Status
from tillkeeper.sandbox.apis.faults import Faults
from tillkeeper.sandbox.apis.query_log import QueryLog
from tillkeeper.sandbox.apis.server import serving
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.apis import api_handlers
from tillkeeper.sandbox.simulators.registry import ledger_of
from tillkeeper.sandbox.story import ExpectedOrder, Story, StoryEvent, bare

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PREFIX = {"stripe": "pi_", "alipay": "20261122", "wechatpay": "42000000"}
SLOW_S = 0.2


class Gateways:
    """The APIs of all three, and what their books say."""

    def __init__(self, signers: dict[str, Signer]) -> None:
        self.signers = signers
        self.ledger = ledger_of({account: signer.gateway for account, signer in signers.items()})
        self.log = QueryLog()
        self.begins = self.now = NOON

    def tells(self, account: str, *words: tuple, order_ref: str = "T-000001", amount: int = 12900) -> Story:
        """Enters a story: each word with its minute, and the refund's number and amount where it is about one."""
        gateway = self.signers[account].gateway
        story = Story(
            name="of a test",
            account=account,
            order_ref=order_ref,
            payment_ref=PREFIX[gateway] + bare(order_ref),
            amount=amount,
            currency="EUR" if gateway == "stripe" else "CNY",
            due_currency="EUR" if gateway == "stripe" else "CNY",
            due_at=account,
            started_at=self.begins,
            events=tuple(
                StoryEvent(
                    event_type=event_type,
                    event_id=f"evt_{bare(order_ref)}{at:02d}",
                    at=self.begins + timedelta(minutes=minute),
                    amount=refund[1] if refund else amount,
                    refund_ref=f"re_{bare(order_ref)}{refund[0] if refund else ''}",
                )
                for at, (event_type, minute, *refund) in enumerate(words)
            ),
            expected=ExpectedOrder(status=Status.UNPAID, paid=0, refunded=0),
        )
        self.ledger.add(story)
        return story

    def begin_an_hour_ago(self) -> None:
        """For packages that read the clock themselves."""
        self.begins = clock.now().replace(microsecond=0) - timedelta(hours=1)

    def at_minute(self, minute: float) -> None:
        self.now = self.begins + timedelta(minutes=minute)

    @asynccontextmanager
    async def open(self, *periods) -> AsyncIterator[dict[str, str]]:
        """Their APIs; yields where each is."""
        apis = api_handlers(
            self.signers, self.ledger, now=lambda: self.now, log=self.log, faults=Faults(periods), slow_s=SLOW_S
        )
        async with serving(apis) as bases:
            yield bases
