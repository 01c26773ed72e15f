"""The figures of the monthly reports once more, by DuckDB over exported rows and written another way: with least and
greatest of groups, where the product numbers rows by windows."""

from pathlib import Path

import asyncpg
import duckdb

EXPORTED = {
    "inbox": "SELECT seq, account, order_id, payment_ref, refund_ref, dispute_ref, kind, evidence, amount_minor,"
    " total_minor, currency, method, failure, extract(epoch FROM occurred_at) * 1000000 AS occurred_us,"
    " extract(epoch FROM recorded_at) * 1000000 AS recorded_us,"
    " extract(hour FROM occurred_at AT TIME ZONE '{zone}') AS hour,"
    " (occurred_at AT TIME ZONE '{zone}')::date AS day FROM inbox",
    "orders": "SELECT id, amount_minor FROM orders",
    "steps": "SELECT order_id, extract(epoch FROM min(taken_at)) * 1000000 AS first_us FROM steps"
    " WHERE action = 'remind' GROUP BY order_id",
}
NUMBERS = ("seq", "order_id", "amount_minor", "total_minor", "hour")
TEXTS = ("account", "payment_ref", "refund_ref", "dispute_ref", "currency", "method", "failure")
OF_INBOX = [f"'{name}': 'BIGINT'" for name in NUMBERS] + [f"'{name}': 'VARCHAR'" for name in TEXTS]
TYPES = {
    "inbox": f"types = {{{', '.join(OF_INBOX)}}}",
    "orders": "sample_size = -1",
    "steps": "types = {'order_id': 'BIGINT', 'first_us': 'DOUBLE'}",
}
EXPONENTS = "CASE currency WHEN 'JPY' THEN 0 WHEN 'KWD' THEN 3 ELSE 2 END"
BOUNDS_S = (1, 2, 5, 10, 30, 60, 120, 300, 900, 3600, 21600, 86400, 604800)
BANDS = (0, 10, 50, 100, 500, 1000, 5000, 10000)


def span(milliseconds: str) -> str:
    """The place of a span of time, two digits."""
    longer = " + ".join(f"({milliseconds} >= {bound * 1000})::int" for bound in BOUNDS_S)
    return f"printf('%02d', {longer})"


BAND = (
    "("
    + " + ".join(f"(coalesce(amount_minor, 0) >= {low} * power(10, {EXPONENTS}))::int" for low in BANDS)
    + " - 1)::text"
)


def first(kinds: str, key: str, more: str = "TRUE") -> str:
    """The first event of those kinds of each `key`."""
    return (
        f"SELECT i.* FROM inbox i JOIN (SELECT {key}, min(struct_pack(at := occurred_us, seq := seq)) AS f FROM inbox"
        f" WHERE kind IN ({kinds}) AND {more} GROUP BY ALL) g ON g.f.seq = i.seq"
    )


ENDINGS = "'payment.succeeded', 'payment.failed'"
TRIED = f"'payment.authorized', {ENDINGS}"
OF_PAYMENT = "account, payment_ref"
LATE = "greatest((recorded_us - occurred_us) // 1000, 0)"


