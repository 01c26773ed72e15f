"""Provokes the alerts of accounts and their gateways."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.system.watching.provoking.house import House
from tillkeeper import clock
from tillkeeper.domain.guard import GuardSign, PauseReason
from tillkeeper.sandbox.keys import new_rsa_key
from tillkeeper.sandbox.simulators.wechatpay.api import platform_certificate
from tillkeeper.sandbox.simulators.wechatpay.signing import WeChatPayKey

ENDING = "5157F09EFDC096DE15EBE81A47057A7200000003"
CERTIFICATE_LASTS = timedelta(days=4 * 365)  # of the simulator's


@asynccontextmanager
async def paused(house: House) -> AsyncIterator[None]:
    finding = PauseReason(sign=GuardSign.FAILED, orders=40, paid=1, line=20, share=0.976, usual_most=2, open_orders=60)
    await house.execute(
        "INSERT INTO account_pauses (account, sign, finding, paused_at) VALUES ('stripe-main', $1, $2, now())",
        str(finding.sign),
        msgspec.json.encode(finding).decode(),
    )
    yield
    await house.command("guard", "go", "stripe-main", "--note", "by the test of alerts")


@asynccontextmanager
async def silent(house: House) -> AsyncIterator[None]:
    await _insert_silence(house, "silent")
    yield
    assert await house.post() == 200


@asynccontextmanager
async def unanswering(house: House) -> AsyncIterator[None]:
    await _insert_silence(house, "unanswering")
    yield
    await _ask(house)


async def _insert_silence(house: House, kind: str) -> None:
    await house.execute(
        "INSERT INTO silences (account, kind, since, noticed_at, asked_at) "
        "VALUES ('stripe-main', $1, now(), now(), now())",
        kind,
    )
    if kind == "unanswering":
        await house.execute(
            "UPDATE account_health SET failing_since = now(), failed_at = now(), reason = 'unreachable'"
        )


async def _ask(house: House) -> None:
    ref = house.name()
    assert await house.stack.register(ref) == 201
    await house.command("order", "ask", ref, "--note", "by the test of alerts")


@asynccontextmanager
async def denies(house: House) -> AsyncIterator[None]:
    house.stack.configure(api_key="sk_test_of_somebody_else_entirely")
    await house.stack.processes["sweep"].saw("accounts_reloaded")
    await _ask(house)
    yield
    house.stack.configure()
    await house.stack.processes["sweep"].saw("accounts_reloaded", times=2)


@asynccontextmanager
async def keys_expire(house: House) -> AsyncIterator[None]:
    """An account with a platform certificate alone, issued so long ago that it ends in ten days."""
    house.stack.configure(accounts=_account_with_certificate(clock.now() - CERTIFICATE_LASTS + timedelta(days=10)))
    yield
    house.stack.configure(accounts=_account_with_certificate(clock.now()))


def _account_with_certificate(issued_at: datetime) -> str:
    issued = platform_certificate(WeChatPayKey(ENDING, new_rsa_key()), issued_at)
    pem = issued.public_bytes(Encoding.PEM).decode().replace("\n", "\\n")
    return "\n".join(
        [
            "[accounts.wechatpay-ending]",
            'gateway = "wechatpay"',
            'mch_id = "1900000109"',
            f'apiv3_key = "{"k3" * 16}"',
            f'platform_certs = {{ {ENDING} = "{pem}" }}',
        ]
    )
