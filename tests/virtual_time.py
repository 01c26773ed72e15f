"""A time that passes only when somebody sleeps, and a clock that stands until a test moves it."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

NOW = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)  # as in the factories


@dataclass
class Time:
    """Passes only in `sleep`."""

    passed_s: float = 0.0
    slept: list[float] = field(default_factory=list)

    def monotonic_s(self) -> float:
        return self.passed_s

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed_s)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed_s += seconds
        await asyncio.sleep(0)


class Clock:
    """Stands, until a test moves it."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return (self.at - NOON).total_seconds()

    def move(self, **span: float) -> None:
        self.at += timedelta(**span)
