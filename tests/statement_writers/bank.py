"""Writes statements of bank accounts: camt.053 in the words of versions 02 and 08, and MT940.

An entry is (cents, day, text) with more by name; what is planted wrong is said by the arguments.
"""

from xml.sax.saxutils import escape

IBAN = "DE89370400440532013000"


def _decimal(cents, sign="."):
    return f"{abs(cents) // 100}{sign}{abs(cents) % 100:02d}"


def _side(cents):
    return "DBIT" if cents < 0 else "CRDT"


def camt(
    entries,
    *,
    day,
    last=None,
    opening=100_000,
    closing=None,
    version="02",
    iban=IBAN,
    currency="EUR",
    count=None,
    pending=(),
    above="",
):
    """The bytes of a file with one statement of the days from `day` to `last`."""
    last = last or day
    closing = opening + sum(entry[0] for entry in entries) if closing is None else closing
    is_new = version not in {"02", "03"}
    status = "<Sts><Cd>{}</Cd></Sts>" if is_new else "<Sts>{}</Sts>"
    name = "<Dbtr><Pty><Nm>{}</Nm></Pty></Dbtr>" if is_new else "<Dbtr><Nm>{}</Nm></Dbtr>"

    def balance(code, cents, at):
        return (
            f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="{currency}">{_decimal(cents)}</Amt>'
            f"<CdtDbtInd>{_side(cents)}</CdtDbtInd><Dt><Dt>{at}</Dt></Dt></Bal>"
        )

    def entry(number, cents, at, text, how="BOOK"):
        return (
            f'<Ntry><Amt Ccy="{currency}">{_decimal(cents)}</Amt><CdtDbtInd>{_side(cents)}</CdtDbtInd>'
            f"{status.format(how)}<BookgDt><Dt>{at}</Dt></BookgDt><ValDt><Dt>{at}</Dt></ValDt>"
            f"<AcctSvcrRef>REF{at:%Y%m%d}{number:04d}</AcctSvcrRef><NtryDtls><TxDtls><Refs><EndToEndId>NOTPROVIDED"
            f"</EndToEndId></Refs><RltdPties>{name.format('A Payment Company Ltd')}</RltdPties><RmtInf>"
            f"<Ustrd>{escape(text)}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
        )

    body = "".join(entry(number, *each) for number, each in enumerate(entries, 1))
    body += "".join(entry(900 + number, *each, how="PDNG") for number, each in enumerate(pending))
    summary = "" if count is None else f"<TxsSummry><TtlNtries><NbOfNtries>{count}</NbOfNtries></TtlNtries></TxsSummry>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{above}'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"><BkToCstmrStmt><GrpHdr>'
        f"<MsgId>M{day}</MsgId><CreDtTm>{last}T22:00:00</CreDtTm></GrpHdr><Stmt><Id>S{day}</Id>"
        f"<ElctrncSeqNb>{day:%j}</ElctrncSeqNb><FrToDt><FrDtTm>{day}T00:00:00</FrDtTm><ToDtTm>{last}T23:59:59</ToDtTm>"
        f"</FrToDt><Acct><Id><IBAN>{iban}</IBAN></Id><Ccy>{currency}</Ccy></Acct>"
        f"{balance('PRCD', opening, day)}{balance('CLBD', closing, last)}{summary}{body}"
        "</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def mt940(
    entries, *, day, opening=100_000, closing=None, iban=IBAN, currency="EUR", structured=False, ending="\r\n", cut=()
):
    """The bytes of one statement of a day; lines whose tag is in `cut` are left out."""
    closing = opening + sum(entry[0] for entry in entries) if closing is None else closing

    def balance(cents):
        return f"{'D' if cents < 0 else 'C'}{day:%y%m%d}{currency}{_decimal(cents, ',')}"

    lines = [":20:STARTUMSE", f":25:{iban}", f":28C:{day:%j}/1", f":60F:{balance(opening)}"]
    for number, (cents, at, text) in enumerate(entries, 1):
        mark = "D" if cents < 0 else "C"
        lines.append(f":61:{at:%y%m%d}{at:%m%d}{mark}R{_decimal(cents, ',')}NTRFNONREF//BREF{number:05d}")
        parts = [text[place : place + 27] for place in range(0, len(text), 27)] or [""]
        if structured:
            lines.append(":86:166?00GUTSCHRIFT?100004" + "".join(f"?{20 + at}{part}" for at, part in enumerate(parts)))
            lines.append("?32A Payment Company Ltd")
        else:
            lines += [f":86:{parts[0]}", *parts[1:]]
    lines += [f":62F:{balance(closing)}", "-"]
    return ending.join(line for line in lines if not line.startswith(tuple(cut))).encode() + ending.encode()
