"""Real receivers of notices: an SMTP server that does as it is told, and an HTTP server that verifies."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiosmtpd import smtp
from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSB0ZXN0cywgbnVtYmVyIDI="


class Mailbox:
    """What an SMTP server was handed, and what it answers: each may be set while it runs."""

    def __init__(self) -> None:
        self.port = 0
        self.rcpt: list[str] = []
        self.raw: list[bytes] = []
        self.to: list[str] = []
        self.on_mail = self.on_rcpt = self.on_data = "250 OK"
        self.before_rcpt: Callable[[], Awaitable[None]] | None = None
        self.in_data: Callable[[], Awaitable[None]] | None = None

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's name
        if self.on_mail.startswith("250"):
            envelope.mail_from = address
        return self.on_mail

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's name
        self.rcpt.append(address)
        if self.before_rcpt is not None:
            await self.before_rcpt()
        if self.on_rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.on_rcpt

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        if self.on_data == "drop":
            server.transport.abort()
            return "250 OK"
        if self.on_data.startswith("250"):
            self.raw.append(envelope.content)
            self.to += envelope.rcpt_tos
        if self.in_data is not None:
            await self.in_data()
        return self.on_data

    def mails(self) -> list[email.message.EmailMessage]:
        return [email.message_from_bytes(each, policy=email.policy.SMTP) for each in self.raw]


@asynccontextmanager
async def smtp_server(**options: Any) -> AsyncIterator[Mailbox]:
    mailbox = Mailbox()
    loop = asyncio.get_running_loop()
    connections = set()

    def protocol():
        made = smtp.SMTP(mailbox, hostname="mail.test", loop=loop, **options)
        connections.add(made)
        return made

    server = await loop.create_server(protocol, "127.0.0.1", 0)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
        for connection in connections:
            if connection.transport is not None:
                connection.transport.abort()
            connection._handler_coroutine.cancel() if connection._handler_coroutine else None
        await server.wait_closed()


class Receiver:
    """A merchant's system that verifies with the package that Standard Webhooks publishes."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.got: list[dict] = []
        self.ids: list[str] = []
        self.signatures: list[str] = []
        self.traceparents: list[str] = []  # of the requests that have one
        self.status = 200
        self.headers: dict[str, str] = {}
        self.secret = SECRET
        self.before_answer: Callable[[], Awaitable[None]] | None = None

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.got.append(Webhook(self.secret).verify(body, dict(request.headers)))
        self.ids.append(request.headers["webhook-id"])
        self.signatures.append(request.headers["webhook-signature"])
        self.traceparents += request.headers.getall("traceparent", [])
        if self.before_answer is not None:
            await self.before_answer()
        return web.Response(status=self.status, headers=self.headers, body=b"x" * 100_000)


@asynccontextmanager
async def http_server() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = site._server.sockets[0].getsockname()[1]
    receiver.url = f"http://127.0.0.1:{receiver.port}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()
