"""Deliveries spoilt in every way that we could think of.  Each takes its chance as an argument."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from random import Random

import msgspec
from meaning import WRONG_FIELDS, WRONG_LEAVES, leaves, replaced

from tillkeeper.gateways.messages import Request

ODD_TEXTS = ("", " ", "x", "é", "\udc80", "签名", "1" * 300, ",,,", "t=1", "0" * 64, "=", "\n", "null")
ODD_QUERIES = ("", "?", "=", "&&", "%zz", "a=%00", "id=..%2F..", "id=1&id=2", "é", "x" * 300, "data.id=1")
ODD_BYTES = (b"", b"\0", b"{}", b"[]", b"null", b"\xff", b"\n", b"&a=b", b'"', b"<a/>", b"9" * 30, b"1e400")
_ELEMENT = re.compile(rb"<([A-Za-z_][\w.-]*)>[^<]*(?:<!\[CDATA\[[^\]]*\]\]>)?</\1>")

Mutation = Callable[[Random, Request, Request], Request]


def flipped(chance: Random, one: Request, _other: Request) -> Request:
    return with_body(one, flipped_bytes(chance, one.body))


def flipped_bytes(chance: Random, body: bytes) -> bytes:
    if not body:
        return chance.randbytes(1)
    spoilt = bytearray(body)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


def truncated(chance: Random, one: Request, _other: Request) -> Request:
    end = chance.randrange(len(one.body) + 1)
    return with_body(one, chance.choice((one.body[:end], one.body[end:])))


def spliced(chance: Random, one: Request, other: Request) -> Request:
    return with_body(one, spliced_bytes(chance, one.body, other.body))


def spliced_bytes(chance: Random, one: bytes, other: bytes) -> bytes:
    at = chance.randrange(min(len(one), len(other)) + 1)
    return one[:at] + other[at + chance.choice((0, 0, -1, 1)) :]


def shuffled(chance: Random, one: Request, _other: Request) -> Request:
    return with_body(one, shuffled_bytes(chance, one.body))


def shuffled_bytes(chance: Random, body: bytes) -> bytes:
    """A piece left out, said twice, or something odd put in."""
    since, until = sorted(chance.randrange(len(body) + 1) for _ in range(2))
    piece = chance.choice((b"", body[since:until] * 2, chance.choice(ODD_BYTES), chance.randbytes(3)))
    return body[:since] + piece + body[chance.choice((since, until)) :]


def exchanged(chance: Random, one: Request, other: Request) -> Request:
    """Parts of another genuine delivery."""
    part = chance.choice(("headers", "body", "query"))
    return msgspec.structs.replace(one, **{part: getattr(other, part)})


def without_a_field(chance: Random, one: Request, _other: Request) -> Request:
    return with_body(one, with_field(chance, one.body, leave_out=True))


def with_a_wrong_value(chance: Random, one: Request, _other: Request) -> Request:
    return with_body(one, with_field(chance, one.body, leave_out=False))


def with_field(chance: Random, body: bytes, *, leave_out: bool) -> bytes:
    """The body without one of its fields, or with another value in it, by whatever form it has."""
    if body[:1] in (b"{", b"["):
        return json_with_field(chance, body, leave_out=leave_out)
    if body[:1] == b"<":
        found = list(_ELEMENT.finditer(body))
        if not found:
            return flipped_bytes(chance, body)
        tag, value = chance.choice(found), chance.choice(WRONG_FIELDS).encode()
        name = tag[1]
        return body[: tag.start()] + (b"" if leave_out else b"<%b>%b</%b>" % (name, value, name)) + body[tag.end() :]
    pairs = body.split(b"&")
    at = chance.randrange(len(pairs))
    value = chance.choice(WRONG_FIELDS).encode()
    pairs[at : at + 1] = [] if leave_out else [pairs[at].partition(b"=")[0] + b"=" + value]
    return b"&".join(pairs)


def json_with_field(chance: Random, body: bytes, *, leave_out: bool) -> bytes:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return flipped_bytes(chance, body)
    if not (paths := list(leaves(value))):
        return flipped_bytes(chance, body)
    path = chance.choice(paths)
    value = left_out(value, path) if leave_out else replaced(value, path, chance.choice(WRONG_LEAVES))
    return json.dumps(value, separators=chance.choice(((",", ":"), (", ", ": ")))).encode()


def left_out(value, path):
    if len(path) > 1:
        return replaced(value, path[:-1], left_out(inner(value, path[:-1]), path[-1:]))
    copy = value.copy()
    del copy[path[0]]
    return copy


def inner(value, path):
    for name in path:
        value = value[name]
    return value


def with_another_header(chance: Random, one: Request, other: Request) -> Request:
    names = sorted(one.headers.keys() | other.headers.keys()) or ["x"]
    name = chance.choice(names)
    values = list(one.headers.get(name, ()))
    value = values[0] if values else ""
    changed = chance.choice(
        (
            [],
            [chance.choice(ODD_TEXTS)],
            [*values, *values],
            [*values, chance.choice(ODD_TEXTS)],
            [flipped_text(chance, value)],
            [value[: chance.randrange(len(value) + 1)]],
            [value + chance.choice(ODD_TEXTS)],
            list(other.headers.get(chance.choice(names), ())),
        )
    )
    return msgspec.structs.replace(one, headers={**one.headers, name: changed})


def flipped_text(chance: Random, text: str) -> str:
    if not text:
        return "x"
    at = chance.randrange(len(text))
    return text[:at] + chr(ord(text[at]) ^ 1 << chance.randrange(7)) + text[at + 1 :]


def with_another_query(chance: Random, one: Request, _other: Request) -> Request:
    query = one.query
    at = chance.randrange(len(query) + 1)
    changed = chance.choice(
        (chance.choice(ODD_QUERIES), flipped_text(chance, query), query[:at], f"{query}&{query}", f"{query}&a=b")
    )
    return msgspec.structs.replace(one, query=changed)


def random_bytes(chance: Random, one: Request, _other: Request) -> Request:
    return with_body(one, chance.randbytes(chance.choice((0, 1, 8, 100, 1000))))


def random_all(chance: Random, one: Request, _other: Request) -> Request:
    """Nothing of it is genuine but the names of the headers."""
    headers: Mapping[str, Sequence[str]] = {
        name: [chance.choice((chance.choice(ODD_TEXTS), chance.randbytes(chance.choice((1, 32, 64, 256))).hex()))]
        for name in one.headers
    }
    return Request(headers, chance.randbytes(chance.randrange(200)), chance.choice(ODD_QUERIES))


MUTATIONS: Mapping[str, Mutation] = {
    "bytes flipped": flipped,
    "truncated": truncated,
    "spliced": spliced,
    "pieces moved": shuffled,
    "parts of another": exchanged,
    "a field left out": without_a_field,
    "a wrong value": with_a_wrong_value,
    "another header": with_another_header,
    "another query": with_another_query,
    "random bytes": random_bytes,
    "random": random_all,
}

# Of bytes that an authentic sender could choose.
PLAIN_MUTATIONS: Mapping[str, Callable[[Random, bytes], bytes]] = {
    "authentic, bytes flipped": flipped_bytes,
    "authentic, pieces moved": shuffled_bytes,
    "authentic, a field left out": lambda chance, plain: with_field(chance, plain, leave_out=True),
    "authentic, a wrong value": lambda chance, plain: with_field(chance, plain, leave_out=False),
    "authentic, random bytes": lambda chance, _plain: chance.randbytes(chance.randrange(300)),
}
OTHER_TIMES = [timedelta(0)] * 12 + [timedelta(seconds=s) for s in (-86_400, -301, -299, 299, 301, 86_400)]


def with_body(request: Request, body: bytes) -> Request:
    return msgspec.structs.replace(request, body=body)
