"""The APIs of all accounts that are played."""

from collections.abc import Callable, Mapping
from datetime import datetime

from sandbox.apis.alipay import AlipayApi
from sandbox.apis.base import Api
from sandbox.apis.faults import Faults
from sandbox.apis.questions import QuestionLog
from sandbox.apis.server import SLOW_S, Answering
from sandbox.apis.stripe import StripeApi
from sandbox.apis.wechatpay import WeChatPayApi
from sandbox.truth.ledger import Ledger
from sandbox.voices import AlipayVoice, StripeVoice, Voice, WeChatPayVoice


def answering(
    voices: Mapping[str, Voice],
    ledger: Ledger,
    *,
    now: Callable[[], datetime],
    log: QuestionLog,
    faults: Faults | None = None,
    slow_s: float = SLOW_S,
) -> dict[str, Answering]:
    """One for each account, all with the same books, clock and log."""
    faults = faults or Faults()
    return {
        account: Answering(api_of(voice, ledger), now=now, log=log, faults=faults, slow_s=slow_s)
        for account, voice in voices.items()
    }


def api_of(voice: Voice, ledger: Ledger) -> Api:
    """The API of one account's gateway."""
    match voice:
        case StripeVoice():
            return StripeApi(voice, ledger)
        case AlipayVoice():
            return AlipayApi(voice, ledger)
        case WeChatPayVoice():
            return WeChatPayApi(voice, ledger)
        case _:
            raise AssertionError(f"nobody answers for {voice.gateway}")
