"""The APIs of all accounts that are played and can be asked."""

from collections.abc import Callable, Mapping
from datetime import datetime

from sandbox.apis.faults import Faults
from sandbox.apis.queries import QuestionLog
from sandbox.apis.server import SLOW_S, Answering
from sandbox.plays import find
from sandbox.truth.ledger import Ledger
from sandbox.voices import Voice


def answering(
    voices: Mapping[str, Voice],
    ledger: Ledger,
    *,
    now: Callable[[], datetime],
    log: QuestionLog,
    faults: Faults | None = None,
    slow_s: float = SLOW_S,
) -> dict[str, Answering]:
    """One for each account whose gateway can be asked, all with the same books, clock and log."""
    faults = faults or Faults()
    return {
        account: Answering(api(voice, ledger), now=now, log=log, faults=faults, slow_s=slow_s)
        for account, voice in voices.items()
        if (api := find(voice.gateway).api) is not None
    }
