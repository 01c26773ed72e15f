"""Events as a month may have them, drawn at random and written without any of the product's code: repeated, late, out
of order, waiting for an order, refunds by number and as running totals."""

import secrets
from datetime import UTC, datetime, timedelta
from random import Random

import asyncpg

ACCOUNTS = ("alipay-main", "stripe-main", "wechatpay-main")
METHODS = (None, "card", "wallet", "sepa_debit")
CURRENCIES = ("CNY", "EUR", "JPY", "KWD")
FAILURES = ("insufficient_funds", "suspected_fraud", "unknown", None)
EVIDENCE = ("webhook", "webhook", "webhook", "query", "statement", "operator")
BEGIN = datetime(2026, 9, 20, tzinfo=UTC)
DAYS = 60
ORDER = """
INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, registered_at, changed_at, phase_since)
VALUES ($1, $2, $3, $4, '{}', $5, $5, $5) RETURNING id
"""
REMINDED = """
INSERT INTO steps (order_id, phase, action, at, taken_at, result) VALUES ($1, 1, 'remind', $2, $2, 'sent')
"""
COLUMNS = (
    *("account", "event_id", "kind", "evidence", "run", "number", "payment_ref", "refund_ref", "dispute_ref"),
    *(
        "amount_minor",
        "total_minor",
        "currency",
        "failure",
        "method",
        "occurred_at",
        "recorded_at",
        "digest",
        "outcome",
    ),
    *("reason", "order_id"),
)


async def add_random_events(conn: asyncpg.Connection, chance: Random, *, orders: int) -> int:
    """Adds orders with what happened to them; returns how many events."""
    rows = []
    for number in range(orders):
        life = Life(chance, number)
        life.order_id = None if chance.random() < 0.05 else await conn.fetchval(ORDER, *life.order)
        life.live()
        if life.order_id is not None and chance.random() < 0.3:
            await conn.execute(REMINDED, life.order_id, life.some_time())
        rows += life.rows
    chance.shuffle(rows)
    await conn.copy_records_to_table("inbox", records=rows, columns=COLUMNS)
    return len(rows)


class Life:
    """One order's payments, refunds and disputes."""

    def __init__(self, chance: Random, number: int) -> None:
        self.chance = chance
        self.number = number
        self.account = chance.choice(ACCOUNTS)
        self.currency = chance.choice(CURRENCIES)
        self.amount = chance.choice((5, 99, 1000, 12900, 100_000, 5_000_000)) + chance.randrange(100)
        self.began = BEGIN + timedelta(seconds=chance.randrange(DAYS * 86400))
        self.order_id: int | None = None
        self.rows: list[tuple[object, ...]] = []

    @property
    def order(self) -> tuple[object, ...]:
        return f"RND-{self.number}", self.amount, self.currency, [self.account], self.began

    def some_time(self) -> datetime:
        return self.began + timedelta(seconds=self.chance.expovariate(1 / 40_000))

    def live(self) -> None:
        for attempt in range(self.chance.choice((1, 1, 1, 2, 3))):
            payment = f"pay-{self.number}-{attempt}"
            method = self.chance.choice(METHODS)
            kinds = self.chance.choices(
                ("payment.pending", "payment.authorized", "payment.succeeded", "payment.failed", "payment.cancelled"),
                (2, 1, 5, 3, 1),
                k=self.chance.randrange(1, 5),
            )
            if self.chance.random() < 0.03:
                kinds.append("payment.reversed")
            for kind in kinds:
                self.add(kind, payment_ref=payment, method=method, amount=self.amount)
            if self.chance.random() < 0.25:
                self.refund(payment)
            if self.chance.random() < 0.05:
                for kind in ("dispute.opened", "dispute.opened", self.chance.choice(("dispute.won", "dispute.lost"))):
                    self.add(kind, payment_ref=payment, dispute_ref=f"dp-{payment}", amount=self.amount)

    def refund(self, payment: str) -> None:
        if self.chance.random() < 0.3:
            for total in self.chance.choices((self.amount // 3, self.amount // 2, self.amount), k=3):
                self.add("refund.succeeded", payment_ref=payment, total=total)
            return
        for part in range(2):
            for kind in self.chance.choices(("refund.pending", "refund.succeeded", "refund.failed"), (3, 3, 1), k=3):
                self.add(kind, payment_ref=payment, refund_ref=f"re-{payment}-{part}", amount=self.amount // 2)

    def add(self, kind: str, **more: object) -> None:
        occurred_at = self.some_time()
        late = timedelta(milliseconds=self.chance.choice((-500, 0, 700, 4_000, 90_000, 7_200_000, 400_000_000)))
        evidence = self.chance.choice(EVIDENCE)
        self.rows.append(
            (
                *(self.account, f"ev-{self.number}-{len(self.rows)}", kind, evidence, None, 1),
                *(more["payment_ref"], more.get("refund_ref"), more.get("dispute_ref")),
                *(more.get("amount") if self.chance.random() < 0.95 else None, more.get("total"), self.currency),
                self.chance.choice(FAILURES) if kind in {"payment.failed", "payment.cancelled"} else None,
                *(more.get("method"), occurred_at, occurred_at + late, secrets.token_bytes(8)),
                *(("waiting", None, None) if self.order_id is None else ("applied", None, self.order_id)),
            )
        )
