"""Tells forms of the desk from those that another site had a browser send.

Each session has a token that follows from the cookie's, and that nobody can know who cannot read a page of the session;
who is not signed in yet has a cookie for it, too, so that nobody is signed in as somebody else without noticing.
"""

import hmac
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from tillkeeper.desk.form import sent_fields

FIELD: Final = "csrf"
HEADER: Final = "X-CSRF-Token"
READING: Final = frozenset({"GET", "HEAD"})
FORMS: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


def csrf_token(secret: str) -> str:
    """Returns the token that goes with a session's cookie, or a visitor's."""
    return hmac.digest(secret.encode(errors="surrogatepass"), b"csrf", "sha256").hex()


def is_from_here(request: web.Request) -> bool:
    """Returns False where the browser says that another site made it send this."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin")
    return site == "same-origin" and (origin is None or _host_of(origin) == request.host.lower())


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


async def carries(request: web.Request, token: str) -> bool:
    """Returns whether a request carries this token, in its header or its form."""
    sent = request.headers.get(HEADER)
    if sent is None and request.content_type in FORMS:
        field = (await sent_fields(request)).get(FIELD)
        sent = field if isinstance(field, str) else None
    return bool(token) and sent is not None and hmac.compare_digest(sent.encode(errors="replace"), token.encode())
