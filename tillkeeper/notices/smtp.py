"""Sends mail through an SMTP server, at most once.

connect, EHLO, STARTTLS, AUTH, MAIL, RCPT ── refused: nothing was sent; 4xx is retried, 5xx is final
mark the row (committed) ── not allowed any more: nothing is sent
DATA ── refused: as above; 2xx: sent; no answer: the mail may have been taken, and is never sent again
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

import aiosmtplib

from tillkeeper.domain.order.notice_outcomes import Dead, Failed, SendOutcome, Sent, Uncertain
from tillkeeper.notices.addresses import without_addresses
from tillkeeper.notices.settings import SmtpSettings

PERMANENT: Final = 500
QUIT_S: Final = 2.0  # the mail is sent already; the answer to QUIT does not matter

# Errors before a server has taken a message: nothing was sent.
_BEFORE_DATA: Final = (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError)


class SmtpChannel:
    """A channel for one server.  Each mail has a connection of its own; the settings limit how many are open."""

    def __init__(self, settings: SmtpSettings, *, tls_context: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        if tls_context is None and settings.security != "none":
            tls_context = ssl.create_default_context()  # once: it reads every authority of this machine
        self._tls_context = tls_context
        self._connections = asyncio.Semaphore(settings.connections)

    async def send(
        self, message: bytes, *, sender: str, to: str, before_data: Callable[[], Awaitable[None]]
    ) -> SendOutcome:
        """Sends the message.  Awaits `before_data` when only DATA is left; if that raises, nothing is sent."""
        async with self._connections:
            client = self._client(sender)
            try:
                if (refusal := await self._introduce(client, sender, to)) is not None:
                    return refusal
                await before_data()
                return await self._hand_over(client, message)
            finally:
                await _leave(client)

    async def look(self, *, sender: str) -> str | None:
        """Logs in and names the sender, as for a mail, and leaves; returns why the server does not have it, or None."""
        client = self._client(sender)
        try:
            async with asyncio.timeout(2 * self._settings.timeout_s):
                await client.connect()
                await client.mail(sender)
        except _BEFORE_DATA as error:
            return _reason(error)
        finally:
            await _leave(client)
        return None

    def _client(self, sender: str) -> aiosmtplib.SMTP:
        settings = self._settings
        return aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.username,
            password=settings.password,
            timeout=settings.timeout_s,
            local_hostname=sender.rpartition("@")[2],  # else it queries DNS for our own name at each connection
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            tls_context=self._tls_context,
        )

    async def _introduce(self, client: aiosmtplib.SMTP, sender: str, to: str) -> SendOutcome | None:
        """Does everything before DATA, in bounded time; returns None where the server takes the recipient."""
        try:
            async with asyncio.timeout(2 * self._settings.timeout_s):
                await client.connect()
                await client.mail(sender)
        except _BEFORE_DATA as error:
            return Failed(why=_reason(error))  # 5xx as well: it is about us, not about this payer
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await client.rcpt(to)
        except aiosmtplib.SMTPResponseException as error:
            return Dead(why=_reason(error)) if error.code >= PERMANENT else Failed(why=_reason(error))
        except _BEFORE_DATA as error:
            return Failed(why=_reason(error))
        return None

    async def _hand_over(self, client: aiosmtplib.SMTP, message: bytes) -> SendOutcome:
        try:
            async with asyncio.timeout(3 * self._settings.timeout_s):
                await client.data(message)
        except aiosmtplib.SMTPDataError as error:
            return Dead(why=_reason(error)) if error.code >= PERMANENT else Failed(why=_reason(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the mail may have been taken
            return Uncertain(why=f"after DATA: {_reason(error)}")
        return Sent()


async def _leave(client: aiosmtplib.SMTP) -> None:
    with contextlib.suppress(*_BEFORE_DATA):
        async with asyncio.timeout(QUIT_S):
            await client.quit()
    client.close()


def _reason(error: BaseException) -> str:
    """Says what the server answered or how it failed, without addresses: servers repeat the one that they refuse."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return without_addresses(f"the mail server said {error.code} {error.message}")
    return without_addresses(f"the mail server: {type(error).__name__}: {error}")
