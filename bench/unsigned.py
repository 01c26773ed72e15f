"""`python -m bench.unsigned`: what the worst body that nobody signed costs each gateway, on the event loop.

Each is a genuine delivery with keys that nobody configured, and as much of one thing put into it as a body may have.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from secrets import token_hex
from time import perf_counter
from typing import Annotated, Final

import typer

from tillkeeper import clock
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import Refused
from tillkeeper.gateways.kit import form, strictjson, strictxml
from tillkeeper.gateways.messages import Request
from tillkeeper.sandbox.accounts import account_of, new_signers, write_config
from tillkeeper.sandbox.formats import Signed
from tillkeeper.sandbox.simulators.registry import ALL_GATEWAYS, parse_gateways, simulator_of
from tillkeeper.sandbox.story_generator import generate_story
from tillkeeper.settings import load_settings

BODY_BYTES: Final = 256 * 1024
REPEATED: Final = 3
WORST_MS: Final = 25.0  # at twice the usual size; the target beside an attack is a p99 of 250 ms


def main(
    gateways: Annotated[str, typer.Option(help="Gateways, with commas between them, or all.")] = ALL_GATEWAYS,
    kib: Annotated[int, typer.Option(min=1, help="The size of a body.")] = BODY_BYTES // 1024,
) -> None:
    """Prints milliseconds for each gateway, at a size and at twice that size."""
    print(f"{'gateway':14}{'worst':>28}{f'{kib} KiB, ms':>14}{f'{2 * kib} KiB, ms':>14}")
    for name in parse_gateways(gateways):
        costs = {size: costs_of(name, size * 1024) for size in (kib, 2 * kib)}
        worst = max(costs[kib], key=lambda cost: costs[kib][cost])
        print(f"{name:14}{worst:>28}{costs[kib][worst]:14.1f}{costs[2 * kib][worst]:14.1f}")


def costs_of(name: str, size_bytes: int) -> dict[str, float]:
    """Milliseconds by what the body is full of."""
    gateway, (headers, body), query = a_forgery(name)
    told = {key.lower(): [value] for key, value in headers.items()}
    costs = {}
    for what, hostile in hostile_bodies(body, size_bytes):
        request = Request(told, hostile, query)
        costs[what] = min(_took_ms(gateway, request) for _ in range(REPEATED))
    return costs


def _took_ms(gateway: Gateway, request: Request) -> float:
    started = perf_counter()
    try:
        verified = gateway.verify(request, clock.now())
        gateway.parse(verified)
        gateway.queries_for(verified)
    except Refused:
        pass
    return (perf_counter() - started) * 1000


def a_forgery(name: str) -> tuple[Gateway, Signed, str]:
    """A gateway, and a delivery to it that is whole and signed with keys that are not configured."""
    signers = new_signers([name])
    account, simulator = account_of(name), simulator_of(name)
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "tillkeeper.toml"
        place: Mapping[str, str | None] = {"database_url": "postgresql://nobody@127.0.0.1/", "broker_url": None}
        bases = {} if simulator.api is None else {account: "http://127.0.0.1:1"}
        write_config(config, signers, port=1, token=token_hex(32), bases=bases, **place)  # type: ignore[arg-type]
        gateway = load_settings(config, {}).build_gateways()[account]
    signer = signers[account] if simulator.impostor is None else simulator.impostor(signers[account])
    now = clock.now().replace(microsecond=0)
    story = generate_story(7, 0, run="T", now=now, accounts={account: name}, templates={name: simulator.templates[:1]})
    event = story.events[0]
    return gateway, signer.sign(story, event, now=now, again=0), simulator.query_of(story, event)


def hostile_bodies(body: bytes, size_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Bodies of this size by what they are full of, in the genuine body's own form."""
    yield "bytes of nothing", b"a" * size_bytes
    if body.lstrip().startswith((b"{", b"[")):
        yield from _json(body, size_bytes)
    elif body.lstrip().startswith(b"<"):
        yield from _xml(body, size_bytes)
    else:
        yield from _form(body, size_bytes)


