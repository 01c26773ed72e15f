"""Defines a difference between statements and facts, and the case that a person settles it by."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

import msgspec

from tillkeeper.domain.books.matching import Comparison, MatchedObject, Verdict
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason

# Other verdicts open none.
CASE_KINDS_OF: Final[Mapping[Verdict, CaseKind]] = MappingProxyType(
    {
        Verdict.AT_GATEWAY_ONLY: CaseKind.STATEMENT_AT_GATEWAY_ONLY,
        Verdict.REFUNDED_THERE_ONLY: CaseKind.STATEMENT_AT_GATEWAY_ONLY,
        Verdict.HERE_ONLY: CaseKind.STATEMENT_HERE_ONLY,
        Verdict.CURRENCY_DIFFERS: CaseKind.STATEMENT_DIFFERS,
        Verdict.TWICE: CaseKind.STATEMENT_DIFFERS,
        Verdict.AMOUNT_DIFFERS: CaseKind.STATEMENT_DIFFERS,
        Verdict.DAY_DIFFERS: CaseKind.STATEMENT_DIFFERS,
        Verdict.FEE_DIFFERS: CaseKind.STATEMENT_FEE_DIFFERS,
    }
)


class StatementDifference(msgspec.Struct, frozen=True, kw_only=True):
    """What statements of a form and the facts say differently of one object; amounts are in minor units."""

    account: str
    form: str
    object: MatchedObject
    ref: str
    verdict: Verdict
    statement_id: int | None = None
    number: int | None = None  # the line of that statement's file
    order_id: int | None = None
    said_minor: int | None = None  # null: no line lists it
    said_currency: str | None = None
    known_minor: int | None = None
    known_currency: str | None = None
    said_fee_minor: int | None = None
    agreed_fee_minor: int | None = None
    found_at: datetime | None = None


def case_key(account: str, kind: MatchedObject, ref: str, verdict: Verdict) -> tuple[str, str]:
    """Returns the kind and subject of the case about an object, which differences of several forms share."""
    return CASE_KINDS_OF[verdict], f"{kind}:{account}/{ref}"


def difference_of(
    comparison: Comparison, verdict: Verdict, *, account: str, form: str, order_id: int | None, statement_id: int | None
) -> StatementDifference:
    """Returns the difference that a comparison came to."""
    known, lines, fees = comparison.known, comparison.lines, comparison.fees or (None, None)
    return StatementDifference(
        account=account,
        form=form,
        object=comparison.object,
        ref=comparison.ref,
        verdict=verdict,
        statement_id=statement_id,
        number=lines[-1].number if lines else None,
        order_id=order_id,
        said_minor=comparison.said if lines else None,
        said_currency=lines[-1].currency if lines else None,
        known_minor=known.amount if known else None,
        known_currency=known.currency if known else None,
        said_fee_minor=fees[0] if verdict is Verdict.FEE_DIFFERS else None,
        agreed_fee_minor=fees[1] if verdict is Verdict.FEE_DIFFERS else None,
    )


def case_reason(difference: StatementDifference) -> CaseReason:
    """Returns the reason for its case.  One that a person resolved opens again once other sums differ."""
    details: dict[str, object] = {
        "verdict": difference.verdict,
        "listed": difference.said_minor,
        "known_here": difference.known_minor,
        "listed_fee": difference.said_fee_minor,
        "agreed_fee": difference.agreed_fee_minor,
        "currency": difference.known_currency or difference.said_currency,
        "listed_currency": difference.said_currency,
        "form": difference.form,
        "statement": difference.statement_id,
        "line": difference.number,
    }
    _, subject = case_key(difference.account, difference.object, difference.ref, difference.verdict)
    said = {name: value for name, value in details.items() if value is not None}
    return CaseReason(
        kind=CASE_KINDS_OF[difference.verdict],
        subject=subject,
        state=_state(difference),
        account=difference.account,
        details=said,
    )


def _state(difference: StatementDifference) -> str:
    if difference.verdict is Verdict.FEE_DIFFERS:
        return f"fee {difference.said_fee_minor} agreed {difference.agreed_fee_minor} {difference.said_currency}"
    said = f"{difference.verdict}: listed {difference.said_minor or 0} {difference.said_currency or ''}".strip()
    return f"{said} known {difference.known_minor or 0} {difference.known_currency or ''}".strip()
