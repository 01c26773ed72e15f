"""Writes tables as consoles of gateways export them, and as the same opened and saved in a spreadsheet."""

import csv
import io

from openpyxl import Workbook

# PayPal's "Activity download", in the words of its page on the columns; times are the merchant's.
PAYPAL = (
    *("Date", "Time", "TimeZone", "Name", "Type", "Status", "Currency", "Gross", "Fee", "Net"),
    *("Transaction ID", "Invoice Number", "Reference Txn ID"),
)


def paypal_row(sort, gross, *, at, fee="0.00", net="0.00", ref="8AB12345CD678901E", invoice="ORDER-1", of=""):
    """One row by the names of its columns."""
    return {
        "Date": f"{at:%d/%m/%Y}",
        "Time": f"{at:%H:%M:%S}",
        "TimeZone": "GMT",
        "Name": "A Payer",
        "Type": sort,
        "Status": "Completed",
        "Currency": "EUR",
        "Gross": gross,
        "Fee": fee,
        "Net": net,
        "Transaction ID": ref,
        "Invoice Number": invoice,
        "Reference Txn ID": of,
    }


def a_csv(rows, head, *, separator=",", above=(), below=(), charset="utf-8"):
    """The bytes of a table, with lines above and below it."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\r\n")
    for line in above:
        writer.writerow([line])
    writer.writerow(head)
    writer.writerows([row.get(name, "") for name in head] for row in rows)
    for line in below:
        writer.writerow([line, *[""] * (len(head) - 1)])
    return out.getvalue().encode(charset)


def a_workbook(rows, head, *, above=()):
    """The same as XLSX; values stand as what they are."""
    book = Workbook()
    sheet = book.active
    for line in above:
        sheet.append([line])
    sheet.append(list(head))
    for row in rows:
        sheet.append([row.get(name) for name in head])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
