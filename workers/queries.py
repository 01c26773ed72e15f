"""What the workers want of the API client: queries, and the calls that answers want made."""

from collections.abc import Sequence
from typing import Protocol

from tillkeeper.gateways.messages import Answer, Call, Query


class Queries(Protocol):
    """The API client, or the one that watches its queries fail (workers/silence.py)."""

    async def query(self, account: str, query: Query) -> Answer:
        """What the gateway knows.  Raises QueryFailed."""
        ...

    async def make(self, account: str, calls: Sequence[Call]) -> None:
        """Makes calls whose responses go unread.  Raises nothing: they are made again with the next answer."""
        ...
