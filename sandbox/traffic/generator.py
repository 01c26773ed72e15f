"""Generates traffic: opens orders at a steady rate, posts what is due, and posts again what was not accepted."""

import asyncio
from collections.abc import Mapping
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Final, NamedTuple, assert_never

import aiohttp
from yarl import URL

from tillkeeper import clock
from tillkeeper.loops import pause
from tillkeeper.sandbox.forgery import Forger
from tillkeeper.sandbox.formats import Signed
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.registry import simulator_of
from tillkeeper.sandbox.story_generator import generate_story
from tillkeeper.sandbox.traffic.posting_log import PostingLog
from tillkeeper.sandbox.traffic.schedule import Act, Deliver, Forge, Register, actions_of

TICK_S: Final = 0.02  # how often it is looked for what is due
BURST_S: Final = 0.25  # what a busy machine missed beyond this is not made up for: the rate falls, and shows it
OPENED_MAX: Final = 40  # orders in one tick; 5,000 posts a second, more than two cores answer
IN_FLIGHT_MAX: Final = 64  # posts at once; gateways use more, two cores have no use for them
ANSWER_S: Final = 10.0  # the patience of a middling gateway
RETRY_S: Final = (0.5, 1.0, 2.0, 4.0)  # gateways wait for minutes; a player of seconds cannot
FORGED_ANSWERS: Final = (400, 401)
NOT_NOW: Final = (408, 429)  # besides every 5xx


class _Due(NamedTuple):
    """An act on the agenda; the number keeps acts of one instant from being compared."""

    at_s: float
    number: int
    act: Act
    attempts: int


