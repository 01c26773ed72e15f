"""Queries gateways about payments and refunds, and reads their lists of events, with a client for each account."""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from functools import cached_property
from typing import Final, TypeVar

import msgspec
import structlog

from tillkeeper import clock
from tillkeeper.api_client.account_client import AccountClient, Environment, QueryFailed
from tillkeeper.api_client.http import Send, open_http
from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.api_client.tokens import TokenRefused, Tokens, with_token
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import AccessDenied, CannotQuery
from tillkeeper.gateways.kit.answers import answered_at
from tillkeeper.gateways.kit.http_status import BAD_REQUEST, SERVER_ERROR_MIN, check_status
from tillkeeper.gateways.kit.unknown_words import UnknownWord, unknown_words
from tillkeeper.gateways.messages import Answer, Call, EventPage, Query, Response
from tillkeeper.gateways.statement_offer import EmptyDay, NotReady
from tillkeeper.telemetry import GATEWAY_QUERIES

__all__ = ["ApiClient", "QueryFailed", "open_api_client"]

log = structlog.get_logger()

Result = TypeVar("Result")

UNKNOWN_WORDS_MAX: Final = 1_000  # words kept until somebody takes them
FURTHER_QUERIES_MAX: Final = 20  # further queries that one query may lead to; no genuine payer tries more often
FRESH_S: Final = 10.0  # an answer this recent is not asked for again when another answer leads to the same query
REMEMBERED_ANSWERS_MAX: Final = 1_000  # answers that are remembered; a forgotten one costs one query
PAGES_MAX: Final = 10_000  # a million of Stripe's events; a list that does not end is no list

# Each gateway with its credentials can make one of these: some know their references by how they begin, and others have
# no underscore in any.
ANY_QUERIES: Final = tuple(
    Query(about="payment", order_ref="any", payment_ref=reference) for reference in ("pi_any", "tr_any", "ANY")
)


class _Account:
    """A gateway's account with its client and its tokens."""

    def __init__(self, name: str, gateway: Gateway, settings: ApiClientSettings, environment: Environment) -> None:
        self.gateway = gateway
        self.client = AccountClient(name, settings, environment)
        self.tokens = Tokens(gateway, self.client, environment)
        self._environment = environment

    @cached_property
    def can_be_queried(self) -> bool:
        """Tries to make queries, once: whether that works follows from settings, and changed ones are a new account."""
        return any(self._can_make(query) for query in ANY_QUERIES)

    def _can_make(self, query: Query) -> bool:
        try:
            self.tokens.needed()
            self.gateway.query_request(query, now=self._environment.now(), nonce=self._environment.nonce())
        except CannotQuery:
            return False
        return True


