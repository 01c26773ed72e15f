"""Writes the notices to people on duty about an account: it is silent, does not answer, or sent an unknown word."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from tillkeeper.domain.order.notices import Audience, Notice
from tillkeeper.domain.silence import Answers, Begins, Ends, SilenceKind
from tillkeeper.domain.topics import AccountTopic

ENTRY_LEVEL: Final = 1  # that of the people on duty

BEGINS: Final[Mapping[SilenceKind, AccountTopic]] = MappingProxyType(
    {"silent": AccountTopic.SILENT, "unanswering": AccountTopic.UNANSWERING}
)
ENDS: Final[Mapping[SilenceKind, AccountTopic]] = MappingProxyType(
    {"silent": AccountTopic.TALKING, "unanswering": AccountTopic.ANSWERING}
)


def silence_begins(account: str, silence_id: int, change: Begins, answers: Answers, *, now: datetime) -> Notice:
    """Makes the notice that the account fell silent, or that its gateway does not answer."""
    about: dict[str, object] = {"reason": answers.reason}
    if change.usual_share is not None:
        about = {
            "usual_minutes_an_hour": round(change.usual_share * 60),
            "answers": answers.failing_since is None,
        }
    told = {"since": change.since, "minutes": _minutes(now - change.since), **about}
    return _of_silence(account, silence_id, BEGINS[change.kind], told)


def silence_ends(account: str, silence_id: int, change: Ends, *, since: datetime) -> Notice:
    """Makes the notice that deliveries come again, or that the gateway answers again."""
    told = {"since": since, "until": change.until, "minutes": _minutes(change.until - since)}
    return _of_silence(account, silence_id, ENDS[change.kind], told)


def _minutes(span: timedelta) -> int:
    return int(span / timedelta(minutes=1))


def _of_silence(account: str, silence_id: int, topic: AccountTopic, told: Mapping[str, object]) -> Notice:
    return Notice(
        key=f"silence/{silence_id}/{topic}",
        audience=Audience.OPS,
        topic=topic,
        payload={"level": ENTRY_LEVEL, "account": account, **told},
    )


def unknown_word_notice(account: str, field: str, word: str) -> Notice:
    """Makes the notice that the gateway sent a word that stands in no list of ours."""
    return Notice(
        key=f"unknown_word/{account}/{field}/{word}",
        audience=Audience.OPS,
        topic=AccountTopic.UNKNOWN_WORD,
        payload={
            "account": account,
            "field": field,
            "word": word,
            "text": "The gateway sent a word that Tillkeeper does not know. What else the delivery said was taken; "
            "what this word means for an order was not guessed.",
        },
    )
