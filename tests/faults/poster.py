"""Gateways that insist: every webhook is sent until it is settled, and every answer is written down."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from tests.faults.stories import CURRENCIES, Sale, Webhook
from tillkeeper import clock
from tillkeeper.loops import pause

CONNECTIONS: Final = 16
PATIENCE_S: Final = 10.0  # a gateway hangs up after five to thirty seconds
INSIST_S: Final = 120.0  # then something is wrong that waiting does not cure
PAUSE_FIRST_S: Final = 0.1
PAUSE_MAX_S: Final = 1.0  # real ones wait minutes; nobody learns more from that


@dataclass(frozen=True)
class Answer:
    """What came back, and when; an exception's name where no status did."""

    at_s: float
    took_s: float
    said: int | str

    @property
    def accepted(self) -> bool:
        return isinstance(self.said, int) and 200 <= self.said < 300

    @property
    def refused(self) -> bool:
        return isinstance(self.said, int) and 400 <= self.said < 500

    @property
    def failed(self) -> bool:
        return isinstance(self.said, int) and self.said >= 500

    @property
    def cut_off(self) -> bool:
        """A receiver was reached, and did not answer."""
        return isinstance(self.said, str) and self.said != "ClientConnectorError"


@dataclass(eq=False)
class Sent:
    """One webhook and every answer to it.  The log is a list of these."""

    webhook: Webhook
    answers: list[Answer] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        return sum(answer.accepted for answer in self.answers)

    @property
    def unknown(self) -> int:
        """Attempts that may be durable although nobody said so."""
        return sum(answer.cut_off or answer.failed for answer in self.answers)


class Poster:
    """All gateways at once, over a few connections."""

    def __init__(self, base_url: str, http: aiohttp.ClientSession, token: str) -> None:
        self.log: list[Sent] = []
        self.accepted = 0
        self._base_url = base_url
        self._http = http
        self._token = token
        self._news = asyncio.Condition()

    @classmethod
    @asynccontextmanager
    async def open(cls, base_url: str, *, token: str) -> AsyncIterator["Poster"]:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS * 2)
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
            yield cls(base_url, http, token)

    async def post(self, webhooks: Sequence[Webhook], *, per_s: float) -> None:
        """Sends them, no faster than so many a second, and returns when all are settled."""
        began_s = clock.monotonic_s()
        due = ((began_s + number / per_s, webhook) for number, webhook in enumerate(webhooks))
        await asyncio.gather(*(self._send_each(due) for _ in range(CONNECTIONS)))

    async def register(self, sales: Sequence[Sale]) -> None:
        """The merchant's side: orders over HTTP, each until it is said to be registered."""
        left = iter(sales)
        await asyncio.gather(*(self._register_each(left) for _ in range(CONNECTIONS // 4)))

    async def until_accepted(self, more: int, *, within_s: float = 120.0) -> None:
        """Returns when so many more webhooks have been accepted."""
        await self.until_total(self.accepted + more, within_s=within_s)

    async def until_total(self, goal: int, *, within_s: float = 120.0) -> None:
        """Returns when so many webhooks have been accepted in all."""
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(lambda: self.accepted >= goal)

    @property
    def answers(self) -> list[Answer]:
        """Every answer to every attempt."""
        return [answer for sent in self.log for answer in sent.answers]

    def longest_stall_s(self, *, since_s: float) -> float:
        """The longest time since then in which nothing was accepted."""
        moments = sorted(answer.at_s for answer in self.answers if answer.accepted and answer.at_s >= since_s)
        return max((after - before for before, after in itertools.pairwise(moments)), default=0.0)

    async def _send_each(self, due: Iterator[tuple[float, Webhook]]) -> None:
        for at_s, webhook in due:
            await _pause(at_s - clock.monotonic_s())
            sent = Sent(webhook)
            self.log.append(sent)
            await _insist(lambda sent=sent: self._attempt(sent))

    async def _attempt(self, sent: Sent) -> bool:
        """Sends once; True when there is nothing more to say: accepted, or refused for good."""
        began_s = clock.monotonic_s()
        headers, body = sent.webhook.signed(clock.now())
        said = await self._request("POST", f"/webhooks/{sent.webhook.account}", headers=headers, data=body)
        now_s = clock.monotonic_s()
        answer = Answer(now_s, now_s - began_s, said)
        sent.answers.append(answer)
        if answer.accepted:
            async with self._news:
                self.accepted += 1
                self._news.notify_all()
        return answer.accepted or answer.refused

    async def _register_each(self, sales: Iterator[Sale]) -> None:
        for sale in sales:
            await _insist(lambda sale=sale: self._register(sale))

    async def _register(self, sale: Sale) -> bool:
        order = {"amount": sale.amount, "currency": CURRENCIES[sale.account], "accounts": [sale.account]}
        headers = {"Authorization": f"Bearer {self._token}"}
        said = await self._request("PUT", f"/orders/{sale.order_ref}", headers=headers, json=order)
        assert said in (200, 201, 503) or isinstance(said, str), f"{sale.order_ref}: {said}"
        return said in (200, 201)

    async def _request(self, method: str, path: str, **options) -> int | str:
        try:
            async with self._http.request(method, self._base_url + path, **options) as response:
                await response.read()
                return response.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return type(error).__name__


async def _insist(attempt: Callable[[], object]) -> None:
    """Tries with growing pauses; what is not settled in time stays so, and the log says it."""
    until_s = clock.monotonic_s() + INSIST_S
    pause_s = PAUSE_FIRST_S
    while not await attempt() and clock.monotonic_s() < until_s:
        await _pause(pause_s)
        pause_s = min(pause_s * 2, PAUSE_MAX_S)


async def _pause(seconds: float) -> None:
    if seconds > 0:
        await pause(asyncio.Event(), seconds)
