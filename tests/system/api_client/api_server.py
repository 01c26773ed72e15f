"""A gateway's server on the loopback that answers as it is told."""

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.virtual_time import Time
from tillkeeper.api_client.client import ApiClient
from tillkeeper.api_client.http import open_http
from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.gateways.stripe.gateway import Stripe
from tillkeeper.gateways.stripe.settings import StripeSettings
from tillkeeper.gateways.wechatpay.gateway import WeChatPay
from tillkeeper.gateways.wechatpay.settings import WeChatPaySettings
from tillkeeper.sandbox.servers.child import free_ports

KEY_ID = "PUB_KEY_ID_0119"
KEY = "sk_test_51OfTheAsker"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def says(content: object, status: int = 200, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return web.Response(status=status, body=body, headers=headers)

    return answer


def an_intent(payment_ref: str = "pi_1", **more: object) -> dict[str, object]:
    intent = {"id": payment_ref, "object": "payment_intent", "status": "succeeded", "amount": 5, "amount_received": 5}
    return intent | {"currency": "usd", "livemode": False, "metadata": {"order_id": "ORDER-1"}} | more


@dataclass
class Server:
    """What it was asked, and what it answers: one after the other, and the last one for ever."""

    answers: list[Answer] = field(default_factory=lambda: [says(an_intent())])
    requests: list[web.Request] = field(default_factory=list)
    now: int = 0
    most_at_once: int = 0
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/checkout/sessions":  # Stripe is asked by which session an intent was paid: by none
            return await says({"object": "list", "data": [], "has_more": False})(request)
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        try:
            return await answer(request)
        finally:
            self.now -= 1

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Server"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        [port] = free_ports(1)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()


def stripe(url: str, **more: object) -> Stripe:
    base = {"gateway": "stripe", "webhook_secrets": ["whsec_asked"], "api_key": KEY, "api_base": url}
    return Stripe("stripe-main", StripeSettings.model_validate(base | more))


@cache
def a_key() -> rsa.RSAPrivateKey:
    """One for all, on both sides."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def wechatpay(url: str) -> WeChatPay:
    private = a_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = a_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    settings = {
        "gateway": "wechatpay",
        "mch_id": "1900000100",
        "apiv3_key": "0123456789abcdef0123456789ABCDEF",
        "public_keys": {KEY_ID: public},
        "merchant_serial": "77",
        "merchant_private_key": private,
        "api_base": url,
    }
    return WeChatPay("wechat-main", WeChatPaySettings.model_validate(settings))


@asynccontextmanager
async def an_api_client(gateways: dict, time: Time, **settings: object) -> AsyncIterator[ApiClient]:
    """Over the real network, but in a time of its own; jitter is always the most there may be."""
    nonces = itertools.count()
    limits = ApiClientSettings.model_validate({"call_s": 5.0} | settings)
    async with open_http(limits) as send:
        yield ApiClient(
            gateways,
            limits,
            send=send,
            now=time.now,
            monotonic_s=time.monotonic_s,
            sleep=time.sleep,
            jitter=lambda _least, most: most,
            nonce=lambda: f"nonce{next(nonces)}",
        )
