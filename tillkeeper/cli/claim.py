"""Implements `tillkeeper claim`, which answers "the customer says they paid"."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tillkeeper.cli.errors import NO, CommandError, reported
from tillkeeper.cli.money import in_words
from tillkeeper.cli.options import AsJson, Config, exits, settings_from, unicode

if TYPE_CHECKING:
    from asyncpg import Pool

    from tillkeeper.domain.payment_claim import ClaimAnswer, ClaimEvidence, ClaimKnowledge
    from tillkeeper.settings import Settings

app = typer.Typer()

Text = Annotated[
    list[str], typer.Argument(metavar="TEXT", parser=unicode, help="The order, or whatever find finds it by.")
]
ORDERS_NAMED: Final = 5  # of several that a text leads to


@app.command(
    "claim",
    epilog=exits(yes="answered", no="the text leads to no order, or to several", example="tillkeeper claim A-1001"),
)
def claim_command(text: Text, config: Config = None, as_json: AsJson = False) -> None:
    """Answer "the customer says they paid": what is so, the evidence, what to tell them, and what can be done.

    The answer is one of: paid here; the gateway has it, and we are taking it over; money waits under another reference;
    the amount, currency or account is wrong; a payment is under way; not known; not paid.  "Not paid" is said only
    where all gateways of the order answered within the last 15 minutes: ask them first (order ask).
    """
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.output import print_json
        from tillkeeper.domain.payment_claim import answer

        given = " ".join(text)

        async def query(pool: "Pool") -> "ClaimKnowledge":
            return await _read(pool, given, settings)

        known = ask(settings, query)
        found = answer(known)
        if as_json:
            print_json(as_fields(known, found))
        else:
            _print(known, found)


async def _read(pool: "Pool", text: str, settings: "Settings") -> "ClaimKnowledge":
    """Reads what is known of the order that a text names, or leads to.  Raises CommandError."""
    known = await _known(pool, text, settings)
    if known is None:
        known = await _known(pool, await _order_of(pool, text), settings)
    assert known is not None  # orders are never removed
    return known


async def _known(pool: "Pool", order_ref: str, settings: "Settings") -> "ClaimKnowledge | None":
    from tillkeeper import clock
    from tillkeeper.gateways.askable import unaskable_by_order
    from tillkeeper.store.search.claim import read_claim

    now = clock.now()
    known = await read_claim(pool, order_ref, now=now)
    if known is None:
        return None
    return known.besides(unaskable_by_order(settings.accounts, known.order.order, now=now))


async def _order_of(pool: "Pool", text: str) -> str:
    """Returns the one order that a text leads to.  Raises CommandError."""
    from tillkeeper import clock
    from tillkeeper.cli.output import zone
    from tillkeeper.domain.search.parsing import search_for
    from tillkeeper.store.search.find import find

    found = await find(pool, search_for(text, now=clock.now(), zone=zone()))
    refs = found.order_refs()
    if not refs:
        waiting = " A payment waits that it names: tillkeeper find shows it." if found.waits else ""
        raise CommandError(f"{text!r} leads to no order.{waiting}", code=NO)
    if len(refs) > 1:
        named = ", ".join(map(repr, refs[:ORDERS_NAMED])) + (", ..." if len(refs) > ORDERS_NAMED else "")
        raise CommandError(f"{text!r} leads to several orders; name one: {named}", code=NO)
    return refs[0]


def as_fields(known: "ClaimKnowledge", found: "ClaimAnswer") -> dict[str, Any]:
    """Returns the answer for programs: its words in both languages beside its evidence."""
    from datetime import datetime

    import msgspec

    from tillkeeper.domain.claim_words import headline, say

    fields: dict[str, Any] = msgspec.to_builtins(found, builtin_types=(datetime,))
    return {
        "order_ref": known.order.order.order_ref,
        "status": known.order.summary.status,
        **fields,
        "headline": msgspec.to_builtins(headline(found)),
        "say": msgspec.to_builtins(say(known.order, found)),
    }


def _print(known: "ClaimKnowledge", found: "ClaimAnswer") -> None:
    from tillkeeper.cli.output import print_table, shown
    from tillkeeper.domain.claim_words import headline, say

    answered, told = headline(found), say(known.order, found)
    print(f"{shown(known.order.order.order_ref)}  {answered.en}  {answered.zh}\n")
    columns = ("what", "account", "payment", "under", ">amount", "at", "why")
    print_table("Evidence", columns, map(_row, found.because))
    print_table("Also known", columns, map(_row, found.besides))
    print(f"Tell the customer:\n  {shown(told.en)}\n  {shown(told.zh)}\n")
    for line in _what_to_do(known, found):
        print(shown(line))


def _row(evidence: "ClaimEvidence") -> tuple[object, ...]:
    from tillkeeper.domain.claim_words import SIGN_WORDS

    amount = in_words(evidence.amount, evidence.currency)
    why = ", ".join(word.replace("_", " ") for word in evidence.why)
    return (
        SIGN_WORDS[evidence.sign].en,
        evidence.account,
        evidence.ref,
        evidence.order_ref,
        amount,
        evidence.at,
        why,
    )


def _what_to_do(known: "ClaimKnowledge", found: "ClaimAnswer") -> list[str]:
    """Returns the commands that may help, one a line."""
    from shlex import quote

    from tillkeeper.domain.payment_claim import ClaimAct

    ref = quote(known.order.order.order_ref)
    lines = {
        ClaimAct.ASK: [f"tillkeeper order ask {ref}"],
        ClaimAct.BIND: [
            f"tillkeeper waiting bind {quote(money.account)} {quote(money.payment_ref or '')} {ref} --note WHY"
            for money in (each.money for each in known.possible)
        ],
        ClaimAct.REPLAY: [f"tillkeeper parked replay {parked.number} --note WHY" for parked in known.parked],
        ClaimAct.HOLD: [f"tillkeeper order hold {ref} 24h --note WHY"],
    }
    return [line for act in found.acts for line in lines[act]]
