"""Defines what a gateway answers when it is asked for a day's statement: where the file is, or that there is none."""

from typing import TypeAlias

import msgspec

from tillkeeper.domain.books.statement import LineKind


class OfferedFile(msgspec.Struct, frozen=True, kw_only=True):
    """Where the file is, for a short time, and by which digest it is known."""

    url: str
    digest: bytes | None = None  # where the gateway says one


class EmptyDay(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway says that nothing moved on the day: as a file of the form without lines says it of these kinds."""

    form: str
    covers: frozenset[LineKind]


class NotReady(msgspec.Struct, frozen=True):
    """The file is not made yet."""


StatementOffer: TypeAlias = OfferedFile | EmptyDay | NotReady
