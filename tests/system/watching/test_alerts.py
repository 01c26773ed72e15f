"""Each alert is provoked on a running Tillkeeper, fires in a real Prometheus, and ends once its runbook was followed.

The suite runs a few of them; `make alerts` all.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.gateway_apis import Gateways
from tests.system.receiving import SECRET
from tests.system.watching.alert_cases import CASES
from tests.system.watching.provoking import PROVOKE
from tests.system.watching.provoking.house import BROKEN_AT, WECHAT, House, Shop
from tests.system.watching.stack import API_KEY, Stack, Watched, watching
from tillkeeper import clock
from tillkeeper.sandbox.accounts import new_signers
from tillkeeper.sandbox.apis.faults import ApiFault, FaultPeriod
from tillkeeper.sandbox.simulators.stripe.signing import StripeSigner
from tillkeeper.sandbox.simulators.wechatpay.api import platform_certificate
from tillkeeper.sandbox.simulators.wechatpay.signing import WeChatPayKey, WeChatPaySigner

SHORT = {"NobodyConsumes", "ProcessDown"}
OLD = "5157F09EFDC096DE15EBE81A47057A7200000001"
NEW = "5157F09EFDC096DE15EBE81A47057A7200000002"

pytestmark = [pytest.mark.prometheus, pytest.mark.rabbitmq, pytest.mark.slow, pytest.mark.long]


def wechat_signer() -> WeChatPaySigner:
    """WeChat Pay's, with a certificate that is not configured."""
    signer = new_signers(("wechatpay",))[WECHAT]
    assert isinstance(signer, WeChatPaySigner)
    return msgspec.structs.replace(signer, key=WeChatPayKey(NEW, signer.key.private_key))


def wechat_account(signer: WeChatPaySigner, base: str) -> str:
    old_key = generate_private_key(public_exponent=65537, key_size=2048)
    old = platform_certificate(WeChatPayKey(OLD, old_key), clock.now()).public_bytes(Encoding.PEM).decode()
    key = signer.merchant_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    quoted = {name: text.replace("\n", "\\n") for name, text in {"old": old, "key": key}.items()}
    return "\n".join(
        [
            f"[accounts.{WECHAT}]",
            'gateway = "wechatpay"',
            f'mch_id = "{signer.mch_id}"',
            f'apiv3_key = "{signer.apiv3_key}"',
            f'platform_certs = {{ {OLD} = "{quoted["old"]}" }}',
            f'merchant_serial = "{signer.merchant_serial}"',
            f'merchant_private_key = "{quoted["key"]}"',
            f'api_base = "{base}"',
        ]
    )


@pytest.fixture(scope="module")
async def house(
    prometheus_installed, postgres_server, databases, rabbitmq, tmp_path_factory
) -> AsyncIterator[tuple[House, Watched]]:
    directory = tmp_path_factory.mktemp("alerts")
    await postgres_server.start()
    await rabbitmq.start()
    name = await databases.take()
    database = postgres_server.dsn(name)
    signer = wechat_signer()
    stripe = StripeSigner(account="stripe-main", secret=SECRET, api_key=API_KEY)
    gateways = Gateways({stripe.account: stripe, WECHAT: signer})
    gateways.begins = gateways.now = clock.now().replace(microsecond=0)
    broken = FaultPeriod(account=WECHAT, fault=ApiFault.BROKEN, since=BROKEN_AT, until=BROKEN_AT + timedelta(hours=1))
    shop = Shop()
    async with gateways.open(broken) as bases, listening(shop) as shop_url:
        running = Stack.running(
            directory,
            database=database,
            shop_url=shop_url,
            api_base=bases[stripe.account],
            broker={"broker_url": rabbitmq.url, "broker_prefix": f"alerts-{name}"},
            accounts=wechat_account(signer, bases[WECHAT]),
        )
        async with running as stack, watching(stack) as watched:
            servers = {"postgres": postgres_server, "rabbitmq": rabbitmq}
            yield House(stack, database=database, **servers, gateways=gateways, shop=shop), watched
            await postgres_server.start()
            await rabbitmq.start()


@asynccontextmanager
async def listening(shop: Shop) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/", shop.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def test_every_alert_is_provoked_here():
    assert {alert for names in PROVOKE for alert in names.split()} == CASES.keys()


@pytest.mark.parametrize(
    "names", [pytest.param(names, marks=() if names in SHORT else pytest.mark.faults) for names in PROVOKE]
)
async def test_alerts_fire_and_their_runbooks_end_them(house, names):
    broken, watched = house
    alerts = names.split()
    for alert in alerts:
        await watched.is_over(alert)
    async with PROVOKE[names](broken):
        await asyncio.gather(*map(watched.fires, alerts))
    for alert in alerts:
        await watched.is_over(alert)