def _filled(begin: bytes, part: bytes, end: bytes, size_bytes: int) -> bytes:
    return begin + part * ((size_bytes - len(begin) - len(end)) // len(part)) + end


def _numbered(begin: bytes, part: bytes, end: bytes, size_bytes: int) -> bytes:
    count = (size_bytes - len(begin) - len(end)) // (len(part) + 4)
    return begin + b"".join(part % number for number in range(count)) + end


def _json(body: bytes, size_bytes: int) -> Iterator[tuple[str, bytes]]:
    begin = json.dumps(json.loads(body), ensure_ascii=False).encode()[:-1]
    close = b"}" if body.lstrip().startswith(b"{") else b"]"
    inside = b', "pad": ' if close == b"}" else b", "
    marks = sum(begin.count(each) for each in (b",", b"{", b"[")) + 9
    for most in (1_000, strictjson.UNSIGNED_MARKS_MAX):
        few = min(size_bytes // 64, most - marks)
        yield f"{most} fractions", begin + inside + b"[" + b"0.12345678901234567890," * few + b"0]" + close
        yield f"{most} objects", begin + inside + b"[" + b'{"a":1},' * (few // 2) + b"0]" + close
        yield f"{most} fields", begin + b"".join(b',"a%d":1.5' % number for number in range(few)) + close
    for what, part in {
        "integers": b"1,",
        "fractions": b"1.5,",
        "long fractions": b"0.123456789012345678901234567890,",
        "long integers": b"123456789012345678,",
        "texts": b'"",',
        "objects": b"{},",
        "objects with a member": b'{"a":1},',
        "lists": b"[[]],",
    }.items():
        yield what, _filled(begin + inside + b"[", part, b"0]" + close, size_bytes)
    yield "fields", _numbered(begin, b',"a%d":1', close, size_bytes)
    yield "spaces", _filled(begin, b" ", close, size_bytes)
    yield "brackets", _filled(begin + inside, b"[", b"", size_bytes)
    yield "brackets in pairs", _filled(begin + inside, b"[]", close, size_bytes)
    yield "quotes", _filled(begin + inside, b'""', close, size_bytes)
    for what, part in {
        "escapes": b"\\u4e2d",
        "halves of pairs": b"\\ud83d",
        "slashes": b"\\/",
        "tails": b"\xe4",
    }.items():
        yield what, _filled(begin + inside + b'"', part, b'"' + close, size_bytes)
    yield "backslashes without an end", _filled(begin + inside + b'"', b"\\\\", b"", size_bytes)


def _xml(body: bytes, size_bytes: int) -> Iterator[tuple[str, bytes]]:
    begin, _, last = body.rstrip().rpartition(b"</")
    end = b"</" + last
    for what, part in {
        "elements": b"<a/>",
        "elements with text": b"<a>1</a>",
        "references": b"&#65;",
        "texts": b"<![CDATA[a]]>",
        "lines": b"\n",
    }.items():
        yield what, _filled(begin, part, end, size_bytes)
        yield f"{what} in one field", _filled(begin + b"<pad>", part, b"</pad>" + end, size_bytes)
    yield "few texts", begin + b"<![CDATA[a]]>" * (3 * strictxml.ELEMENTS_MAX - begin.count(b"<") - 1) + end
    yield "few attributes", _numbered(begin + b"<a", b' a%d="1"', b"/>" + end, len(begin) + 24 * strictxml.ELEMENTS_MAX)
    yield "fields", _numbered(begin, b"<a%d>1</a>", end, size_bytes)
    yield "attributes", _numbered(begin + b"<a", b' a%d="1"', b"/>" + end, size_bytes)
    yield "nesting", _filled(begin, b"<a>", end, size_bytes)


def _form(body: bytes, size_bytes: int) -> Iterator[tuple[str, bytes]]:
    for what, part in {
        "escapes": b"%41",
        "pluses": b"+",
        "characters": b"%E4%B8%AD",
        "equals": b"=",
        "text": b"a",
    }.items():
        yield what, _filled(body + b"&pad=", part, b"", size_bytes)
    few = min(size_bytes // 3, form.ESCAPES_MAX) - body.count(b"%")
    yield "few escapes", body + b"&pad=" + b"%41" * few + b"a" * (size_bytes - len(body) - 5 - 3 * few)
    yield "ampersands", _filled(body, b"&", b"", size_bytes)
    yield "fields", _numbered(body, b"&a%d=1", b"", size_bytes)
    name = body.partition(b"=")[0]
    yield "escapes in its first field", _filled(name + b"=", b"%26", body.partition(b"=")[2], size_bytes)


if __name__ == "__main__":
    typer.run(main)
