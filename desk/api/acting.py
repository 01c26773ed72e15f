"""Does what a program asked for, once: in a transaction of its own, in the token's name, and noted."""

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from aiohttp import web

from tillkeeper.desk.access.identity import API_TOKEN, note_act
from tillkeeper.desk.acting import Deed
from tillkeeper.desk.api.call import CheckedCall
from tillkeeper.desk.json_problems import ApiProblem
from tillkeeper.openapi import JSON
from tillkeeper.store.people.approvals import AlreadyProposed
from tillkeeper.store.people.idempotency import (
    ANSWER_BYTES_MAX,
    KEY_CHARS_MAX,
    IdempotencyKey,
    KeyReused,
    StoredAnswer,
    keep_answer,
    take_key,
)
from tillkeeper.store.people.log import act_as
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.transactions import repeat_on_conflict

KEY: Final = "Idempotency-Key"
REPEATED: Final = "Idempotent-Replayed"  # on an answer that was given before

Work = Callable[[Conn], Awaitable[object]]


async def act_once(call: CheckedCall, deed: Deed, work: Work, *, status: int = 200) -> web.Response:
    """Runs `work`, whose result is the answer; a request that was done before is answered as it was then.

    Raises Problem for a key that is none, or that stands for another request.
    """
    key, request_hash = _key_of(call), _hash_of(call)

    async def once(conn: Conn) -> tuple[StoredAnswer, bool]:
        now = call.desk.now()
        before = None if key is None else await take_key(conn, key, request=request_hash, now=now)
        if before is not None:
            return before, True
        await act_as(conn, call.person.id, call.request.get(API_TOKEN))
        done = StoredAnswer(status=status, body=msgspec.json.encode(await work(conn)))
        await note_act(conn, call.request, deed.what, subject=deed.subject, why=deed.why)
        if key is not None:
            assert len(done.body) <= ANSWER_BYTES_MAX, deed.what
            await keep_answer(conn, key, done, now=now)
        return done, False

    try:
        answer, is_repeated = await repeat_on_conflict(call.desk.pool, once)
    except KeyReused:
        raise ApiProblem(422, "this Idempotency-Key was sent with another request") from None
    headers = {REPEATED: "true"} if is_repeated else {}
    return web.Response(status=answer.status, body=answer.body, content_type=JSON, headers=headers)


@contextmanager
def told_of_proposals(remedy: str = "See /api/approvals.") -> Iterator[None]:
    """Says that the same is proposed already."""
    try:
        yield
    except AlreadyProposed:
        raise ApiProblem(409, "it is proposed already, and nobody has decided yet", remedy) from None


def _key_of(call: CheckedCall) -> IdempotencyKey | None:
    text = call.request.headers.get(KEY)
    if text is None:
        return None
    if not (0 < len(text) <= KEY_CHARS_MAX and text.isascii() and text.isprintable()):
        raise ApiProblem(
            400, f"{KEY}: it is not of 1 to {KEY_CHARS_MAX} printable characters of ASCII", "Send a UUID, for instance."
        )
    return IdempotencyKey(person_id=call.person.id, token=call.request.get(API_TOKEN, ""), key=text)


def _hash_of(call: CheckedCall) -> bytes:
    """Returns what names the request: its address and its body, byte for byte."""
    address = f"{call.request.method} {call.request.rel_url.raw_path_qs}\n"
    return hashlib.sha256(address.encode() + call.raw_body).digest()
