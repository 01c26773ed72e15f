"""Makes the pages: templates are filled in here, and nowhere else."""

from collections.abc import Mapping
from typing import Any, Final

import jinja2
from aiohttp import web
from markupsafe import Markup

from tillkeeper.desk.context import desk_of
from tillkeeper.desk.navigation import is_open_to, navigation_for
from tillkeeper.desk.paths import account_path, order_path
from tillkeeper.desk.person import Locale, csrf_of, may_see_contacts, person_of
from tillkeeper.desk.show.shower import Shower
from tillkeeper.desk.static_files import static_url
from tillkeeper.domain.statuses import Status
from tillkeeper.store.people.random_tokens import new_token

HTML: Final = "text/html"
LANGUAGE_TAGS: Final[Mapping[Locale, str]] = {"zh": "zh-Hans", "en": "en"}

_templates: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("tillkeeper.desk"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    auto_reload=False,  # a process serves the templates that it began with
    trim_blocks=True,
    lstrip_blocks=True,
)


_templates.globals.update(
    static=static_url,
    order_path=order_path,
    account_path=account_path,
    tags=LANGUAGE_TAGS,
    statuses=tuple(Status),
    once=new_token,
)


def locale_of(request: web.Request) -> Locale:
    """Returns the language that the person chose; of who is not known yet, the first that the browser asks for."""
    person = person_of(request)
    if person is not None:
        return person.locale
    return "zh" if request.headers.get("Accept-Language", "").lower().startswith("zh") else "en"


def shower_for(request: web.Request) -> Shower:
    """Returns what writes for the reader of this request, as of now."""
    desk = desk_of(request)
    return Shower(
        locale=locale_of(request), zone=desk.zone, now=desk.now(), masks_contacts=not may_see_contacts(request)
    )


def fragment(template: str, shower: Shower, **content: Any) -> Markup:
    """Fills in a template that is part of a page."""
    return Markup(_templates.get_template(template).render(show=shower, say=shower.say, **content))  # noqa: S704 - escaped


def page(request: web.Request, template: str, *, status: int = 200, **content: Any) -> web.Response:
    """Answers with a page: the template's own content, within the frame that all pages have."""
    shower = content.pop("shower", None) or shower_for(request)
    body = fragment(
        template,
        shower,
        person=person_of(request),
        csrf=csrf_of(request),
        locale=shower.locale,
        path=request.rel_url.path,
        navigation=navigation_for(request.app, person_of(request)),
        finds=is_open_to(request.app, person_of(request), "/find"),
        **content,
    )
    return web.Response(text=body, status=status, content_type=HTML)