class TrafficGenerator:
    """Plays the gateways and the merchant against one receiver.  `session` knows its address, and the token."""

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        signers: Mapping[str, Signer],
        forger: Forger,
        log: PostingLog,
        ledger: Ledger,
        seed: int,
        run: str,
        rate: float,
    ) -> None:
        self.session = session
        self._signers = signers
        self._gateways = {account: signer.gateway for account, signer in signers.items()}
        self._forger = forger
        self._log = log
        self._ledger = ledger
        self._seed = seed
        self._run = run
        self._rate = rate
        self._chance = Random(f"{seed}:mischief")  # noqa: S311 - to be repeatable is the purpose
        self._schedule: list[_Due] = []
        self._numbers = count()
        self._orders = count()
        self._in_flight = 0

    @property
    def held_back(self) -> int:
        """Acts that are still to come, or that no answer has come to."""
        return len(self._schedule) + self._in_flight

    async def generate(self, stop: asyncio.Event, *, until_s: float) -> None:
        """Opens orders and posts what is due until `stop` is set or the time has come."""
        allowance, before_s = 0.0, clock.monotonic_s()
        async with asyncio.TaskGroup() as posts:
            while not stop.is_set() and (now_s := clock.monotonic_s()) < until_s:
                allowance = min(allowance + self._rate * (now_s - before_s), max(1.0, self._rate * BURST_S))
                before_s = now_s
                for _ in range(OPENED_MAX):
                    if allowance < 1 or self._is_behind(now_s):
                        break
                    allowance -= self._open_order(now_s)
                self._post_due(posts, now_s)
                await pause(stop, TICK_S)

    async def finish(self, *, until_s: float) -> None:
        """Posts at once what is held back, and goes on until all is answered or the time is over."""
        now_s = clock.monotonic_s()
        self._schedule = sorted(due._replace(at_s=now_s) for due in self._schedule)  # a sorted list is a heap
        async with asyncio.TaskGroup() as posts:
            while self.held_back and clock.monotonic_s() < until_s:
                self._post_due(posts, clock.monotonic_s())
                await asyncio.sleep(TICK_S)

    def _is_behind(self, now_s: float) -> bool:
        """Returns whether what is due waits for answers to what was posted: then more orders would only wait with
        it."""
        return bool(self._schedule) and self._schedule[0].at_s < now_s - BURST_S

    def _open_order(self, now_s: float) -> int:
        """Puts a new order on the agenda; returns how many posts that makes, and 1 for an order without any."""
        story = generate_story(self._seed, next(self._orders), run=self._run, now=clock.now(), accounts=self._gateways)
        self._log.opened(story, history_event_ids=simulator_of(self._gateways[story.account]).history_event_ids(story))
        self._ledger.add(story)
        acts = actions_of(story, self._chance)
        for act in acts:
            self._enter(act, at_s=now_s + act.after_s)
        return max(1, sum(not isinstance(act, Register) for act in acts))

    def _enter(self, act: Act, *, at_s: float, attempts: int = 0) -> None:
        heappush(self._schedule, _Due(at_s, next(self._numbers), act, attempts))

    def _post_due(self, posts: asyncio.TaskGroup, now_s: float) -> None:
        while self._schedule and self._schedule[0].at_s <= now_s and self._in_flight < IN_FLIGHT_MAX:
            self._in_flight += 1
            posts.create_task(self._perform(heappop(self._schedule)))

    async def _perform(self, due: _Due) -> None:
        try:
            if not await self._do(due.act):
                wait_s = RETRY_S[min(due.attempts, len(RETRY_S) - 1)]
                self._enter(due.act, at_s=clock.monotonic_s() + wait_s, attempts=due.attempts + 1)
        finally:
            self._in_flight -= 1

    async def _do(self, act: Act) -> bool:
        """Returns false if it must be done again."""
        match act:
            case Register():
                return await self._register(act)
            case Deliver():
                return await self._deliver(act)
            case Forge():
                return await self._forge(act)
            case unheard:
                assert_never(unheard)

    async def _register(self, act: Register) -> bool:
        order_ref = act.story.order_ref
        status = await self._status("PUT", f"/orders/{order_ref}", json=act.story.registration)
        if _is_not_now(status):
            return False
        if status in (200, 201):
            self._log.registered(order_ref)
        else:
            self._log.surprised(f"the registration of {order_ref} got {status}")
        return True

    async def _deliver(self, act: Deliver) -> bool:
        account = act.story.account
        counts = self._log.counts[account]
        signer, claim = self._signers[account], (act.story, act.event)
        signed = signer.sign(*claim, now=clock.now(), again=act.again)
        started_s = clock.monotonic_s()
        counts.posted += 1
        status = await self._post(account, signed, simulator_of(signer.gateway).query_of(*claim))
        ended_s = clock.monotonic_s()
        if _is_not_now(status):
            counts.unanswered += 1
            return False
        if status // 100 == 2:  # noqa: PLR2004 - the class of success
            event_id = act.event.event_id
            self._log.accepted_delivery(account, event_id, took_s=ended_s - started_s, at_s=ended_s)
        else:
            counts.refused += 1
            self._log.surprised(f"{act.event.event_type} of {act.story.order_ref} is genuine and got {status}")
        return True

    async def _forge(self, act: Forge) -> bool:
        forgery = self._forger.forge(act.story, chance=self._chance, now=clock.now())
        started_s = clock.monotonic_s()
        status = await self._post(forgery.account, forgery.signed, forgery.query)
        ended_s = clock.monotonic_s()
        if _is_not_now(status):
            return False
        is_accepted = status // 100 == 2  # noqa: PLR2004 - the class of success
        if forgery.trick == "invented" and is_accepted:
            self._log.accepted_invention(forgery.account, took_s=ended_s - started_s, at_s=ended_s)
            return True
        counts = self._log.counts[forgery.account]
        counts.forged += 1
        self._log.tricks[forgery.trick] += 1
        if status in FORGED_ANSWERS:
            counts.forged_refused += 1
        else:
            counts.forged_accepted += is_accepted
            self._log.surprised(f"a forgery ({forgery.trick}) for {act.story.order_ref} got {status}")
        return True

    async def _post(self, account: str, signed: Signed, query: str) -> int:
        headers, body = signed
        # As it is: a gateway may have signed the URL just so.
        url = URL(f"/webhooks/{account}?{query}" if query else f"/webhooks/{account}", encoded=True)
        return await self._status("POST", url, headers=headers, data=body)

    async def _status(self, method: str, path: str | URL, **content: object) -> int:
        """Returns the answer's status, or 0 for none."""
        try:
            async with self.session.request(method, path, **content) as answer:  # type: ignore[arg-type]
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0


def _is_not_now(status: int) -> bool:
    return status == 0 or status >= 500 or status in NOT_NOW  # noqa: PLR2004 - the class of server errors


def open_session(url: str, *, token: str) -> aiohttp.ClientSession:
    """Returns a client of the receiver at `url` with a merchant's token.  Gateways send none, and the receiver ignores
    it."""
    return aiohttp.ClientSession(
        url,
        headers={"Authorization": f"Bearer {token}"},
        timeout=aiohttp.ClientTimeout(total=ANSWER_S),
        connector=aiohttp.TCPConnector(limit=IN_FLIGHT_MAX),
    )
