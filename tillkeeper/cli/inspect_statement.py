"""Shows how statements are read, without a server: for who writes a mapping, or wonders about a file."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tillkeeper.cli.errors import WRONG, CommandError
from tillkeeper.cli.reconcile import FIRST_LINES, line_row, signed

if TYPE_CHECKING:
    from tillkeeper.settings import Settings


def inspect_statements(settings: "Settings", account: str, files: Iterable[Path], *, as_json: bool) -> bool:
    """Prints how each file is read; returns whether all can be."""
    from tillkeeper.cli.output import print_json

    all_read = True
    for file in files:
        found = _read(settings, account, file)
        all_read &= found["read"]
        if as_json:
            print_json({**found, "first": [_as_json(line) for line in found["first"]]})
        else:
            _print(file, found)
    return all_read


def _read(settings: "Settings", account: str, file: Path) -> dict[str, Any]:
    from tillkeeper.domain.books.statement import StatementLine, StatementRefused
    from tillkeeper.gateways.statement_reading import read_statement

    forms, mapping = settings.build_gateways()[account].statement_forms, settings.books.statements.get(account)
    first: list[StatementLine] = []
    lines, sums = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    found: dict[str, Any] = {"file": str(file), "read": False, "first": first, "sums": []}
    try:
        with file.open("rb") as opened:
            reading = read_statement(forms, account, settings.accounts[account], opened, mapping)
            found["form"] = reading.form.name
            for line in reading.lines():
                if len(first) < FIRST_LINES:
                    first.append(line)
                lines[line.kind, line.currency] += 1
                sums[line.kind, line.currency] += line.amount
            statement = reading.statement()
            found |= {"read": True, "begins": statement.begins, "ends": statement.ends, "zone": statement.zone}
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", code=WRONG) from None
    except StatementRefused as refused:
        found["reason"] = str(refused)
    found["sums"] = [
        {"kind": kind, "currency": currency, "lines": count, "amount": sums[kind, currency]}
        for (kind, currency), count in sorted(lines.items())
    ]
    return found


def _as_json(line: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(line, builtin_types=())


def _print(file: Path, found: dict[str, Any]) -> None:
    from tillkeeper.cli.output import print_facts, print_table, shown

    if found["read"]:
        facts = {name: found[name] for name in ("form", "begins", "ends", "zone")}
        print_facts({"file": shown(file), **facts})
        print()
    else:
        print(f"{shown(file)}: refused: {shown(found['reason'])}")
    columns = ("line", "kind", ">amount", "order", "payment", "refund or dispute", "when")
    print_table("Its first lines, as they were read", columns, map(line_row, found["first"]))
    rows = ((each["kind"], f"{each['lines']:,}", signed(each["amount"], each["currency"])) for each in found["sums"])
    title = "Its sums" if found["read"] else "Its sums, up to there"
    print_table(title, ("kind", ">lines", ">amount"), rows)
