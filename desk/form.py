"""Reads what forms send: texts and numbers, each within its bounds."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from tillkeeper.domain.monthly.figures import Month

TEXT_CHARS_MAX: Final = 2_000  # a reason that is longer is a document
ROWS_MAX: Final = 200  # acted on at once: as many as a page shows, and a few
YEARS: Final = range(2000, 2200)  # what a database and every time zone can express
ID_DIGITS_MAX: Final = 18  # of a number that the database can hold


class BadField(Exception):
    """A field holds nothing that can be used; `word` is the key of what is said about it."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class FormFields(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a form, or of a query."""

    fields: Mapping[str, tuple[str, ...]]

    def text(self, name: str) -> str:
        """Returns a text without the space around it; nothing where the field is missing."""
        return next(iter(self.fields.get(name, ())), "").strip()

    def needed(self, name: str, word: str) -> str:
        """Returns a text that must be there.  Raises BadField."""
        text = self.text(name)
        if not text:
            raise BadField(word)
        return text

    def ids(self, name: str) -> list[int]:
        """Returns the numbers of the rows that were ticked, each once.  Raises HTTPBadRequest for what is none."""
        ids = [number_in(text) for text in self.fields.get(name, ())]
        if len(ids) > ROWS_MAX:
            raise web.HTTPBadRequest
        return list(dict.fromkeys(ids))

    @property
    def texts(self) -> dict[str, str]:
        """Returns the text of each field, for who shows the form once more."""
        return {name: self.text(name) for name in self.fields}


async def form_of(request: web.Request) -> FormFields:
    """Reads a form.  Raises HTTPBadRequest for a text that no database holds, or that nobody reads."""
    return _checked(await sent_fields(request))


async def sent_fields(request: web.Request) -> Mapping[str, object]:
    """Reads a form's fields as they were sent.  Raises HTTPBadRequest for a body that is not of its Content-Type."""
    try:
        return await request.post()
    except (ValueError, LookupError, AssertionError) as error:  # no boundary, no such charset, no part
        raise web.HTTPBadRequest from error


def query_of(request: web.Request) -> FormFields:
    """Reads the query of an address as a form that was sent by it."""
    return _checked(request.query)


def _checked(sent: Mapping[str, object]) -> FormFields:
    fields: dict[str, list[str]] = {}
    for name, value in sent.items():
        if not isinstance(value, str) or not is_keepable(value):
            raise web.HTTPBadRequest
        fields.setdefault(name, []).append(value)
    return FormFields(fields={name: tuple(values) for name, values in fields.items()})


def is_keepable(text: str) -> bool:
    """Returns whether a database can hold the text, and somebody read it."""
    return len(text) <= TEXT_CHARS_MAX and "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def number_in(text: str) -> int:
    """Reads a row's number.  Raises HTTPBadRequest for anything else."""
    if not text.isascii() or not text.isdecimal() or len(text) > ID_DIGITS_MAX:
        raise web.HTTPBadRequest
    return int(text)


def moment_in(text: str) -> datetime:
    """Reads a moment with its offset.  Raises HTTPBadRequest for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise web.HTTPBadRequest from None
    if moment.tzinfo is None or moment.year not in YEARS:
        raise web.HTTPBadRequest
    return moment


def list_path(path: str, **filters: str) -> str:
    """Returns the address of a list with these filters; those that are empty are left out."""
    query = urlencode({name: value for name, value in filters.items() if value})
    return f"{path}?{query}" if query else path


def id_in(request: web.Request) -> int:
    """Reads the row's number out of the path.  Raises HTTPNotFound for what no row has."""
    text = request.match_info["id"]
    if len(text) > ID_DIGITS_MAX:
        raise web.HTTPNotFound
    return int(text)


def month_in(text: str) -> Month:
    """Reads a month.  Raises HTTPBadRequest."""
    try:
        return Month.read(text)
    except ValueError:
        raise web.HTTPBadRequest from None
