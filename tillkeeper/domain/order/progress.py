"""How far an order has come in its phase: the steps of its ladder that were taken, and the questions that wait.

A step's row stands before its question leaves, and says when it is put again should its sweeper die: no answer is no
answer, whoever it was lost by.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

import msgspec

from tillkeeper.domain.ladder import Action, Step

NEVER: Final = datetime.min.replace(tzinfo=UTC)
CANNOT_ASK: Final = "cannot be asked"  # a result: asking again would change nothing


class StepTaken(msgspec.Struct, frozen=True, kw_only=True):
    """A step as it is kept: one row for each step of each phase."""

    phase: int
    step: Step
    taken_at: datetime
    tries: int = 1
    retry_at: datetime | None = None  # no answer yet: it is put again then, unless the next question comes first
    result: str | None = None  # what came of it; None while it is under way, or when its sweeper died

    @property
    def is_question(self) -> bool:
        """Returns True if gateways are asked for it."""
        return self.step.action in (Action.QUERY, Action.CLOSE)


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """A question that had no answer, and when it is put again."""

    step: Step
    tries: int
    at: datetime
    cannot_be_put: bool = False


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The steps of one phase that were taken so far."""

    last_steps: Mapping[Action, datetime] = MappingProxyType({})  # the moment of the last one of each action
    unanswered: Mapping[Action, Retry] = MappingProxyType({})  # where the last one of the action had no answer
    answered_at: datetime = NEVER  # when the last question was put that had an answer
    refused_at: datetime = NEVER  # when the last was wanted that cannot be put at all

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
