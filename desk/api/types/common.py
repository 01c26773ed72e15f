"""Defines what many bodies and queries of the API have in common."""

from datetime import datetime
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec import Meta

from tillkeeper.domain.events import REF_CHARS_MAX

ROWS: Final = 50  # of one answer, where nobody says how many
ROWS_MAX: Final = 200
CURSOR_CHARS_MAX: Final = 500  # the longest holds a notice's key
REASON_CHARS_MAX: Final = 2_000  # a reason that is longer is a document

Row = TypeVar("Row")

Moment = Annotated[datetime, Meta(tz=True)]
Ref = Annotated[str, Meta(min_length=1, max_length=REF_CHARS_MAX, pattern=r"^[^\u0000]*$")]
Account = Annotated[str | None, Meta(description="The configured account, where it is about one.")]
OrderRef = Annotated[str | None, Meta(description="The order's reference, where one is known.")]
PaymentRef = Annotated[str | None, Meta(description="The gateway's name for the payment, where one is named.")]
Amount = Annotated[int | None, Meta(description="In minor units of `currency`.")]
Currency = Annotated[str | None, Meta(description="ISO 4217, as it was told.")]
Reason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=REASON_CHARS_MAX,
        pattern=r"^[^\u0000]*[^\u0000\s][^\u0000]*$",
        description="Why, in words; it stands in the history and in the log of what people did.",
    ),
]
AccountFilter = Annotated[Annotated[str, Meta(min_length=1)] | None, Meta(description="Those of this account alone.")]


class PageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of a list is wanted."""

    limit: Annotated[int, Meta(ge=1, le=ROWS_MAX, description="How many at most.")] = ROWS
    after: Annotated[
        Annotated[str, Meta(min_length=1, max_length=CURSOR_CHARS_MAX)] | None,
        Meta(description="`next` of the answer before: the list goes on behind it."),
    ] = None


class Page(msgspec.Struct, Generic[Row], frozen=True, kw_only=True):
    """A part of a list."""

    items: Annotated[list[Row], Meta(description="In the order that the operation says.")]
    next: Annotated[
        str | None, Meta(description="Send it as `after` for the part behind this one; null: there is none.")
    ]


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """A text in both languages."""

    zh: Annotated[str, Meta(description="In Chinese.")]
    en: Annotated[str, Meta(description="In English.")]
