"""Implements `tillkeeper shadow compare`: a shop's own states of its orders beside those that were decided here."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tillkeeper.cli.errors import NO, WRONG, CommandError, reported
from tillkeeper.cli.options import AsJson, Config, exits, settings_from, unicode

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.domain.shadow import OursState, ShopState
    from tillkeeper.domain.statuses import Status

app = typer.Typer()
shadow = typer.Typer(help="Trying Tillkeeper beside the handler that you have.", no_args_is_help=True)
app.add_typer(shadow, name="shadow")

AT_ONCE: Final = 500
SHOWN_MAX: Final = 50

File = Annotated[Path, typer.Argument(metavar="FILE", help="A CSV of the shop's orders, with a line of column names.")]
Ref = Annotated[str, typer.Option("--ref", metavar="COLUMN", parser=unicode, help="The column with the reference.")]
StatusColumn = Annotated[
    str | None, typer.Option("--status", metavar="COLUMN", parser=unicode, help="The column with the shop's state.")
]
PaidColumn = Annotated[
    str | None,
    typer.Option("--paid", metavar="COLUMN", parser=unicode, help="The column with what was paid, such as 129.00."),
]
Words = Annotated[
    list[str] | None,
    typer.Option("--word", metavar="WORD=STATUS", parser=unicode, help="What a state of the shop means: shipped=paid."),
]


@shadow.command(
    "compare",
    epilog=exits(
        yes="all that is in both agrees",
        no="something differs",
        example="tillkeeper shadow compare orders.csv --ref number --status state --word shipped=paid",
    ),
)
def compare_command(
    file: File,
    ref: Ref = "order_ref",
    status: StatusColumn = None,
    paid: PaidColumn = None,
    word: Words = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Compare the shop's own states of its orders with what was decided here, and say why where they differ.

    The file has one line for each order.  Name the column of the state, of the amount that was paid, or both.  Known
    states are Tillkeeper's own, in English and Chinese, and a few usual ones; --word adds the shop's.
    """
    if status is None and paid is None:
        raise typer.BadParameter("name --status, --paid, or both", param_hint="--status")
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask

        words = _words(word or ())
        columns = _Columns(ref, status, paid)

        async def query(pool: "Pool") -> "ShopComparison":
            return await _compare(pool, _states(file, columns), words)

        found = ask(settings, query)
        _print(found, as_json=as_json)
        if found.differences:
            raise typer.Exit(NO)


class _Columns:
    """The names of the columns that are read."""

    def __init__(self, ref: str, status: str | None, paid: str | None) -> None:
        self.ref, self.status, self.paid = ref, status, paid

    def places(self, names: Sequence[str]) -> dict[str, int]:
        """Returns by name where each column stands.  Raises CommandError."""
        wanted = [name for name in (self.ref, self.status, self.paid) if name is not None]
        known = {name.strip(): place for place, name in enumerate(names)}
        if missing := [name for name in wanted if name not in known]:
            raise CommandError(f"the file has no column {missing[0]!r}; it has: {', '.join(known)}", code=WRONG)
        return {name: known[name] for name in wanted}


class ShopComparison:
    """What was compared: counts by (shop's word, our status), and the first differences with their reasons."""

    def __init__(self) -> None:
        self.agree = 0
        self.pairs = Counter[tuple[str, str]]()
        self.not_here: list[str] = []
        self.missing = 0
        self.differences: list[dict[str, Any]] = []
        self.differ = 0


def _words(given: Iterable[str]) -> "Mapping[str, Status]":
    from tillkeeper.domain.shadow import USUAL_WORDS
    from tillkeeper.domain.statuses import Status

    words = dict(USUAL_WORDS)
    for each in given:
        word, _, status = each.rpartition("=")
        if not word or status not in set(Status):
            known = ", ".join(Status)
            raise CommandError(f"--word {each!r}: write WORD=STATUS, with one of {known}", code=WRONG)
        words[word.strip().lower().replace(" ", "_").replace("-", "_")] = Status(status)
    return words


