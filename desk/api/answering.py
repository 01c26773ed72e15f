"""Answers calls: reads and checks what came, has the operation's handler answer, and writes that as JSON."""

from collections.abc import Collection
from datetime import datetime
from math import ceil
from typing import Any, Final, get_args, get_type_hints

import msgspec
from aiohttp import web

from tillkeeper.desk.access.identity import API_TOKEN
from tillkeeper.desk.api.call import CheckedCall, parts_of
from tillkeeper.desk.api.limits import BURST, LIMITER, PER_S
from tillkeeper.desk.api.operation import Operation
from tillkeeper.desk.form import YEARS
from tillkeeper.desk.json_problems import ApiProblem
from tillkeeper.desk.person import PERSON, may_see_contacts
from tillkeeper.desk.route import Handler
from tillkeeper.domain.masking import without_any_contacts
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import strictjson
from tillkeeper.openapi import JSON

QUERY_CHARS_MAX: Final = 2_000  # of one parameter
NUMBER_DIGITS_MAX: Final = 18
FREE_TEXTS: Final = frozenset({"note", "reason", "outcome", "error", "last_error"})  # people write what they like
TEXT_CHARS_MAX: Final = 2_000  # of such a text: at a terminal a note may be as long as somebody likes


class NoQuery(msgspec.Struct, frozen=True):
    """The operation takes no parameters."""


def handler_of(operation: Operation) -> Handler:
    """Returns what answers the operation's requests."""
    numbers = frozenset() if operation.query is None else _numbers_of(operation.query)

    async def handle(request: web.Request) -> web.StreamResponse:
        _refuse_too_many(request, operation.cost)
        raw_body = await _raw_body(request) if operation.takes is not None else b""
        call = CheckedCall(
            request=request,
            parts=parts_of(request, operation.path),
            query=_query(request, operation.query or NoQuery, numbers),
            body=None if operation.takes is None else _body(raw_body, operation.takes),
            raw_body=raw_body,
        )
        answer = await operation.handler(call)
        if isinstance(answer, web.StreamResponse):
            return answer
        answer = _with_readable_texts(msgspec.to_builtins(answer), masks=not may_see_contacts(request))
        return web.Response(status=operation.status, body=msgspec.json.encode(answer), content_type=JSON)

    return handle


def _with_readable_texts(value: Any, *, masks: bool) -> Any:
    """Cuts what people wrote, and errors, at any depth, and removes contacts from it where the reader may see none;
    references stay as they are."""
    if isinstance(value, list):
        return [_with_readable_texts(each, masks=masks) for each in value]
    if isinstance(value, dict):
        return {
            name: _readable(each, masks=masks)
            if name in FREE_TEXTS and isinstance(each, str)
            else _with_readable_texts(each, masks=masks)
            for name, each in value.items()
        }
    return value


def _readable(text: str, *, masks: bool) -> str:
    short = text if len(text) <= TEXT_CHARS_MAX else f"{text[:TEXT_CHARS_MAX]}…"
    return without_any_contacts(short) if masks else short


def _refuse_too_many(request: web.Request, cost: float) -> None:
    """Raises Problem for a token, or a person, that has asked too often."""
    wait_s = request.app[LIMITER].wait_s((request[PERSON].id, request.get(API_TOKEN)), cost)
    if wait_s:
        says = f"this token may make {PER_S:.0f} requests a second, after {BURST:.0f} at once"
        raise ApiProblem(429, says, retry_after_s=ceil(wait_s))


def _query(request: web.Request, kind: type[Any], numbers: Collection[str]) -> Any:
    """Reads the parameters of the address.  Raises Problem."""
    sent = request.query
    names = kind.__struct_fields__
    for name in sent:
        if name not in names:
            known = ", ".join(names) or "none"
            raise ApiProblem(400, "a parameter of the address is not known here", f"It takes {known}.")
        if len(sent.getall(name)) > 1:
            raise ApiProblem(400, f"{name}: it stands in the address more than once", "Send it once.")
        if len(sent[name]) > QUERY_CHARS_MAX or not _is_keepable(sent[name]):
            raise ApiProblem(400, f"{name}: it is longer than {QUERY_CHARS_MAX} characters, or no text")
    try:
        return _checked(msgspec.convert({name: _value(sent[name], is_number=name in numbers) for name in sent}, kind))
    except msgspec.ValidationError as error:
        raise ApiProblem(400, f"the address: {error}") from None


def _value(text: str, *, is_number: bool) -> str | int:
    """Returns a parameter as its type wants it: a text stays one, also where it looks like something else."""
    return int(text) if is_number and text.isascii() and text.isdecimal() and len(text) <= NUMBER_DIGITS_MAX else text


def _numbers_of(kind: type[Any]) -> frozenset[str]:
    """Returns the names of the fields that hold a number."""
    hints = get_type_hints(kind, include_extras=False)
    return frozenset(name for name, hint in hints.items() if int in (hint, *get_args(hint)))


def _checked(wanted: Any) -> Any:
    """Returns what was read.  Raises Problem for times that the database or a time zone cannot express."""
    for name in wanted.__struct_fields__:
        value = getattr(wanted, name)
        if isinstance(value, datetime) and value.year not in YEARS:
            remedy = f"Send a time between the years {YEARS.start} and {YEARS.stop - 1}."
            raise ApiProblem(400, f"{name}: there is no such time here", remedy)
    return wanted


def _is_keepable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


async def _raw_body(request: web.Request) -> bytes:
    if request.content_type != JSON:
        raise ApiProblem(415, "the header Content-Type is not application/json")
    if "Content-Encoding" in request.headers:
        raise ApiProblem(415, "the body is compressed", "Send it as it is, without Content-Encoding.")
    return await request.read()


def _body(raw: bytes, kind: type[Any]) -> Any:
    """Reads the body.  Raises Problem."""
    try:
        return _checked(msgspec.convert(strictjson.loads(raw), kind))
    except BadPayload as error:
        raise ApiProblem(400, error.reason) from None
    except msgspec.ValidationError as error:
        raise ApiProblem(400, f"the body: {error}") from None
