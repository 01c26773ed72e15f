"""Writes GoCardless's payout breakdowns, with the columns that its support page lists."""

import csv
import io

COLUMNS = (
    *("customers.id", "customers.given_name", "customers.family_name", "customers.company_name", "customers.email"),
    *("resources.type", "resources.description", "resources.created_at", "resources.charge_date", "resources.status"),
    *("resources.reference", "gross_amount", "gocardless_fees", "app_fees", "net_amount", "currency", "payouts.id"),
    *("payouts.arrival_date", "creditors.id", "payments.id", "refunds.id", "mandates.id", "subscriptions.id"),
    *("surcharge_fees", "payments.metadata.order_id"),
)


def item(sort, pence, *, fee=0, payment="PM1", refund="", status="paid_out", order="ORDER-1", day="2026-11-22", **more):
    """One payment or refund; `pence` is what it brought, negative where it took."""
    return {
        "customers.id": "CU1",
        "customers.given_name": "Mei",
        "resources.type": sort,
        "resources.description": "Tea, a box",
        "resources.created_at": f"{day}T09:12:51.000Z",
        "resources.charge_date": day if sort == "payment" else "",
        "resources.status": status,
        "gross_amount": _major(pence),
        "gocardless_fees": _major(fee),
        "app_fees": "0.00",
        "net_amount": _major(pence - fee),
        "currency": "GBP",
        "payouts.id": "PO1",
        "payouts.arrival_date": "2026-11-25",
        "creditors.id": "CR1",
        "payments.id": payment,
        "refunds.id": refund,
        "mandates.id": "MD1",
        "payments.metadata.order_id": order,
        **more,
    }


def breakdown(items, columns=COLUMNS):
    """The bytes of an export."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([each.get(name, "") for name in columns] for each in items)
    return file.getvalue().encode()


def _major(pence):
    return f"{'-' if pence < 0 else ''}{abs(pence) // 100}.{abs(pence) % 100:02d}"
