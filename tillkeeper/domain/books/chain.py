"""Defines the chain of hashes over what must not change any more: events, acts of people and entries of cases.

    row ──> leaf, of what never changes in it ──> link: the leaves of many rows, and the hash of the link before

Whoever changes, removes or adds a row afterwards must make every later link anew, and that shows: the head, printed or
kept elsewhere, is in the chain no more; where links are signed, they cannot be made without the key.

A note may lose its payer's contacts by `tillkeeper erase`.  So it has a leaf of its own, with a salt that erasure
removes: then the leaf tells nothing about what was erased, and the rest of its row is proven as before.
"""

import hashlib
from base64 import b32decode, b32encode
from binascii import Error
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import msgspec

LEAF_BYTES: Final = 16  # of SHA-256: nobody finds another row with the same leaf
SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
START: Final = bytes(HASH_BYTES)  # what the first link has for the one before
PRINTED_BYTES: Final = 20  # of a link's hash: 32 letters and digits
GROUP: Final = 4
NUMBER_DIGITS_MAX: Final = 18

_encode: Final = msgspec.json.Encoder().encode


class ChainedTable(StrEnum):
    """What is chained, by its table; each has an id that grows."""

    EVENTS = "inbox"
    ACTS = "acts"
    CASE_ENTRIES = "case_entries"


class Leaf(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A row as a link holds it: its id, and the hashes of what never changes in it and of its note."""

    id: int
    fixed: bytes
    note: bytes = b""  # empty where the row has no note


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link of the chain: every row of `subject` with an id from `first_id` to `last_id`, as it was at `sealed_at`."""

    number: int
    subject: ChainedTable
    first_id: int
    last_id: int
    leaves: bytes  # packed
    sealed_at: datetime
    previous: bytes
    hash: bytes
    signature: bytes | None = None


class BadHead(ValueError):
    """A printed head cannot be read; the text says what would be right."""


def fixed_leaf(values: Sequence[object]) -> bytes:
    """Returns the hash of a row's values, which are written as JSON; moments are aware."""
    in_utc = [value.astimezone(UTC) if isinstance(value, datetime) else value for value in values]
    return hashlib.sha256(_encode(in_utc)).digest()[:LEAF_BYTES]


def note_leaf(salt: bytes, note: str) -> bytes:
    """Returns the hash of a note."""
    return hashlib.sha256(salt + note.encode()).digest()[:LEAF_BYTES]


def packed(leaves: Sequence[Leaf]) -> bytes:
    """Writes leaves, in the order of their ids, as MessagePack."""
    return msgspec.msgpack.encode(leaves)


def leaves_in(link: Link) -> list[Leaf]:
    """Reads the leaves of a link.  Raises msgspec.MsgspecError."""
    return msgspec.msgpack.decode(link.leaves, type=list[Leaf])


def hash_of(link: Link) -> bytes:
    """Returns what the hash of a link must be."""
    head = [link.number, link.subject, link.first_id, link.last_id, link.sealed_at.astimezone(UTC)]
    return hashlib.sha256(link.previous + _encode(head) + link.leaves).digest()


def new_link(
    before: Link | None, subject: ChainedTable, *, first_id: int, last_id: int, leaves: Sequence[Leaf], now: datetime
) -> Link:
    """Makes the next link, unsigned."""
    link = Link(
        number=before.number + 1 if before else 1,
        subject=subject,
        first_id=first_id,
        last_id=last_id,
        leaves=packed(leaves),
        sealed_at=now,
        previous=before.hash if before else START,
        hash=b"",
    )
    return msgspec.structs.replace(link, hash=hash_of(link))


def printed_head(link: Link) -> str:
    """Writes a link's number and hash for paper, such as 1042-ABCD-EFGH-...: the last group proves the others."""
    text = b32encode(link.hash[:PRINTED_BYTES]).decode()
    groups = [text[at : at + GROUP] for at in range(0, len(text), GROUP)]
    return "-".join([str(link.number), *groups, _check(link.number, text)])


def read_head(text: str) -> tuple[int, bytes]:
    """Returns the number and the beginning of the hash of a printed head, however it is spaced.  Raises BadHead."""
    number, *groups = text.upper().replace(" ", "-").strip("-").split("-")
    letters = "".join(groups)
    said, check = letters[:-GROUP], letters[-GROUP:]
    try:
        begin = b32decode(said)
    except Error:
        begin = b""
    if not (number.isascii() and number.isdigit() and len(number) <= NUMBER_DIGITS_MAX and len(begin) == PRINTED_BYTES):
        raise BadHead(
            "a head is a number and nine groups of four letters or digits, as `tillkeeper chain head` prints it"
        )
    if check != _check(int(number), said):
        raise BadHead("the last group does not fit the others: a letter was mistyped")
    return int(number), begin


def _check(number: int, text: str) -> str:
    return b32encode(hashlib.sha256(f"{number}-{text}".encode()).digest())[:GROUP].decode()


class RowFault(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is not as it was sealed."""

    subject: ChainedTable
    id: int
    what: str  # altered, removed, added, note altered


def faults_in(link: Link, present: Sequence[Leaf], unsalted: frozenset[int]) -> Iterator[RowFault]:
    """Yields in what the rows of a link are not what it holds; `unsalted` are those whose note was erased.

    The notes of `present` have leaves with the salts that were kept.
    """
    sealed = {leaf.id: leaf for leaf in leaves_in(link)}
    now = {leaf.id: leaf for leaf in present}
    for row_id in sorted({*sealed, *now}):
        before, after = sealed.get(row_id), now.get(row_id)
        if (what := _difference(before, after, is_unsalted=row_id in unsalted)) is not None:
            yield RowFault(subject=link.subject, id=row_id, what=what)


def _difference(before: Leaf | None, after: Leaf | None, *, is_unsalted: bool) -> str | None:
    if before is None:
        return "added"
    if after is None:
        return "removed"
    if before.fixed != after.fixed or bool(before.note) != bool(after.note):
        return "altered"
    if before.note != after.note and not is_unsalted:
        return "note altered"
    return None