def _states(file: Path, columns: _Columns) -> "Iterator[tuple[int, str, str | None, str | None]]":
    """Yields (line, reference, state, amount) of each order in a file.  Raises CommandError."""
    from tillkeeper.domain.books.statement import StatementRefused
    from tillkeeper.gateways.kit.statements.rows import rows_of
    from tillkeeper.gateways.kit.statements.unpacking import unpacked

    try:
        with file.open("rb") as opened:
            rows = rows_of(unpacked(opened))
            places = columns.places(next(rows, (0, ()))[1])
            for line, cells in rows:
                if len(cells) <= max(places.values()):
                    raise CommandError(
                        f"{file}: line {line} has {len(cells)} columns, fewer than are named", code=WRONG
                    )
                of = {name: cells[place].strip() for name, place in places.items()}
                yield line, of[columns.ref], of.get(columns.status or ""), of.get(columns.paid or "")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", code=WRONG) from None
    except StatementRefused as error:
        raise CommandError(f"{file}: {error}", code=WRONG) from None


async def _compare(
    pool: "Pool", states: "Iterator[tuple[int, str, str | None, str | None]]", words: "Mapping[str, Status]"
) -> ShopComparison:
    from itertools import islice

    from tillkeeper.store.reports.shadow import states_of

    found = ShopComparison()
    while some := list(islice(states, AT_ONCE)):
        ours = await states_of(pool, [ref for _, ref, _, _ in some])
        for line, ref, word, paid in some:
            if (known := ours.get(ref)) is None:
                found.missing += 1
                found.not_here += [ref][: SHOWN_MAX - len(found.not_here)]
            else:
                _add(found, _shop(line, ref, word, paid, known), known, words)
    for difference in found.differences:
        difference["why"] = await _why(pool, difference["order_ref"])
    return found


def _shop(line: int, ref: str, word: str | None, paid: str | None, ours: "OursState") -> "ShopState":
    from tillkeeper.domain.money import BadMoney, minor_from_major
    from tillkeeper.domain.shadow import ShopState

    try:
        amount = minor_from_major(paid, ours.currency) if paid else None
    except BadMoney as error:
        raise CommandError(f"line {line}: {error}, not {paid!r}", code=WRONG) from None
    return ShopState(line=line, order_ref=ref, word=word or None, paid=amount)


def _add(found: ShopComparison, shop: "ShopState", ours: "OursState", words: "Mapping[str, Status]") -> None:
    from tillkeeper.cli.money import in_words
    from tillkeeper.domain.shadow import differences_between

    found.pairs[shop.word or "", str(ours.status)] += 1
    differ = differences_between(shop, ours, words)
    if not differ:
        found.agree += 1
        return
    found.differ += 1
    if len(found.differences) < SHOWN_MAX:
        found.differences.append(
            {
                "line": shop.line,
                "order_ref": shop.order_ref,
                "differ": differ,
                "shop": shop.word,
                "ours": str(ours.status),
                "shop_paid": in_words(shop.paid, ours.currency),
                "our_paid": in_words(ours.paid, ours.currency),
            }
        )


async def _why(pool: "Pool", order_ref: str) -> str:
    """Returns the line of the status table that holds, and the last event."""
    from tillkeeper import clock
    from tillkeeper.store.reports.order_as_of import read_as_of

    told = await read_as_of(pool, order_ref, clock.now())
    assert told is not None, "orders are never removed"
    last = f"; the last event: {told.latest.kind} of {told.latest.occurred_at:%Y-%m-%d %H:%MZ}" if told.latest else ""
    return f"{told.because}{last}"


def _print(found: ShopComparison, *, as_json: bool) -> None:
    from tillkeeper.cli.output import print_json, print_table

    pairs = [(word, ours, count) for (word, ours), count in found.pairs.most_common()]
    if as_json:
        keys = ("shop", "ours", "orders")
        told = {"agree": found.agree, "differ": found.differ, "not_here": found.missing}
        print_json(
            {
                **told,
                "pairs": [dict(zip(keys, pair, strict=True)) for pair in pairs],
                "differences": found.differences,
                "not_here_refs": found.not_here,
            }
        )
        return
    print_table("States", ("the shop says", "here", ">orders"), pairs)
    rows = [
        (each["line"], each["order_ref"], each["shop"], each["ours"], each["shop_paid"], each["our_paid"], each["why"])
        for each in found.differences
    ]
    columns = (">line", "order", "the shop says", "here", ">paid there", ">paid here", "why it is so here")
    print_table(f"Differences: {found.differ}", columns, rows)
    if found.not_here:
        print(f"Not registered here: {found.missing}, such as {', '.join(found.not_here[:5])}")
    print(f"Orders that agree: {found.agree}; that differ: {found.differ}.")
