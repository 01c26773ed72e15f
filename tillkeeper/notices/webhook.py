"""Posts notices to the merchant's systems, signed as Standard Webhooks specifies (standardwebhooks.com).

    webhook-id: identifies the notice         {"type": topic, "timestamp": when it happened, "data": payload}
    webhook-timestamp, webhook-signature: one v1 signature for each secret

A receiver takes a notice with any 2xx, and may get it again with the same id.  It may ask for a pause (429 or 503 with
Retry-After), or say that it is gone (410).  Nothing else of its answer is read, and no redirect is followed.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import msgspec
from standardwebhooks import Webhook

from tillkeeper.domain.order.notice_outcomes import GONE, Dropped, Failed, SendOutcome, Sent
from tillkeeper.notices.addresses import is_public
from tillkeeper.notices.outgoing import Outgoing
from tillkeeper.notices.settings import NotifySettings, WebhookSettings
from tillkeeper.tracing.http import calling, note_status
from tillkeeper.tracing.spans import headers_of

TOTAL_S: Final = 15.0  # Standard Webhooks advises receivers to answer within 15 s
CONNECT_S: Final = 5.0
CONNECTIONS: Final = 20
CONNECTIONS_PER_HOST: Final = 5  # a receiver that hangs must not take all of them
_ASKS_FOR_PAUSE: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_SUCCESS: Final = range(200, 300)


class NotPublic(OSError):
    """The host has an address that only our own network reaches."""


class WebhookChannel:
    """A channel that posts signed webhooks to one of the merchant's systems."""

    def __init__(self, name: str, settings: WebhookSettings, client: aiohttp.ClientSession) -> None:
        self.name: Final = f"webhook:{name}"
        self._url = settings.url
        self._signers = tuple(Webhook(secret) for secret in settings.secrets)
        self._client = client

    async def send(self, notice: Outgoing) -> SendOutcome:
        """Sends one signed POST."""
        body = body_of(notice)
        with calling("POST", self._url) as span:
            headers = {**self._headers(notice, body), **headers_of(span)}
            try:
                async with self._client.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                    note_status(span, response.status)
                    return _outcome(response.status, response.headers.get("Retry-After"), notice.sent_at)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                span.failed(type(error).__name__)
                return Failed(why=_reason(error))

    def _headers(self, notice: Outgoing, body: bytes) -> dict[str, str]:
        signatures = (signer.sign(notice.id, notice.sent_at, body.decode()) for signer in self._signers)
        return {
            "Content-Type": "application/json",
            "webhook-id": notice.id,
            "webhook-timestamp": str(int(notice.sent_at.timestamp())),
            "webhook-signature": " ".join(signatures),
        }


def body_of(notice: Outgoing) -> bytes:
    """Writes the bytes that are signed and sent."""
    data: dict[str, Any] = {**notice.payload, "version": notice.version}
    return msgspec.json.encode({"type": notice.topic, "timestamp": notice.created_at, "data": data})


@asynccontextmanager
async def open_webhooks(settings: NotifySettings) -> AsyncIterator[list[WebhookChannel]]:
    """Opens a channel for each of [notify.webhooks], on one client that calls public addresses alone."""
    connector = aiohttp.TCPConnector(
        limit=CONNECTIONS,
        limit_per_host=CONNECTIONS_PER_HOST,
        socket_factory=_any_socket if settings.allow_private_addresses else _public_socket,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=CONNECT_S),
        headers={"User-Agent": "Tillkeeper"},
        auto_decompress=False,  # no body is read
        trust_env=False,
    ) as client:
        yield [WebhookChannel(name, webhook, client) for name, webhook in settings.webhooks.items()]


def _public_socket(info: tuple[Any, ...]) -> socket.socket:
    """Makes a socket for the address that is called next; the name is not looked up again after this check."""
    if not is_public(info[4][0]):
        raise NotPublic("the address is not public (allow_private_addresses)")
    return _any_socket(info)


def _any_socket(info: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, _ = info
    return socket.socket(family=family, type=kind, proto=protocol)


def _outcome(status: int, retry_after: str | None, now: datetime) -> SendOutcome:
    if status in _SUCCESS:
        return Sent()
    if status == HTTPStatus.GONE:
        return Dropped(why=GONE)
    wait = retry_after_wait(retry_after, now) if status in _ASKS_FOR_PAUSE else None
    return Failed(why=f"the receiver answered {status}", wait=wait)


def retry_after_wait(text: str | None, now: datetime) -> timedelta | None:
    """Returns the pause that a Retry-After asks for, in seconds or as a date; None for any other text."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return timedelta(seconds=int(text[:9]))
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    return max((until if until.tzinfo else until.replace(tzinfo=UTC)) - now, timedelta())


def _reason(error: BaseException) -> str:
    """Says how the call failed, without the URL, whose path may be a secret."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, NotPublic):
            return str(seen)
        inner = getattr(seen, "os_error", None)
        seen = inner if inner is not None and inner is not seen else seen.__cause__
    if isinstance(error, asyncio.TimeoutError):
        return f"the receiver did not answer within {TOTAL_S:.0f} s"
    return f"the receiver could not be reached: {type(error).__name__}"
