"""Wraps the API client to remember how each account's gateway answered, for the watch of silences."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from tillkeeper.api_client.account_client import QueryFailed
from tillkeeper.api_client.client import ApiClient
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.silence import Answers, together
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.messages import Answer, Call, Query
from tillkeeper.tracing import spans

NOT_THE_GATEWAYS: Final = frozenset({"cannot_ask"})  # reasons that say nothing about the gateway


class WatchedApiClient:
    """Passes calls on to the API client, and remembers how each account's gateway answered."""

    def __init__(self, api_client: ApiClient, *, now: Callable[[], datetime]) -> None:
        self._api_client = api_client
        self._now = now
        self._seen: dict[str, Answers] = {}

    @property
    def gateways(self) -> Mapping[str, Gateway]:
        """Returns the gateways of the accounts that can be queried."""
        return self._api_client.gateways

    def can_query(self, account: str) -> bool:
        """Returns whether the account can be queried."""
        return self._api_client.can_query(account)

    def can_list_events(self, account: str) -> bool:
        """Returns whether the account's gateway has a list of events."""
        return self._api_client.can_list_events(account)

    async def query(self, account: str, query: Query) -> Answer:
        """Returns the gateway's answer, and notes that it answered.  Raises QueryFailed."""
        try:
            with spans.child(f"query {query.about}", attributes={"tillkeeper.account": account}):
                answer = await self._api_client.query(account, query)
        except QueryFailed as error:
            self._failed(account, error)
            raise
        self._answered(account)
        return answer

    async def make(self, account: str, calls: Sequence[Call]) -> None:
        """Makes the calls that an answer asks for; their responses do not count here."""
        await self._api_client.make(account, calls)

    async def events(
        self, account: str, *, since: datetime, until: datetime
    ) -> AsyncIterator[tuple[PaymentEvent, ...]]:
        """Yields the gateway's own list of events, and notes that it answered.  Raises QueryFailed, CannotQuery."""
        try:
            async for page in self._api_client.events(account, since=since, until=until):
                self._answered(account)
                yield page
        except QueryFailed as error:
            self._failed(account, error)
            raise

    def take_seen(self) -> dict[str, Answers]:
        """Takes what was noted since the last call."""
        seen, self._seen = self._seen, {}
        return seen

    def give_back(self, seen: dict[str, Answers]) -> None:
        """Puts back what could not be stored."""
        for account, answers in seen.items():
            self._seen[account] = together(answers, self._seen.get(account, Answers()))

    def _answered(self, account: str) -> None:
        self._seen[account] = self._seen.get(account, Answers()).after_answer(self._now())

    def _failed(self, account: str, error: QueryFailed) -> None:
        if error.reason not in NOT_THE_GATEWAYS:
            self._seen[account] = self._seen.get(account, Answers()).after_failure(self._now(), error.reason)
