"""Posts one delivery to a receiver that runs, and tells what it answered."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.trigger.words import WantedDelivery, delivery_of

ANSWER_S: Final = 15.0  # a receiver answers within seconds even while its broker hangs
SHOWN_CHARS_MAX: Final = 200


class CannotTrigger(Exception):
    """Nothing was posted; the text says what would help."""


class ReceiverAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the receiver answered to the delivery."""

    account: str
    word: str  # as the gateway calls what happened
    event_id: str  # where the gateway's form has one
    payment_amount: int
    currency: str
    status: int
    answer: str

    @property
    def is_taken(self) -> bool:
        """Returns True where the delivery is durable."""
        return 200 <= self.status < 300  # noqa: PLR2004 - success


async def trigger(url: str, signer: Signer, word: str, wanted: WantedDelivery, *, now: datetime) -> ReceiverAnswer:
    """Signs and posts it.  Raises CannotTrigger where no receiver answers."""
    event_id = f"evt_{secrets.token_hex(12)}"
    (headers, body), query = delivery_of(signer, word, wanted, event_id=event_id, now=now)
    path = f"{url.rstrip('/')}/webhooks/{signer.account}{'?' if query else ''}{query}"
    async with _client() as client:
        try:
            async with client.post(URL(path, encoded=True), data=body, headers=headers) as response:
                answer = (await response.text(errors="replace"))[:SHOWN_CHARS_MAX]
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise CannotTrigger(f"no receiver answers at {url}: {error or type(error).__name__}") from None
    return ReceiverAnswer(
        account=signer.account,
        word=word,
        event_id=event_id,
        payment_amount=wanted.amount,
        currency=wanted.currency,
        status=status,
        answer=answer,
    )


async def registered_terms(url: str, token: str, order_ref: str) -> tuple[int, str]:
    """Returns what is due of a registered order, in minor units, and its currency.  Raises CannotTrigger."""
    path = f"{url.rstrip('/')}/orders/{quote(order_ref, safe='')}"
    async with _client() as client:
        try:
            async with client.get(URL(path, encoded=True), headers={"Authorization": f"Bearer {token}"}) as response:
                found: Mapping[str, object] = await response.json()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise CannotTrigger(f"no receiver answers at {url}: {error or type(error).__name__}") from None
    amount, currency = found.get("amount"), found.get("currency")
    if not isinstance(amount, int) or not isinstance(currency, str):
        raise CannotTrigger(f"order {order_ref!r}: {found.get('error')}; or give --amount and --currency")
    return amount, currency


def _client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S))
