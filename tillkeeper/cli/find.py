"""Implements `tillkeeper find`: one box for everything that somebody may have in hand."""

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tillkeeper.cli.errors import NO, reported
from tillkeeper.cli.money import in_words
from tillkeeper.cli.options import AsJson, Config, exits, settings_from, unicode

if TYPE_CHECKING:
    from tillkeeper.domain.search.hits import Group, Hit, SearchResult
    from tillkeeper.gateways.failure_codes import KnownCode

app = typer.Typer()

STANDARD_INPUT: Final = "-"
READ_CHARS_MAX: Final = 1_000_000  # of standard input; the search itself reads less, and says so

Text = Annotated[
    list[str], typer.Argument(metavar="TEXT", parser=unicode, help="What there is; - reads it from standard input.")
]


@app.command(
    "find", epilog=exits(yes="something was found", no="nothing was found", example="tillkeeper find 129.00 2026-11-28")
)
def find_command(text: Text, config: Config = None, as_json: AsJson = False) -> None:
    """Find whatever somebody has in hand: paste it, and see what it is.

    A number of an order, payment, capture, refund or dispute, whole or its last four characters or more; the whole id
    of an event or a notice; a case, parked message or refused delivery ("#17"); a mail address, or the last digits of a
    phone number; an amount with a day ("¥129 昨天", "129.00 2026-11-28"; without a day, of today and yesterday); all of
    a message or screenshot that a customer sent; a gateway's code for a failure.

    Looks at orders and their payments, what waits for its order, what counts for nothing, is parked or was refused (the
    latest 300), cases and notices.  Days are of notify.time_zone.
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper import clock
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json, zone
        from tillkeeper.domain.search.parsing import search_for
        from tillkeeper.gateways.failure_codes import meanings_of
        from tillkeeper.store.search.find import find

        search = search_for(_given(text), now=clock.now(), zone=zone())
        codes = [meaning for code in search.codes for meaning in meanings_of(code)]

        async def query(pool: Any) -> "SearchResult":
            return await find(pool, search)

        found = ask(settings, query)
        if as_json:
            print_json(_as_json(found, codes))
        else:
            _print(found, codes)
    if not found.groups and not codes:
        raise typer.Exit(NO)


def _given(text: list[str]) -> str:
    if text == [STANDARD_INPUT]:
        return sys.stdin.buffer.read(READ_CHARS_MAX).decode("utf-8", "replace")
    return " ".join(text)


def _as_json(found: "SearchResult", codes: "list[KnownCode]") -> dict[str, Any]:
    from datetime import datetime

    import msgspec

    from tillkeeper.domain.failures import guidance_for

    fields: dict[str, Any] = msgspec.to_builtins(found, builtin_types=(datetime,))
    fields["codes"] = [
        {**msgspec.to_builtins(code), "guidance": msgspec.to_builtins(guidance_for(code.failure))} for code in codes
    ]
    return fields


TITLES: Final = {
    "order": "Orders",
    "waiting": "Money and events that wait for an order",
    "payment": "Payments",
    "refund": "Refunds",
    "dispute": "Disputes",
    "mismatched": "Events that count for nothing",
    "event": "Events",
    "parked": "Parked messages",
    "refused": "Refused deliveries",
    "case": "Cases",
    "notice": "Notices",
}


def _print(found: "SearchResult", codes: "list[KnownCode]") -> None:
    for code in codes:
        _print_code(code)
    for group in found.groups:
        _print_group(group)
    if not found.groups and not codes:
        print("Nothing was found.")
    if found.cut:
        print("Not all of the text was looked for: name less.")


def _print_group(group: "Group") -> None:
    from tillkeeper.cli.output import print_table

    print_table(
        f"{TITLES[group.kind]}{_count(group)}",
        ("what", "why", "order", "account", "status", ">amount", "at", "more"),
        (_row(hit) for hit in group.hits),
    )


def _count(group: "Group") -> str:
    """Says how many there are, where not all are shown."""
    if group.more:
        return f", the first {len(group.hits)} of more than {group.found}"
    return f", the first {len(group.hits)} of {group.found}" if group.found > len(group.hits) else ""


def _row(hit: "Hit") -> tuple[object, ...]:
    from tillkeeper.domain.search.hits import WHY_WORDS

    payment = f"payment {hit.payment_ref}" if hit.payment_ref and hit.payment_ref != hit.ref else None
    return (
        hit.ref,
        WHY_WORDS[hit.why].en,
        hit.order_ref,
        hit.account,
        hit.status,
        in_words(hit.amount, hit.currency),
        hit.at,
        "; ".join(part for part in (payment, hit.detail) if part),
    )


def _print_code(code: "KnownCode") -> None:
    from tillkeeper.cli.output import print_facts
    from tillkeeper.domain.failures import RETRY_WORDS, guidance_for

    guidance = guidance_for(code.failure)
    print(f"{code.code} ({code.gateway}) is {code.failure}")
    print_facts(
        {
            "tell the buyer": guidance.reason.en,
            "": RETRY_WORDS[guidance.retry].en,
            **{f"step {number}": step.en for number, step in enumerate(guidance.steps, 1)},
            "告知买家": guidance.reason.zh
            + RETRY_WORDS[guidance.retry].zh
            + "".join(step.zh for step in guidance.steps),
        }
    )
    print()
