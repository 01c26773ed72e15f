"""Writes Stripe's itemized reports of balance transactions, with the columns that its pages list."""

import csv
import io

COLUMNS = (
    *("balance_transaction_id", "created_utc", "available_on_utc", "currency", "gross", "fee", "net"),
    *("reporting_category", "source_id", "description", "customer_facing_amount", "customer_facing_currency"),
    *("charge_id", "payment_intent_id", "payment_method_type", "payment_metadata[order_id]"),
)
PAYOUTS = ("automatic_payout_id", "automatic_payout_effective_at", *COLUMNS)


def entry(category, cents, *, at, source, intent="pi_1", charge="ch_1", fee=0, currency="eur", order="ORDER-1", **more):
    """One balance transaction in major units; `cents` is its gross amount."""
    return {
        "balance_transaction_id": f"txn_{source}",
        "created_utc": f"{at:%Y-%m-%d %H:%M:%S}",
        "available_on_utc": f"{at:%Y-%m-%d 00:00:00}",
        "currency": currency,
        "gross": _major(cents),
        "fee": _major(fee),
        "net": _major(cents - fee),
        "reporting_category": category,
        "source_id": source,
        "description": 'Tea, "green"',
        "customer_facing_amount": _major(cents),
        "customer_facing_currency": currency,
        "charge_id": charge,
        "payment_intent_id": intent,
        "payment_method_type": "card",
        "payment_metadata[order_id]": order,
        **more,
    }


def report(entries, columns=COLUMNS):
    """The bytes of a report."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([each.get(name, "") for name in columns] for each in entries)
    return file.getvalue().encode()


def _major(cents):
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"
