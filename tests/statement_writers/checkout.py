"""Writes Checkout.com's financial actions reports, with the columns that its page and its sample list."""

import csv
import io

COLUMNS = (
    *("Client Entity ID", "Client Entity Name", "Processing Channel ID", "Action Type", "Action ID", "Payment ID"),
    *("Reference", "Requested On", "Processed On", "Payment Method", "Card Type", "Issuer Country"),
    *("Processing Currency", "Holding Currency", "FX Rate Applied", "Payout ID", "Breakdown Type"),
    *("Processing Currency Amount", "Holding Currency Amount"),
)
UTC_TOO = (*COLUMNS, "Timezone", "Processed On UTC")


def part(action, breakdown, amount, *, at, ref="act_1", payment="pay_1", order="ORDER-1", currency="EUR", **more):
    """One part of an action; `amount` is text in major units, signed as the balance moves."""
    return {
        "Client Entity ID": "ent_1",
        "Client Entity Name": "Tea, Ltd",
        "Processing Channel ID": "pc_1",
        "Action Type": action,
        "Action ID": ref,
        "Payment ID": payment,
        "Reference": order,
        "Requested On": f"{at:%Y-%m-%dT%H:%M:%S}.000",
        "Processed On": f"{at:%Y-%m-%dT%H:%M:%S}.844",
        "Payment Method": "VISA",
        "Card Type": "Credit",
        "Issuer Country": "GB",
        "Processing Currency": currency,
        "Holding Currency": currency,
        "FX Rate Applied": "1.00000000",
        "Payout ID": "00000000CFJU",
        "Breakdown Type": breakdown,
        "Processing Currency Amount": amount,
        "Holding Currency Amount": amount,
        **more,
    }


def report(parts, columns=COLUMNS):
    """The bytes of a report."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([each.get(name, "") for name in columns] for each in parts)
    return file.getvalue().encode()
