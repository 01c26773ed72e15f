"""Looks at the accounts: whether they can be queried and, with --live, whether the gateway answers our credentials."""

import secrets
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from tillkeeper import clock
from tillkeeper.api_client.account_client import QueryFailed
from tillkeeper.api_client.client import ApiClient
from tillkeeper.api_client.http import Send, open_http
from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.cli.readiness.clocks import clock_finding
from tillkeeper.cli.readiness.finding import ReadinessFinding, off, ok, to_do, wrong
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import CannotQuery
from tillkeeper.gateways.messages import Call, Query, Response
from tillkeeper.logs import mask
from tillkeeper.settings import Settings

# One call, for a person waits.
PATIENCE: Final = ApiClientSettings(attempts=1, connect_s=5.0, call_s=10.0, total_s=12.0)


class Clocks:
    """Sends calls, and remembers how far the gateway's clock was ahead, by the Date of its answer."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.offset: timedelta | None = None
        self.uncertain = timedelta()

    async def send(self, call: Call) -> Response:
        """Sends a call."""
        before = clock.now()
        response = await self._send(call)
        self.uncertain = (clock.now() - before) / 2 + timedelta(seconds=1)  # the header tells whole seconds
        told = _date_of(response)
        self.offset = None if told is None else told - before - (clock.now() - before) / 2
        return response


def _date_of(response: Response) -> datetime | None:
    values = response.headers.get("date", ())
    try:
        told = parsedate_to_datetime(values[0]) if values else None
    except ValueError:
        return None
    return told if told is not None and told.tzinfo is not None else None


async def accounts(settings: Settings, *, live: bool) -> AsyncIterator[ReadinessFinding]:
    """Yields the lines about each account."""
    gateways = settings.build_gateways()
    async with open_http(PATIENCE) as send:
        for name, gateway in sorted(gateways.items()):
            clocks = Clocks(send)
            client = ApiClient({name: gateway}, PATIENCE, send=clocks.send)
            if not gateway.queryable or not client.can_query(name):
                yield _not_queryable(name, gateway)
            elif not live:
                yield ok(f"account {name}", f"{_title(gateway)}; whether its gateway knows our keys: --live")
            else:
                yield await _called(client, name, gateway)
                if clocks.offset is not None:
                    yield clock_finding(f"the API of {name}", clocks.offset, clocks.uncertain)


def _title(gateway: Gateway) -> str:
    mode = {True: ", live", False: ", test mode", None: ""}[gateway.live]
    return f"{gateway.about.title}{mode}"


def _not_queryable(name: str, gateway: Gateway) -> ReadinessFinding:
    what = f"account {name}"
    if not gateway.queryable:
        return ok(what, f"{_title(gateway)}; it cannot be queried, so its webhooks alone tell")
    return to_do(
        what,
        f"{_title(gateway)}; it cannot be queried, so a lost webhook stays lost",
        f"set {', '.join(gateway.about.set_up_with)} (deploy/accounts.toml)",
    )


async def _called(client: ApiClient, name: str, gateway: Gateway) -> ReadinessFinding:
    what = f"account {name}"
    try:
        await _harmless_call(client, name)
    except CannotQuery as error:
        return off(what, f"{_title(gateway)}; there is no call that harms nothing: {error}")
    except QueryFailed as error:
        says = f"{_title(gateway)}; {mask(' '.join(str(error).split()))}"
        return wrong(what, says, _advice(error))
    return ok(what, f"{_title(gateway)}; its gateway answers, and knows our keys")


def _advice(error: QueryFailed) -> str:
    match error.reason:
        case "denied":
            return "replace its API credentials: the gateway refuses them"
        case "unreachable" | "busy" | "breaker_open":
            return "see whether this machine reaches the gateway (proxy, firewall, DNS), and api_base"
        case _:
            return "see whether the keys that verify answers, and api_base, are those of this account"


async def _harmless_call(client: ApiClient, name: str) -> None:
    """Asks for the last minute's events, or else about a payment that there cannot be.  Raises QueryFailed,
    CannotQuery."""
    if client.can_list_events(name):
        now = clock.now()
        async for _ in client.events(name, since=now - timedelta(minutes=1), until=now):
            return
        return
    number = f"TILLKEEPERCHECK{secrets.token_hex(4)}"
    for payment_ref in (None, number, f"tr_{number}"):  # as in ANY_QUERIES: each gateway takes one of them
        try:
            await client.query(name, Query(about="payment", order_ref=number, payment_ref=payment_ref))
        except QueryFailed as error:
            if error.reason != "cannot_ask":
                raise
        else:
            return
    raise CannotQuery("none of our queries fits")
