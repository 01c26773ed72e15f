"""Serves the files of desk/static under names that hold the hash of their content, so that browsers keep them for good.

All are read once, when the process starts: a request looks up a name, and never a path.
"""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec
from aiohttp import web

TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
HASH_CHARS: Final = 16
FOR_GOOD: Final = "public, max-age=31536000, immutable"


class StaticFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file with its name for browsers."""

    name: str
    content_type: str
    content: bytes


@cache
def static_files() -> dict[str, StaticFile]:
    """Returns all files by the names that browsers ask for."""
    return {file.name: file for file in _by_source().values()}


@cache
def _by_source() -> dict[str, StaticFile]:
    found = {}
    for path in files("tillkeeper.desk").joinpath("static").iterdir():
        stem, _, ending = path.name.rpartition(".")
        if ending in TYPES:
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:HASH_CHARS]
            found[path.name] = StaticFile(name=f"{stem}.{digest}.{ending}", content_type=TYPES[ending], content=content)
    return found


def static_url(source: str) -> str:
    """Returns the address of a file of desk/static."""
    return f"/static/{_by_source()[source].name}"


async def serve_static(request: web.Request) -> web.Response:
    """Answers GET /static/{name}."""
    file = static_files().get(request.match_info["name"])
    if file is None:
        raise web.HTTPNotFound
    return web.Response(
        body=file.content, content_type=file.content_type, charset="utf-8", headers={"Cache-Control": FOR_GOOD}
    )