def figures() -> list[str]:
    """One query for each figure: figure, account, currency, method, detail, hour, day, count, minor."""
    money, plain = "account, coalesce(currency, '') AS currency", "account, '' AS currency"
    amount, method = "sum(coalesce(amount_minor, 0))", "coalesce(method, '') AS method"

    def of(  # noqa: PLR0917 - a figure has so many columns
        name, source, columns, detail="''", hour="0", minor=amount, way="'' AS method"
    ):
        return (
            f"SELECT '{name}' AS figure, {columns}, {way}, {detail} AS detail, {hour} AS hour, day, count(*) AS n,"
            f" {minor} AS minor FROM ({source}) GROUP BY ALL"
        )

    failed, failure = first("'payment.failed'", OF_PAYMENT), "coalesce(failure, 'unknown')"
    paid, tried, ended = first("'payment.succeeded'", OF_PAYMENT), first(TRIED, OF_PAYMENT), first(ENDINGS, OF_PAYMENT)
    won = f"SELECT t.* FROM ({tried}) t SEMI JOIN ({paid}) p ON p.account = t.account AND p.payment_ref = t.payment_ref"
    with_order = "order_id IS NOT NULL"
    first_failed = first("'payment.failed'", "order_id", with_order)
    first_paid = first("'payment.succeeded'", "order_id", with_order)
    joined = "SELECT f.* EXCLUDE (amount_minor), o.amount_minor FROM ({}) f JOIN orders o ON o.id = f.order_id"
    recovered = (
        f"SELECT p.*, CASE WHEN s.first_us <= p.occurred_us THEN 'reminder' ELSE 'retry' END AS how FROM"
        f" ({joined.format(first_paid)}) p JOIN ({first_failed}) f ON f.order_id = p.order_id"
        f" LEFT JOIN steps s ON s.order_id = p.order_id"
        f" WHERE (f.occurred_us, f.seq) < (p.occurred_us, p.seq)"
    )
    numbered = first("'refund.succeeded'", "account, refund_ref", "refund_ref IS NOT NULL")
    totals = (
        "SELECT i.*, coalesce(total_minor, 0) - coalesce((SELECT max(coalesce(e.total_minor, 0)) FROM inbox e WHERE"
        " e.kind = 'refund.succeeded' AND e.refund_ref IS NULL AND e.account = i.account"
        " AND e.payment_ref = i.payment_ref"
        " AND (e.occurred_us, e.seq) < (i.occurred_us, i.seq)), 0) AS more"
        " FROM inbox i WHERE kind = 'refund.succeeded' AND refund_ref IS NULL"
    )
    took = (
        f"SELECT r.*, greatest((r.occurred_us - p.asked) // 1000, 0) AS took FROM ({numbered}) r JOIN"
        " (SELECT account, refund_ref, min(occurred_us) AS asked FROM inbox WHERE kind = 'refund.pending'"
        " GROUP BY ALL) p"
        " ON p.account = r.account AND p.refund_ref = r.refund_ref"
    )
    both = (
        f"SELECT day, account, currency, amount_minor FROM ({numbered}) UNION ALL"
        f" SELECT day, account, currency, more FROM ({totals}) WHERE more > 0"
    )
    return [
        of("tried", tried, money, hour="hour", way=method),
        of("succeeded", won, money, hour="hour", way=method),
        of("paid", paid, money, way=method),
        of("failed", failed, money, failure, "hour", way=method),
        of("cancelled", first("'payment.cancelled'", OF_PAYMENT), money, failure, way=method),
        of("reversed", first("'payment.reversed'", OF_PAYMENT), money),
        of("tried_band", tried, money, BAND),
        of("succeeded_band", won, money, BAND),
        of("order_failed", joined.format(first_failed), money),
        of("recovered", recovered, money, "how"),
        of("known_by", ended, plain, "evidence", minor="0"),
        of("known_after", ended, plain, span(LATE), minor=f"sum({LATE})"),
        of("known_last", ended, plain, minor=f"max({LATE})"),
        of("refunded", both, money),
        of("refund_failed", first("'refund.failed'", "account, refund_ref"), money),
        of("refund_after", took, plain, span("took"), minor="sum(took)"),
        *(
            of(name, first(f"'{kind}'", "account, dispute_ref"), money)
            for name, kind in (
                ("disputed", "dispute.opened"),
                ("dispute_won", "dispute.won"),
                ("dispute_lost", "dispute.lost"),
            )
        ),
    ]


async def independent_figures(
    conn: asyncpg.Connection, folder: Path, *, zone: str
) -> dict[tuple[object, ...], tuple[int, int]]:
    """By (day, figure, account, currency, method, detail, hour): the count and the sum."""
    database = duckdb.connect()
    for table, query in EXPORTED.items():
        file = folder / f"{table}.csv"
        with file.open("wb") as out:
            await conn.copy_from_query(query.format(zone=zone), output=out, format="csv", header=True, null="\\N")
        database.execute(f"CREATE TABLE {table} AS SELECT * FROM read_csv('{file}', nullstr='\\N', {TYPES[table]})")
    for column in ("occurred_us", "recorded_us"):
        database.execute(f"ALTER TABLE inbox ALTER {column} TYPE BIGINT USING {column}::BIGINT")
    database.execute("ALTER TABLE steps ALTER first_us TYPE BIGINT USING first_us::BIGINT")
    found = {}
    for query in figures():
        for figure, account, currency, method, detail, hour, day, count, minor in database.execute(query).fetchall():
            found[day, figure, account, currency, method, detail, int(hour)] = (count, int(minor))
    return found
