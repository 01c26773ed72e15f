"""A form of statement of the tests' own, as plain as can be: what commands do with any form is tried with it."""

from datetime import UTC, datetime, timedelta
from typing import ClassVar

from tillkeeper.domain.books.statement import LineKind, Statement, StatementLine, StatementRefused

HEAD = ["kind", "amount", "currency", "occurred_at", "order", "payment", "refund"]


class PlainForm:
    """A head, a line for each movement, and at the end how many there were."""

    name: ClassVar[str] = "plain.trade"

    def __init__(self, account, settings):
        self._account = account
        self._moments = []

    @classmethod
    def knows(cls, head):
        return bool(head) and list(head[0].cells) == HEAD

    def lines(self, rows):
        next(rows)
        for row in rows:
            if row.cells[0] == "total":
                if int(row.cells[1]) != len(self._moments):
                    raise StatementRefused(
                        f"it says {row.cells[1]} lines, and has {len(self._moments)}", line=row.number
                    )
                return
            yield self._line(row)
        raise StatementRefused("the file is cut: its last line has no total; fetch it again")

    def _line(self, row):
        kind, amount, currency, occurred_at, order, payment, refund = row.cells
        self._moments.append(datetime.fromisoformat(occurred_at))
        return StatementLine(
            number=row.number,
            kind=LineKind(kind),
            amount=int(amount),
            currency=currency,
            occurred_at=self._moments[-1],
            order_ref=order or None,
            payment_ref=payment or None,
            refund_ref=refund or None,
        )

    def statement(self):
        first = min(self._moments).astimezone(UTC)
        begins = first.replace(hour=0, minute=0, second=0, microsecond=0)
        return Statement(
            account=self._account,
            form=self.name,
            begins=begins,
            ends=begins + timedelta(days=1),
            zone="UTC",
            covers=frozenset({LineKind.PAYMENT, LineKind.REFUND}),
            lines=len(self._moments),
        )


def plain(*lines, total=None):
    """Writes a file of lines such as ("payment", 100, "A1", "pi_1") with more cells behind."""
    rows = [",".join(HEAD)]
    for kind, amount, order, payment, *more in lines:
        occurred_at, refund = [*more, *["2026-11-22T12:00:00+00:00", ""][len(more) :]]
        rows.append(f"{kind},{amount},CNY,{occurred_at},{order},{payment},{refund}")
    return "\n".join([*rows, f"total,{len(lines) if total is None else total}"]) + "\n"