class ApiClient:
    """Queries the gateways of all accounts.  Time, sleep, chance and the network come in as arguments, for tests."""

    def __init__(
        self,
        gateways: Mapping[str, Gateway],
        settings: ApiClientSettings,
        *,
        send: Send,
        now: Callable[[], datetime] = clock.now,
        monotonic_s: Callable[[], float] = clock.monotonic_s,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[float, float], float] = random.uniform,
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._environment = Environment(
            send=send, now=now, monotonic_s=monotonic_s, sleep=sleep, jitter=jitter, nonce=nonce
        )
        self._settings = settings
        self.gateways = gateways
        self._accounts: dict[str, _Account] = {}
        self._answered_s: dict[tuple[str, Query], float] = {}
        self._unknown: Counter[tuple[str, str, str]] = Counter()
        self.update_accounts()

    def update_accounts(self) -> None:
        """Takes over the accounts as the mapping has them now; a changed gateway gets a new client."""
        for name in self._accounts.keys() - self.gateways.keys():
            del self._accounts[name]
        for name, gateway in self.gateways.items():
            if name not in self._accounts or self._accounts[name].gateway is not gateway:
                self._accounts[name] = _Account(name, gateway, self._settings, self._environment)

    def can_query(self, account: str) -> bool:
        """Returns whether the account can be queried: its gateway has an API for that, and we have credentials."""
        return account in self._accounts and self._accounts[account].can_be_queried

    def can_list_events(self, account: str) -> bool:
        """Returns whether the account's gateway has a list of events, and we have the credentials for it."""
        if account not in self._accounts:
            return False
        now = self._environment.now()
        try:
            self._accounts[account].gateway.events_request(since=now, until=now, after=None)
        except CannotQuery:
            return False
        return True

    async def query(self, account: str, query: Query) -> Answer:
        """Returns the gateway's answer, with those to further queries that it leads to.  Raises QueryFailed."""
        answer = await self._query_one(account, query)
        made, waiting = {query}, list(answer.also)
        while waiting and len(made) <= FURTHER_QUERIES_MAX:
            further = waiting.pop(0)
            if further in made or self._was_answered_just_now(account, further):
                continue
            made.add(further)
            try:
                more = await self._query_one(account, further)
            except QueryFailed as error:
                raise QueryFailed(error.reason, error.detail, events=answer.events) from None
            answer = msgspec.structs.replace(
                answer,
                found=answer.found or more.found,
                events=answer.events + more.events,
                then=answer.then + more.then,
            )
            waiting += more.also
        return answer

    async def _query_one(self, account: str, query: Query) -> Answer:
        known = self._accounts.get(account)
        if known is None:
            raise QueryFailed("cannot_ask", "there is no such account")

        def call() -> Call:
            return known.gateway.query_request(query, now=self._environment.now(), nonce=self._environment.nonce())

        def read_response(response: Response) -> Answer:
            now = self._environment.now()
            with unknown_words() as words:
                answer = known.gateway.read_response(query, response, now=now)
            self._note(account, words)
            return _as_of(answered_at(response, now), answer)

        try:
            answer = await _request(known, call, read_response)
        except CannotQuery as error:
            GATEWAY_QUERIES.labels(account, "cannot_ask").inc()
            raise QueryFailed("cannot_ask", str(error)) from None
        GATEWAY_QUERIES.labels(account, "found" if answer.found else "not_found").inc()
        self._note_answered(account, query)
        return answer

    def _note_answered(self, account: str, query: Query) -> None:
        now_s = self._environment.monotonic_s()
        if len(self._answered_s) >= REMEMBERED_ANSWERS_MAX:
            self._answered_s = {key: at_s for key, at_s in self._answered_s.items() if now_s - at_s < FRESH_S}
        if len(self._answered_s) < REMEMBERED_ANSWERS_MAX:
            self._answered_s[account, query] = now_s

    def _was_answered_just_now(self, account: str, query: Query) -> bool:
        """Returns whether this was answered moments ago, as for a payment that the search by its order finds once
        more."""
        at_s = self._answered_s.get((account, query))
        return at_s is not None and self._environment.monotonic_s() - at_s < FRESH_S

    def take_unknown_words(self) -> Counter[tuple[str, str, str]]:
        """Returns the unknown words, as (account, field, word), that answers have held since the last call."""
        taken, self._unknown = self._unknown, Counter()
        return taken

    def _note(self, account: str, words: Iterable[UnknownWord]) -> None:
        for unknown in words:
            key = (account, unknown.field, unknown.word)
            if key in self._unknown or len(self._unknown) < UNKNOWN_WORDS_MAX:
                self._unknown[key] += 1

    async def events(
        self, account: str, *, since: datetime, until: datetime
    ) -> AsyncIterator[tuple[PaymentEvent, ...]]:
        """Yields the gateway's own list of events, page by page, newest first.  Raises QueryFailed, CannotQuery."""
        if account not in self._accounts:
            raise CannotQuery("there is no such account")
        after: str | None = None
        for _ in range(PAGES_MAX):
            page = await self._page(self._accounts[account], since, until, after)
            GATEWAY_QUERIES.labels(account, "listed").inc()
            if page.unread:
                log.warning("listed_events_unreadable", account=account, events=page.unread)
            yield page.events
            if page.after is None:
                return
            after = page.after
        raise QueryFailed("bad_answer", "the list of events does not end")

    async def _page(self, known: _Account, since: datetime, until: datetime, after: str | None) -> EventPage:
        def read_response(response: Response) -> EventPage:
            with unknown_words() as words:
                page = known.gateway.read_events(response)
            self._note(known.gateway.account, words)
            return page

        return await _request(
            known,
            lambda: known.gateway.events_request(since=since, until=until, after=after),
            read_response,
        )

    def can_fetch_statements(self, account: str) -> bool:
        """Returns whether the account's gateway gives its statements out, and we have the credentials for it."""
        if account not in self._accounts or self._accounts[account].gateway.statement_calendar is None:
            return False
        now, gateway = self._environment.now(), self._accounts[account].gateway
        try:
            gateway.statement_request(now.date(), now=now, nonce=self._environment.nonce())
        except CannotQuery:
            return False
        return True

    async def statement(self, account: str, day: date) -> bytes | EmptyDay | NotReady:
        """Returns the file of a day's statement, or why there is none.  Raises QueryFailed, CannotQuery."""
        if account not in self._accounts:
            raise CannotQuery("there is no such account")
        known, environment = self._accounts[account], self._environment
        gateway = known.gateway
        offer = await _request(
            known,
            lambda: gateway.statement_request(day, now=environment.now(), nonce=environment.nonce()),
            lambda response: gateway.read_statement_offer(response, now=environment.now()),
        )
        if isinstance(offer, EmptyDay | NotReady):
            GATEWAY_QUERIES.labels(account, "not_found").inc()
            return offer
        file = await _request(
            known,
            lambda: gateway.statement_file_request(offer, now=environment.now(), nonce=environment.nonce()),
            lambda response: gateway.read_statement_file(offer, response),
        )
        GATEWAY_QUERIES.labels(account, "found").inc()
        return file

    async def make(self, account: str, calls: Sequence[Call]) -> None:
        """Makes the calls that an answer asks for, such as an acknowledgement; their responses are not read.

        Raises nothing: a call that fails is made again with the next answer.
        """
        if account not in self._accounts:  # the account was removed since it answered
            return
        known = self._accounts[account]
        for call in calls:
            try:
                await _request(known, lambda call=call: call, _check_made)  # type: ignore[misc]
            except (QueryFailed, CannotQuery) as error:
                log.warning("call_not_made", account=account, reason=str(error))
            else:
                GATEWAY_QUERIES.labels(account, "made").inc()


