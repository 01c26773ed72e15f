"""Notices at the command line: those that were given up are listed, and tried again."""

from tests.database.factories import NOON
from tests.system.commands import tillkeeper

KEY = "order/17/4"


async def a_dead_notice(pool, key=KEY):
    await pool.execute(
        "INSERT INTO outbox (key, audience, topic, payload, created_at, finished_at, state, channels, last_error,"
        " attempts) VALUES ($1, 'merchant', 'order.status_changed', '{\"a\": 1}', $2, $2, 'dead',"
        ' \'{"webhook": {"outcome": "dead"}}\', \'connection refused\', 9)',
        *(key, NOON),
    )


async def test_dead_notices_are_listed_and_tried_again(config, pool):
    assert (await tillkeeper("outbox", "list", "--config", config)).out == "There is none.\n"
    await a_dead_notice(pool)
    await a_dead_notice(pool, "order/18/1")
    listed = await tillkeeper("outbox", "list", "--audience", "merchant", "--limit", "1", "--json", "--config", config)
    assert (len(listed.json["notices"]), listed.json["more"]) == (1, True)
    assert "connection refused" in (await tillkeeper("outbox", "list", "--config", config)).out
    retry = ("outbox", "retry", KEY, "order/99/1", "--note", "the shop is back", "--by", "mei", "--config", config)
    told = await tillkeeper(*retry)
    assert (told.code, told.out) == (1, f"{KEY}  is tried again\norder/99/1  is not dead, or not there\n")
    row = await pool.fetchrow("SELECT state, channels FROM outbox WHERE key = $1", KEY)
    assert tuple(row) == ("pending", "{}")
    pending = await tillkeeper("outbox", "list", "--state", "pending", "--json", "--config", config)
    assert [notice["key"] for notice in pending.json["notices"]] == [KEY]
    (logged,) = await pool.fetch("SELECT person, what, subject, why FROM access_log")
    assert tuple(logged) == ("mei", "retry a notice", KEY, "the shop is back")
    again = await tillkeeper(*retry[:3], "--note", "again", "--json", "--config", config)
    assert (again.code, again.json) == (1, {"retried": [], "left": [KEY]})
    assert (await tillkeeper("outbox", "retry", KEY, "--note", " ", "--config", config)).code == 2
