"""Looks from outside: whether ingest.public_url leads to the receiver, through TLS and proxy."""

import asyncio
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import aiohttp
from yarl import URL

from tillkeeper import clock
from tillkeeper.cli.readiness.finding import ReadinessFinding, off, ok, to_do, wrong
from tillkeeper.settings import Settings

ANSWER_S: Final = 10.0
METHOD_REFUSED: Final = 405  # a webhook's path takes POST alone
NOT_FOUND: Final = 404
PROXY_ALONE: Final = range(500, 600)
CERTIFICATE_LEFT: Final = timedelta(days=14)
WHAT: Final = "public URL"
START: Final = "start the receiver (`tillkeeper ingest` or `run`) and the proxy before it, then check again"


async def public_url(settings: Settings) -> ReadinessFinding:
    """Returns the line about the address that gateways post to."""
    url = settings.ingest.public_url
    if url is None:
        return off(WHAT, "not known", "set ingest.public_url to have it looked at")
    if ".example." in f"{url}/".replace("/", ".").replace(":", "."):
        return to_do(WHAT, f"{url} is an example", "set ingest.public_url to where gateways reach this receiver")
    account = next(iter(sorted(settings.accounts)), "none")
    return await _asked(f"{url.rstrip('/')}/webhooks/{account}", account)


async def _asked(url: str, account: str) -> ReadinessFinding:
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.head(url, allow_redirects=False) as answer,
        ):
            if (trouble := _judged(url, account, answer.status, answer.headers)) is not None:
                return trouble
        return await _with_certificate(url)
    except aiohttp.ClientConnectorCertificateError as error:
        return wrong(
            WHAT, f"{url}: {error.certificate_error}", "give the proxy the certificate of this name, with its chain"
        )
    except aiohttp.ClientSSLError as error:
        return wrong(
            WHAT, f"{url}: {error.strerror or type(error).__name__}", "see the proxy's TLS (deploy/nginx.conf)"
        )
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return to_do(WHAT, f"{url}: nobody answers ({type(error).__name__})", START)


def _judged(url: str, account: str, status: int, headers: Mapping[str, str]) -> ReadinessFinding | None:
    """Returns what is wrong with the answer; None where it is the receiver's, through TLS."""
    if status in PROXY_ALONE:
        return to_do(WHAT, f"{url}: the proxy answers {status}, and no receiver is behind it", START)
    if status == NOT_FOUND:
        advice = f"forward /webhooks/ (deploy/nginx.conf) to a receiver that has the account {account}"
        return wrong(WHAT, f"{url}: not found", advice)
    if status != METHOD_REFUSED or headers.get("Allow") != "POST":
        return wrong(WHAT, f"{url}: answers {status}, as no receiver does", "forward /webhooks/ unchanged")
    if url.startswith("http://"):
        return to_do(WHAT, f"{url} leads to the receiver, without TLS", "put deploy/nginx.conf before it")
    return None


async def _with_certificate(url: str) -> ReadinessFinding:
    """Returns the line about an address that leads here: all is well while its certificate lasts."""
    left = await _certificate_left(URL(url))
    if left < CERTIFICATE_LEFT:
        says = f"{url} leads to the receiver; its certificate ends in {left.days} days"
        return to_do(WHAT, says, "renew the certificate")
    return ok(WHAT, f"{url} leads to the receiver")


async def _certificate_left(url: URL) -> timedelta:
    _, writer = await asyncio.open_connection(url.host, url.port, ssl=ssl.create_default_context())
    try:
        certificate = writer.get_extra_info("peercert")
    finally:
        writer.close()
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC) - clock.now()
