"""Parked events at the command line: listed, shown, replayed and discarded."""

from uuid import uuid4

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.system.commands import (
    tillkeeper,
)
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.registration import register
from tillkeeper.store.deliveries.parked import park_event, park_unreadable


async def parked(pool, *events):
    """Parks each event with a delivery of its own; returns their numbers."""
    async with pool.acquire() as conn:
        for event in events:
            delivery = a_delivery(event, run=uuid4(), number=1)
            await park_event(conn, delivery, event, reason="cannot_be_applied", error="it\ndid not", now=NOON)
        return [row["id"] for row in await conn.fetch("SELECT id FROM parked ORDER BY id")]


async def test_parked_events_are_listed_and_shown(config, pool):
    nothing = await tillkeeper("parked", "list", "--config", config)
    assert (nothing.code, nothing.out) == (0, "Nothing is parked.\n")
    first, second, third = await parked(pool, an_event(event_id="evt_a"), an_event(), an_event())
    listed = (await tillkeeper("parked", "list", "--json", "--limit", "2", "--config", config)).json
    assert [row["id"] for row in listed["parked"]] == [first, second]
    assert listed["more"] is True
    for_people = await tillkeeper("parked", "list", "--config", config)
    assert "evt_a" in for_people.out
    assert "it\\ndid not" in for_people.out
    assert for_people.out.endswith("3 in all.\n")
    told = (await tillkeeper("parked", "show", first, "--json", "--config", config)).json
    assert (told["id"], told["reason"], told["delivery"]["events"][0]["event_id"]) == (
        first,
        "cannot_be_applied",
        "evt_a",
    )
    shown = await tillkeeper("parked", "show", third, "--config", config)
    assert shown.code == 0
    assert '{"id": "evt"}' in shown.out
    assert (await tillkeeper("parked", "show", third + 1, "--config", config)).code == 1


async def test_replay_applies_what_it_can_and_says_why_the_rest_stays(config, pool):
    await register(pool, a_registration("A1"), policy=Policy(), now=NOON)
    good, alone, bad = await parked(
        pool,
        an_event(event_id="evt_good", order_ref="A1", payment_ref="p1"),
        an_event(event_id="evt_alone", order_ref="A2", payment_ref="p2"),
        an_event(event_id="evt_bad", order_ref="A1", payment_ref="p1", failure_code="\x00"),
    )
    async with pool.acquire() as conn:
        await park_unreadable(conn, b"no envelope", reason="unreadable", error="garbled", now=NOON)
    told = await tillkeeper("parked", "replay", "--all", "--by", "mei", "--note", "fixed", "--json", "--config", config)
    assert told.code == 1
    assert (told.json["done"], told.json["failed"]) == (2, 2)
    outcomes = {each["id"]: (each["outcome"], each["event_outcomes"]) for each in told.json["results"]}
    assert outcomes[good] == ("replayed", ["applied"])
    assert outcomes[alone] == ("replayed", ["waiting"])
    assert outcomes[bad] == ("still_parked", [])
    assert outcomes[bad + 1] == ("still_parked", [])
    row = (await tillkeeper("parked", "show", good, "--json", "--config", config)).json
    assert (row["outcome"], row["closed_by"], row["note"]) == ("replayed", "mei", "fixed")
    assert (await tillkeeper("order", "show", "A1", "--json", "--config", config)).json["status"] == "paid"
    left = (await tillkeeper("parked", "list", "--json", "--config", config)).json["parked"]
    assert [row["id"] for row in left] == [bad, bad + 1]
    again = await tillkeeper("parked", "replay", good, "--config", config)
    assert again.code == 1
    assert "not open" in again.out


async def test_a_dry_run_says_what_replaying_would_do_and_does_nothing(config, pool):
    await register(pool, a_registration("A1"), policy=Policy(), now=NOON)
    good, bad = await parked(
        pool,
        an_event(event_id="evt_good", order_ref="A1", payment_ref="p1"),
        an_event(event_id="evt_bad", order_ref="A1", payment_ref="p1", failure_code="\x00"),
    )
    told = await tillkeeper("parked", "replay", good, bad, "--dry-run", "--config", config)
    assert told.code == 1
    first, event, notice, second = told.out.splitlines()
    assert first == f"{good}  would be replayed"
    assert event.split() == ["payment.succeeded", "applied", "A1", "unpaid", "->", "paid"]
    assert notice.split()[1:] == ["notices", "to", "merchant"]
    assert second.startswith(f"{bad}  would stay as it is: UntranslatableCharacterError")
    as_json = await tillkeeper("parked", "replay", good, "--dry-run", "--json", "--config", config)
    assert as_json.json["results"][0]["effects"]["events"][0]["status_after"] == "paid"
    assert (await tillkeeper("parked", "replay", "--all", "--dry-run", "--config", config)).code == 2
    assert await pool.fetchval("SELECT count(*) FROM parked WHERE outcome IS NULL") == 2
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 0


async def test_an_event_that_came_again_meanwhile_is_superseded(config, pool):
    event = an_event(event_id="evt_again", order_ref="A1", payment_ref="p1")
    await register(pool, a_registration("A1"), policy=Policy(), now=NOON)
    first, second = await parked(pool, event, event)
    told = await tillkeeper("parked", "replay", second, first, second, "--json", "--config", config)
    assert told.code == 0
    assert [(each["id"], each["outcome"]) for each in told.json["results"]] == [
        (second, "replayed"),
        (first, "superseded"),
    ]
    books = await tillkeeper("audit", "--config", config)
    assert books.code == 0, books.out


async def test_discard_keeps_who_and_why_and_happens_once(config, pool):
    first, _ = await parked(pool, an_event(), an_event())
    arguments = ["parked", "discard", first, "--note", "a test of the gateway", "--config", config]
    done = await tillkeeper(*arguments, LOGNAME="wei")
    assert (done.code, done.out) == (0, f"{first}  discarded\n1 done, 0 not.\n")
    row = (await tillkeeper("parked", "show", first, "--json", "--config", config)).json
    assert (row["outcome"], row["closed_by"], row["note"]) == ("discarded", "wei", "a test of the gateway")
    assert (await tillkeeper(*arguments)).code == 1
    closed = await tillkeeper("parked", "list", "--all", "--config", config)
    assert "a test of the gateway" in closed.out
