"""Prints one case with all its evidence, for people at a terminal."""

from datetime import datetime
from typing import Any, Final

from tillkeeper.cli.money import in_words
from tillkeeper.cli.order_view import head_of
from tillkeeper.cli.output import cells, print_facts, print_table, shown
from tillkeeper.domain.order.case_kinds import AMOUNTS
from tillkeeper.domain.order.case_texts import state_in

BODY_CHARS_SHOWN: Final = 4_000  # --json and --bundle hold all of it


def print_case(found: dict[str, Any], *, raw: bool) -> None:
    """Prints it; `raw` adds the headers and bodies of its deliveries."""
    case, order = found["case"], found["order"]
    print_facts(
        {
            "case": case["id"],
            "kind": case["kind"],
            "about": case["subject"],
            "account": case["account"],
            "level": case["level"],
            "owner": case["owner"] or "nobody",
            "opened": case["opened_at"],
            "follow-up": case["follow_up_at"],
            "closed": case["closed_at"],
            "closed by": case["closed_by"],
            "outcome": case["outcome"],
            **{f"  {name}": _in_words(name, value, case["details"]) for name, value in case["details"].items()},
        }
    )
    print()
    entries = (cells(entry, "at", "what", "by", "note") for entry in found["entries"])
    print_table("Entries", ("at", "what", "by", "note"), entries)
    if order is not None:
        _print_order(order)
    _print_timeline(found["timeline"])
    columns = ("run", ">number", "account", "received", "verified by", ">events", ">bytes")
    print_table(
        "Deliveries; --raw shows them" if not raw else "Deliveries",
        columns,
        (
            cells({**delivery, "body_bytes": _size_of_body(delivery)}, *DELIVERY_CELLS)
            for delivery in found["deliveries"]
        ),
    )
    if raw:
        erased_at = order and order["erased_at"]
        for delivery in found["deliveries"]:
            _print_raw(delivery, erased_at)


DELIVERY_CELLS: Final = ("run", "number", "account", "received_at", "key", "events", "body_bytes")


def _size_of_body(delivery: dict[str, Any]) -> object:
    """Returns the bytes of a body, or says that retention or an erasure removed it."""
    return "not kept" if delivery["body_bytes"] is None else delivery["body_bytes"]


def _in_words(name: str, value: object, details: dict[str, Any]) -> object:
    """Writes a detail for people: amounts with their currency."""
    if name == "state" and (state := state_in(str(value))) is not None:
        return " ".join([state.word, *(in_words(*each) or "" for each in state.sums)])
    return in_words(value, details.get("currency")) if name in AMOUNTS and isinstance(value, int) else value


def _print_order(order: dict[str, Any]) -> None:
    print_facts(
        {
            **head_of(order),
            "stands since": order["stands_since"],
            "swept next": order["swept_next_at"],
            "held until": order["held_until"],
            "closed": order["closed_at"],
            "erased": order["erased_at"],
        }
    )
    print()


def _print_timeline(timeline: list[dict[str, Any]]) -> None:
    print_table(
        "Timeline, oldest first",
        ("recorded", "is", "what", "account or audience", ">amount", "evidence", "outcome", "more"),
        (
            (
                row["recorded_at"],
                row["what"],
                row["kind"],
                row.get("account") or row.get("audience"),
                in_words(row.get("amount"), row.get("currency")),
                row.get("evidence"),
                row["outcome"],
                _further_details(row),
            )
            for row in timeline
        ),
    )


def _further_details(row: dict[str, Any]) -> str:
    """Returns the further details of an entry of the timeline."""
    match row["what"]:
        case "act":
            return f"{row['by']}: {row['note']}" if row["note"] else row["by"]
        case "notice":
            sent = [f"{channel} {entry.get('outcome')}" for channel, entry in row["channels"].items()]
            return ", ".join([*sent, *([row["last_error"]] if row["last_error"] else [])])
        case "step":
            return row["note"] or ""
        case _:
            refs = (row["payment_ref"], row["refund_ref"], row["dispute_ref"], row["reason"], row["failure"])
            return ", ".join(text for text in refs if text)


def _print_raw(delivery: dict[str, Any], erased_at: datetime | None) -> None:
    print(f"{delivery['run']} {delivery['number']}")
    print_facts({f"  {name}": value for name, value in delivery["headers"]})
    body = delivery.get("body", delivery.get("body_b64"))
    if body is None:
        gone = f"erased at {shown(erased_at)}" if erased_at else "not kept any more: its days of [retention] are over"
        print(f"  ({gone})")
    else:
        print("\n".join(shown(line) for line in body[:BODY_CHARS_SHOWN].splitlines()))
        if len(body) > BODY_CHARS_SHOWN:
            print("... --json shows all of it")
    print()
