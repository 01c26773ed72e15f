"""Sends notices to ops through apprise: by mail, Slack, DingTalk, Feishu, WeCom, or any other service it supports."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import apprise

from tillkeeper.domain.failures import Words
from tillkeeper.domain.money import EXPONENTS, format_minor
from tillkeeper.domain.order.notice_outcomes import Failed, SendOutcome, Sent
from tillkeeper.notices.mail import plain
from tillkeeper.notices.outgoing import Outgoing
from tillkeeper.notices.settings import NotifySettings

SEND_S: Final = 30.0  # apprise's own limits are 4 s to connect and 4 s to read, with a second try at some services
BODY_CHARS_MAX: Final = 1500  # the shortest limit of the chats it knows is near 2,000
URGENT_LEVEL: Final = 2

TITLES: Final = {
    "case.opened": Words("新个案需要处理", "A case needs a person"),
    "case.escalated": Words("个案已升级", "A case was escalated"),
    "case.followed_up": Words("个案仍未处理", "A case is still open"),
    "account.silent": Words("支付渠道没有通知", "An account went silent"),
    "account.talking": Words("支付渠道通知已恢复", "An account talks again"),
    "account.unanswering": Words("支付渠道查询无应答", "An account does not answer queries"),
    "account.answering": Words("支付渠道查询已恢复", "An account answers queries again"),
    "account.unknown_word": Words("支付渠道发来未知状态", "A gateway sent a word that is not known"),
    "notice.test": Words("测试通知", "A test notice"),
    "webhook.gone": Words("商户系统已停用通知", "A receiver of notices says that it is gone"),
}
# These come first; the others follow in the payload's order.
LEADING: Final = ("text", "kind", "subject", "order_ref", "account")


class OpsChannel:
    """A channel for one apprise URL."""

    def __init__(self, name: str, url: str, settings: NotifySettings) -> None:
        self.name: Final = name
        asset = apprise.AppriseAsset(app_id="Tillkeeper", app_url="", async_mode=False, http_redirects=False)
        service = apprise.Apprise.instantiate(url, asset=asset)
        assert service is not None, "settings have tried it"
        self._service = service
        self._language = settings.default_locale

    async def send(self, notice: Outgoing) -> SendOutcome:
        """Sends through the service.  apprise blocks, so it runs in a thread, which is abandoned after the time
        limit."""
        title, body = message_of(notice, self._language)
        kind = apprise.NotifyType.WARNING if _level(notice.payload) < URGENT_LEVEL else apprise.NotifyType.FAILURE
        call = asyncio.to_thread(
            self._service.notify, body=body, title=title, notify_type=kind, body_format=apprise.NotifyFormat.TEXT
        )
        try:
            async with asyncio.timeout(SEND_S):
                taken = await call
        except TimeoutError:
            return Failed(why=f"the service did not answer within {SEND_S:.0f} s")
        except Exception as error:  # noqa: BLE001 - a hundred services, each with failures of its own
            return Failed(why=f"the service failed: {type(error).__name__}")
        return Sent() if taken else Failed(why="the service refused it, or did not answer")


def ops_channels(level: int, urls: Iterable[str], settings: NotifySettings) -> tuple[OpsChannel, ...]:
    """Builds a channel for each URL of a level, named by its place."""
    return tuple(OpsChannel(f"ops.{level}[{at}]", url, settings) for at, url in enumerate(urls))


def unknown(settings: NotifySettings) -> list[str]:
    """Returns a line for each address that apprise cannot use.  It names the key, and never the address."""
    return [
        f"notify.ops.{level}.{at}: is no address that apprise can use"
        for level, urls in settings.ops.items()
        for at, url in enumerate(urls)
        if apprise.Apprise.instantiate(url) is None
    ]


def message_of(notice: Outgoing, language: str) -> tuple[str, str]:
    """Writes the title and body that a person reads.  No payload makes this raise."""
    words = TITLES.get(notice.topic)
    title = notice.topic if words is None else words.zh if language == "zh-CN" else words.en
    payload = notice.payload
    kind = payload.get("kind")
    level = _level(payload)
    head = " ".join(
        (*(["!" * (level - 1)] if level > 1 else []), title, *([f"({plain(kind)})"] if isinstance(kind, str) else []))
    )
    names = [*(key for key in LEADING if key in payload), *(key for key in payload if key not in LEADING)]
    lines = [line for name in names for line in _lines(plain(name), payload[name], payload.get("currency"))]
    return plain(head), "\n".join(lines)[:BODY_CHARS_MAX] or title


def _level(payload: dict[str, Any]) -> int:
    level = payload.get("level")
    return level if type(level) is int and 1 <= level <= 9 else 1  # noqa: PLR2004 - the schema's own bounds


AMOUNTS: Final = frozenset({"amount", "paid", "captured", "due", "refunding", "refunded", "remaining"})


def _lines(name: str, value: Any, currency: Any) -> list[str]:
    """Writes a line for each value, with its name; a table takes a line for each of its values."""
    if value is None or value in ("", {}, []) or name == "currency":  # amounts say it
        return []
    if name == "text" and isinstance(value, str):
        return [plain(value)]
    if isinstance(value, dict):
        inner = value.get("currency", currency)
        return [line for key, value_of_key in value.items() for line in _lines(plain(str(key)), value_of_key, inner)]
    if isinstance(value, list):
        return [f"{name}: {plain(', '.join(str(inner) for inner in value))}"]
    if name in AMOUNTS and type(value) is int and isinstance(currency, str) and currency in EXPONENTS:
        return [f"{name}: {format_minor(value, currency)}"]
    return [f"{name}: {plain(str(value))}"]
