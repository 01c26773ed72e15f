"""Tracks how far an order has come in its phase: the steps that were taken, and the queries to repeat.

A step's row is committed before its query leaves, and holds when the query is repeated should its sweeper die: that
counts as no answer.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

import msgspec

from tillkeeper.domain.ladder import Action, Step

NEVER: Final = datetime.min.replace(tzinfo=UTC)
ANSWER_IS_FRESH: Final = timedelta(minutes=15)  # until a person needs another: whoever calls has mostly paid before
CANNOT_ASK: Final = "cannot be asked"  # a result: repeating the query would change nothing


class StepTaken(msgspec.Struct, frozen=True, kw_only=True):
    """A stored step: there is one row for each step of each phase."""

    phase: int
    step: Step
    taken_at: datetime
    tries: int = 1
    retry_at: datetime | None = None  # no answer yet: the query is repeated then, unless the next one comes first
    result: str | None = None  # None while it is under way, or when its sweeper died

    @property
    def is_question(self) -> bool:
        """Returns True if gateways are asked for it."""
        return self.step.action in (Action.QUERY, Action.CLOSE)


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """A query without an answer, and when it is repeated."""

    step: Step
    tries: int
    at: datetime
    cannot_be_put: bool = False


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The steps taken so far in one phase."""

    last_steps: Mapping[Action, datetime] = MappingProxyType({})  # the moment of the last one of each action
    unanswered: Mapping[Action, Retry] = MappingProxyType({})  # by action, where its last query had no answer
    answered_at: datetime = NEVER  # when the last query with an answer was made
    refused_at: datetime = NEVER  # when the last query was due that cannot be made

    @property
    def retry(self) -> Retry | None:
        """Returns the query that is put again: the one of the latest step."""
        return max(self.unanswered.values(), key=lambda retry: retry.step.at, default=None)

    @property
    def retry_at(self) -> datetime | None:
        """Returns when a query is put again."""
        return self.retry.at if self.retry else None

    def with_last(self, step: Step) -> "Progress":
        """Returns the progress as if the step had been taken, though nothing is written of it."""
        last_at = max(step.at, self.last_steps.get(step.action, step.at))
        return msgspec.structs.replace(self, last_steps={**self.last_steps, step.action: last_at})

    def with_taken(self, taken: StepTaken) -> "Progress":
        """Returns the progress once a step is written, or written anew with its result."""
        action, at = taken.step.action, taken.step.at
        progress = self.with_last(taken.step)
        if at < progress.last_steps[action]:
            return progress
        unanswered = {other: retry for other, retry in self.unanswered.items() if other is not action}
        if taken.retry_at is not None:
            unanswered[action] = Retry(
                step=taken.step,
                tries=taken.tries,
                at=taken.retry_at,
                cannot_be_put=taken.result == CANNOT_ASK,
            )
        is_answered = taken.is_question and taken.retry_at is None and taken.result not in (None, CANNOT_ASK)
        return msgspec.structs.replace(
            progress,
            unanswered=unanswered,
            answered_at=max(self.answered_at, taken.taken_at) if is_answered else self.answered_at,
            refused_at=max(self.refused_at, taken.taken_at) if taken.result == CANNOT_ASK else self.refused_at,
        )
