"""A time that passes only when somebody sleeps."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

NOW = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)


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
