"""Writes Adyen's settlement detail reports in the words of its documentation: `report(journals)` gives the bytes."""

import csv
import io

HEAD = (
    *("Company Account", "Merchant Account", "Psp Reference", "Merchant Reference", "Payment Method", "Creation Date"),
    *("TimeZone", "Type", "Modification Reference", "Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)"),
    *("Exchange Rate", "Net Currency", "Net Debit (NC)", "Net Credit (NC)", "Commission (NC)", "Markup (NC)"),
    *("Scheme Fees (NC)", "Interchange (NC)", "Payment Method Variant", "Modification Merchant Reference"),
    *("Batch Number", "Reserved4"),
)


def _amount(cents):
    return f"{abs(cents) // 100}.{abs(cents) % 100:02d}"


def journal(
    sort,
    cents,
    *,
    at,
    payment="8536214160615591",
    order="ORDER-1",
    modification="8516214160615592",
    fees=(0, 0, 0, 0),
    gross="EUR",
    net="EUR",
    net_cents=None,
    zone="CET",
    batch="42",
    merchant="TillECOM",
):
    """One journal by the names of its columns; money that leaves the balance is negative.  `fees` are commission,
    markup, scheme fees and interchange."""
    net_cents = cents - sum(fees) if net_cents is None else net_cents
    told = {
        "Company Account": "Till",
        "Merchant Account": merchant,
        "Psp Reference": payment,
        "Merchant Reference": order,
        "Payment Method": "visa",
        "Creation Date": f"{at:%Y-%m-%d %H:%M:%S}",
        "TimeZone": zone,
        "Type": sort,
        "Modification Reference": modification,
        "Net Currency": net,
        ("Net Debit (NC)" if net_cents < 0 else "Net Credit (NC)"): _amount(net_cents),
        "Batch Number": batch,
    }
    if gross:
        told |= {"Gross Currency": gross, ("Gross Debit (GC)" if cents < 0 else "Gross Credit (GC)"): _amount(cents)}
    names = ("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)")
    return told | {name: _amount(fee) for name, fee in zip(names, fees, strict=True) if fee}


def report(journals, head=HEAD):
    """The bytes of a report."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([each.get(name, "") for name in head] for each in journals)
    return out.getvalue().encode()
