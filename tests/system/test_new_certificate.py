"""WeChat Pay signs with a certificate that nobody configured: receiver and API over real HTTP."""

from datetime import timedelta

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.gateway_apis import Gateways
from tests.system.receiving import deliveries_in, some_settings
from tillkeeper import clock
from tillkeeper.ingest.server import receiver
from tillkeeper.sandbox.apis.faults import ApiFault, FaultPeriod
from tillkeeper.sandbox.simulators.wechatpay.api import platform_certificate
from tillkeeper.sandbox.simulators.wechatpay.signing import WeChatPayKey

ACCOUNT, PATH = "wechatpay-main", "/webhooks/wechatpay-main"
OLD = "5157F09EFDC096DE15EBE81A47057A7200000001"
NEW = "5157F09EFDC096DE15EBE81A47057A7200000002"


@pytest.fixture(scope="module")
def signer(signers):
    """WeChat Pay's, with the new certificate."""
    return msgspec.structs.replace(signers[ACCOUNT], key=WeChatPayKey(NEW, signers[ACCOUNT].key.private_key))


@pytest.fixture
def gateways(signer):
    played = Gateways({ACCOUNT: signer})
    played.begins = played.now = clock.now().replace(microsecond=0)
    return played


def settings_of(database, signer, base):
    old = platform_certificate(
        WeChatPayKey(OLD, generate_private_key(public_exponent=65537, key_size=2048)), clock.now()
    )
    key = signer.merchant_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    account = {
        "gateway": "wechatpay",
        "mch_id": signer.mch_id,
        "apiv3_key": signer.apiv3_key,
        "platform_certs": {OLD: old.public_bytes(Encoding.PEM).decode()},
        "merchant_serial": signer.merchant_serial,
        "merchant_private_key": key.decode(),
        "api_base": base,
    }
    return some_settings(database, accounts={ACCOUNT: account})


async def statuses(port, gateways, signer, times=1):
    story = gateways.tells(ACCOUNT, ("TRANSACTION.SUCCESS", 0))
    headers, body = signer.sign(story, story.events[0], now=clock.now(), again=0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        told = []
        for _ in range(times):
            async with client.post(PATH, headers=headers, data=body) as answer:
                told.append(answer.status)
        return told


async def test_its_first_notice_has_the_certificate_fetched_and_counts(database, connection, gateways, signer):
    async with gateways.open() as bases, receiver(settings_of(database, signer, bases[ACCOUNT])) as port:
        assert await statuses(port, gateways, signer, times=3) == [204] * 3
    assert {each.key for each in await deliveries_in(connection)} == {NEW}
    assert [query.summary for query in gateways.log.queries] == ["certificates"]


@pytest.mark.parametrize(("fault", "status"), [(ApiFault.BROKEN, 503), (ApiFault.HUNG_UP, 503), (ApiFault.FORGED, 401)])
async def test_while_it_cannot_be_fetched_notices_are_to_come_again(database, connection, gateways, fault, status):
    signer = gateways.signers[ACCOUNT]
    failing = FaultPeriod(
        account=ACCOUNT, fault=fault, since=gateways.begins, until=gateways.begins + timedelta(hours=1)
    )
    async with gateways.open(failing) as bases, receiver(settings_of(database, signer, bases[ACCOUNT])) as port:
        assert await statuses(port, gateways, signer) == [status]
    assert await deliveries_in(connection) == []
