"""Sets what each answer of the desk tells browsers: load nothing foreign, keep nothing private, be framed by nobody."""

from typing import Final

from aiohttp import web

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers that know no frame-ancestors
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Server": "tillkeeper",
}
NOT_KEPT: Final = "no-store"


async def set_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Sets them on an answer that is about to be sent, whoever made it; unless it says so, nobody may keep it."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", NOT_KEPT)