async def _request(known: _Account, call: Callable[[], Call], read_response: Callable[[Response], Result]) -> Result:
    """Makes a call, with a token where the gateway needs one.  Raises QueryFailed, and what `call` raises."""
    if not known.tokens.needed():
        return await known.client.request(call, read_response)
    call()  # build it first: what cannot be queried needs no token
    token, was_here = await known.tokens.at_hand()

    def read_strictly(response: Response) -> Result:
        try:
            return read_response(response)
        except AccessDenied as error:
            known.tokens.drop(token)
            if was_here:
                raise TokenRefused(str(error)) from None
            raise

    try:
        return await known.client.request(lambda: with_token(call(), token), read_strictly)
    except TokenRefused:
        fresh, _ = await known.tokens.at_hand()
        return await known.client.request(lambda: with_token(call(), fresh), read_response)


def _as_of(moment: datetime, answer: Answer) -> Answer:
    """Dates the answer's events as the state at that moment, where the gateway's code does not say otherwise."""
    events = tuple(
        event if event.as_of is not None else msgspec.structs.replace(event, as_of=moment) for event in answer.events
    )
    return msgspec.structs.replace(answer, events=events)


def _check_made(response: Response) -> None:
    check_status(response, accepted=range(BAD_REQUEST), denied=range(BAD_REQUEST, SERVER_ERROR_MIN))


@asynccontextmanager
async def open_api_client(gateways: Mapping[str, Gateway], settings: ApiClientSettings) -> AsyncIterator[ApiClient]:
    """Opens an ApiClient on the real network and clock."""
    async with open_http(settings) as send:
        yield ApiClient(gateways, settings, send=send)
