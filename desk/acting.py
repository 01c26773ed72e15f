"""Does what a person asked for by a form, in a transaction of its own, in that person's name.

Who did what, and why, is written down in the same transaction.  A form that comes twice, as by a double click, is done
once: the second waits for the first, and leads where that led.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from tillkeeper.desk.access.csrf import FIELD as CSRF_FIELD
from tillkeeper.desk.access.identity import API_TOKEN, note_act
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import form_of
from tillkeeper.desk.person import Person, person_of
from tillkeeper.store.people.idempotency import IdempotencyKey, StoredAnswer, keep_answer, take_key
from tillkeeper.store.people.log import act_as
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.transactions import repeat_on_conflict

Result = TypeVar("Result")

ONCE: Final = "once"  # the field with the key of a form, which each form has anew
DONE: Final = StoredAnswer(status=web.HTTPSeeOther.status_code, body=b"")


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """What is written down of an act: what was done, to what, and why."""

    what: str
    subject: str
    why: str = ""


def actor(request: web.Request) -> Person:
    """Returns who acts."""
    person = person_of(request)
    assert person is not None  # no route of an act is for anyone
    return person


def by_of(request: web.Request) -> str:
    """Returns the name that an act is written down under: a token's stands behind its person's."""
    token = request.get(API_TOKEN)
    return actor(request).name if token is None else f"{actor(request).name}/{token}"


async def act(request: web.Request, deed: Deed, work: Callable[[Conn], Awaitable[Result]]) -> Result | None:
    """Runs `work` in a transaction, and notes it.  Returns None for a form that was sent before: it is done no more."""
    key, fields = await _key_of(request, deed), await _fields_of(request)

    async def work_and_note(conn: Conn) -> Result | None:
        now = desk_of(request).now()
        if key is not None and await take_key(conn, key, request=fields, now=now) is not None:
            return None
        await act_as(conn, actor(request).id, request.get(API_TOKEN))
        done = await work(conn)
        await note_act(conn, request, deed.what, subject=deed.subject, why=deed.why)
        if key is not None:
            await keep_answer(conn, key, DONE, now=now)
        return done

    return await repeat_on_conflict(desk_of(request).pool, work_and_note)


async def _key_of(request: web.Request, deed: Deed) -> IdempotencyKey | None:
    """Returns the key that the form was made with, for this deed: one form may do the same to many rows.

    Whoever goes back and writes something else into the same form means another act.
    """
    once = (await form_of(request)).text(ONCE)
    if not once:
        return None
    named = hashlib.sha256(f"{once}\n{deed.what}\n{deed.subject}\n".encode() + await _fields_of(request)).hexdigest()
    return IdempotencyKey(person_id=actor(request).id, token="", key=f"form {named}")


async def _fields_of(request: web.Request) -> bytes:
    """Returns a hash of what was sent, and where to."""
    fields = {name: texts for name, texts in (await form_of(request)).fields.items() if name != CSRF_FIELD}
    sent = [request.rel_url.raw_path, *(f"{name}={text}" for name, texts in sorted(fields.items()) for text in texts)]
    return hashlib.sha256("\0".join(sent).encode()).digest()
