"""Writes Mollie's settlement reports, with the columns of the Dashboard's export."""

import csv
import io

COLUMNS = (
    *("Date", "Payment method", "Currency", "Amount", "Status", "ID", "Description", "Consumer name"),
    *("Consumer bank account", "Consumer BIC", "Settlement currency", "Settlement amount", "Settlement reference"),
    "Amount refunded",
)


def movement(ref, cents, *, at, method="ideal", description="Order 1001, tea", status="paidout", **more):
    """One row; `at` is the time in Amsterdam."""
    return {
        "Date": f"{at:%Y-%m-%d %H:%M:%S}",
        "Payment method": method,
        "Currency": "EUR",
        "Amount": _major(cents),
        "Status": status,
        "ID": ref,
        "Description": description,
        "Consumer name": "Eva Malá",
        "Consumer bank account": "NL01BANK0123456789",
        "Consumer BIC": "BANKNL2A",
        "Settlement currency": "EUR",
        "Settlement amount": _major(cents),
        "Settlement reference": "1234567.2611.01",
        "Amount refunded": "",
        **more,
    }


def fees(cents, *, at):
    """What Mollie withheld."""
    return movement("", -cents, at=at, method="", description="Withheld transaction fees MOL-2026-0001", status="")


def report(movements, columns=COLUMNS):
    """The bytes of a report."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([each.get(name, "") for name in columns] for each in movements)
    return file.getvalue().encode()


def _major(cents):
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"
