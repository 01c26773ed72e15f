"""Reads the fields of forms, and leads on to the page that shows what they did."""

from aiohttp import hdrs, web

from tillkeeper.desk.form import sent_fields


async def field_of(request: web.Request, name: str) -> str:
    """Returns a field of the form; nothing where it is missing, or a file."""
    value = (await sent_fields(request)).get(name)
    return value if isinstance(value, str) and "\0" not in value else ""


def see_other(path: str) -> web.Response:
    """Answers a form that was taken: the browser loads another page, which may be loaded again."""
    return web.Response(status=web.HTTPSeeOther.status_code, headers={hdrs.LOCATION: path})
