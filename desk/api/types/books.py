"""Defines what the API says of gateways' statements, and of what they say otherwise."""

from datetime import date
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tillkeeper.desk.api.types.common import AccountFilter, Amount, Currency, Moment, OrderRef
from tillkeeper.domain.books.matching import DIFFERENCES, MatchedObject

VERDICTS: Final = {"examples": sorted(DIFFERENCES)}  # a later version may find others
OBJECTS: Final = {"examples": list(MatchedObject)}


class BooksQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose books are wanted."""

    account: AccountFilter = None


class BooksDifference(msgspec.Struct, frozen=True, kw_only=True):
    """What statements and orders say differently of one object."""

    account: Annotated[str, Meta(description="The configured account.")]
    form: Annotated[str, Meta(description="The form of the statement, such as wechatpay.trade.")]
    object: Annotated[str, Meta(description="What it is.", extra_json_schema=OBJECTS)]
    ref: Annotated[str, Meta(description="The gateway's number of it.")]
    verdict: Annotated[str, Meta(description="How it differs: docs/books.md.", extra_json_schema=VERDICTS)]
    order_ref: OrderRef
    said_minor: Amount
    said_currency: Currency
    known_minor: Amount
    known_currency: Currency
    said_fee_minor: Annotated[int | None, Meta(description="The fee that differs, as it is listed.")]
    agreed_fee_minor: Annotated[int | None, Meta(description="And as the policy's terms have it.")]
    statement_id: Annotated[int | None, Meta(description="The last statement that lists it; null: none does.")]
    number: Annotated[int | None, Meta(description="The line of that statement's file.")]
    case_id: Annotated[int | None, Meta(description="Its case, if it has one.")]
    found_at: Annotated[Moment | None, Meta(description="Since when it differs.")]


class BooksStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that was taken in."""

    id: Annotated[int, Meta(description="Its number.")]
    account: Annotated[str, Meta(description="The configured account.")]
    form: Annotated[str, Meta(description="Its form.")]
    name: Annotated[str, Meta(description="The name of its file.")]
    begins: Annotated[Moment, Meta(description="The time that it is of begins here.")]
    ends: Annotated[Moment, Meta(description="And ends before this.")]
    zone: Annotated[str, Meta(description="Whose days it counts.")]
    covers: Annotated[list[str], Meta(description="Kinds of lines that it lists without a gap.")]
    lines: Annotated[int, Meta(description="How many lines it has.")]
    differences: Annotated[int, Meta(description="How many of them differ still.")]
    taken_at: Annotated[Moment, Meta(description="When it was taken in.")]
    taken_by: Annotated[str, Meta(description="By whom.")]
    superseded_by: Annotated[int | None, Meta(description="The statement that takes its place.")]
    matched_at: Annotated[Moment | None, Meta(description="Null: its run was cut off; give the file again.")]


class BooksGap(msgspec.Struct, frozen=True, kw_only=True):
    """A time that no statement covers, between two that do."""

    account: Annotated[str, Meta(description="The configured account.")]
    form: Annotated[str, Meta(description="The form of the statements around it.")]
    begins: Annotated[Moment, Meta(description="Missing from here.")]
    ends: Annotated[Moment, Meta(description="Up to here.")]


class BooksPayout(msgspec.Struct, frozen=True, kw_only=True):
    """A payout of a gateway, and what became of it at the bank."""

    account: Annotated[str, Meta(description="The configured account that sent it.")]
    payout_ref: Annotated[str, Meta(description="The gateway's number of it.")]
    bank: Annotated[str, Meta(description="The configured bank account.")]
    amount_minor: Annotated[int, Meta(description="What was sent, in minor units.")]
    currency: Annotated[str, Meta(description="ISO 4217.")]
    sent_on: Annotated[date, Meta(description="The day on which it was sent.")]
    verdict: Annotated[str, Meta(description="missing, differs or on_its_way: docs/books.md.")]
    arrived_on: Annotated[date | None, Meta(description="The day of the bank's entry that names it.")]
    arrived_minor: Annotated[int | None, Meta(description="And its amount.")]
    case_id: Annotated[int | None, Meta(description="Its case, if it has one.")]


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """The books of orders against statements."""

    differences: Annotated[list[BooksDifference], Meta(description="What differs, the latest first; 200 at most.")]
    statements: Annotated[list[BooksStatement], Meta(description="The latest statements, 200 at most.")]
    missing: Annotated[list[BooksGap], Meta(description="What is missing between them.")]
    payouts: Annotated[list[BooksPayout], Meta(description="Payouts that have not arrived, the latest 200.")]
