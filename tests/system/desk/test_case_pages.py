"""The pages of cases: what they say, what people do there, and what two do at once."""

import re
from datetime import timedelta

import pytest

from tests.database.factories import NOON
from tests.desk_orders import HOSTILE, MINUTE, a_hostile_order, an_order, of_alipay, tell
from tests.desk_reading import fields_on, said, shows_text_alone, text_of
from tests.desks import TOKEN, ZONE, a_desk, a_person, desk_client
from tillkeeper.desk.person import Role
from tillkeeper.domain.order.case_kinds import CASE_KINDS
from tillkeeper.store.cases import acts as case_acts
from tillkeeper.store.postgres.transactions import repeat_on_conflict

LATER = NOON + timedelta(hours=3)


def at_desk(pool, role=Role.OPERATOR, name="mei", locale="en"):
    return desk_client(a_desk(pool, now=lambda: LATER), a_person(role, locale, name))


@pytest.fixture
async def client(pool):
    async with at_desk(pool) as client:
        yield client


async def overpaid(pool, order_ref="ORD-1042"):
    """Has an order paid too much; returns the number of its case."""
    await an_order(pool, order_ref)
    await tell(pool, of_alipay(order_ref=order_ref, payment_ref=f"P-{order_ref}", amount=20_000))
    return await pool.fetchval("SELECT max(id) FROM cases")


async def resolved(pool, case_id, by="wei"):
    done = {"outcome": "refunded by hand", "text": "", "by": by, "now": NOON + 5 * MINUTE}
    await repeat_on_conflict(pool, lambda conn: case_acts.resolve(conn, case_id, **done))


async def form_on(client, case_id, act):
    """The hidden fields of a form, as the page has them."""
    page = await (await client.get(f"/cases/{case_id}")).text()
    return dict(fields_on(page, f"/cases/{case_id}/{act}"))


async def sent(client, case_id, act, **fields):
    """Sends a form as a browser would that opened the page just now."""
    hidden = await form_on(client, case_id, act)
    return await client.post(f"/cases/{case_id}/{act}", data=hidden | fields)


async def entries(pool, case_id):
    rows = await pool.fetch("SELECT what, by, note FROM case_entries WHERE case_id = $1 ORDER BY id", case_id)
    return [tuple(row) for row in rows][1:]


# --- the list ---------------------------------------------------------------------------------------------------------


async def test_the_title_says_whose_the_cases_are_and_what_is_due(client, pool):
    assert "No case is open. What machines can settle is settled" in await text_of(client, "/cases")
    first, second = await overpaid(pool, "A-1"), await overpaid(pool, "A-2")
    assert "2 are nobody's." in await text_of(client, "/cases")
    await sent(client, first, "take")
    await sent(client, second, "follow-up", at="2026-11-22T23:59", reason="the bank answers tonight")
    text = await text_of(client, "/cases")
    assert "1 is yours, 1 is due today, 1 is nobody's." in text
    await pool.execute("UPDATE cases SET owner = 'wei', follow_up_at = $1", LATER + timedelta(days=3))
    assert "2 are open, all with others." in await text_of(client, "/cases")


async def test_the_list_is_filtered_by_whose_kind_level_account_and_what_is_due(client, pool):
    first, second = await overpaid(pool, "A-1"), await overpaid(pool, "A-2")
    await sent(client, first, "take")
    await sent(client, second, "escalate", reason="they are angry")
    await sent(client, first, "follow-up", at="2026-11-22T23:30", reason="tonight")

    async def listed(query):
        return re.findall(r"Case ([0-9]+)", await text_of(client, f"/cases?{query}"))

    assert await listed("") == [str(second), str(first)], "the most urgent first"
    for query in ("owner=mei", "due=today"):
        assert await listed(query) == [str(first)], query
    for query in ("owner=-", "level=2"):
        assert await listed(query) == [str(second)], query
    for query in ("account=alipay-main", "kind=overpaid", "level=1"):
        assert len(await listed(query)) == 2, query
    for query in ("account=other", "kind=stuck", "level=3", "owner=nobody-of-this-name"):
        assert "No case is like that." in await text_of(client, f"/cases?{query}"), query
    await resolved(pool, first)
    assert await listed("") == [str(second)]
    assert await listed("closed=too") == [str(second), str(first)]


async def test_a_long_list_is_read_in_parts_each_case_once(client, pool):
    await pool.execute(
        "INSERT INTO cases (kind, subject, details, level, opened_at, follow_up_at)"
        " SELECT 'stuck', 's' || n, '{}', 1 + n % 3, $1::timestamptz + (n / 7) * interval '1 s', $1"
        " FROM generate_series(1, 120) n",
        NOON,
    )
    seen, path = [], "/cases"
    while path:
        page = await (await client.get(path)).text()
        seen += re.findall(r'href="/cases/([0-9]+)"', page)
        found = re.search(r'href="([^"]*after=[^"]*)"', page)
        path = found and found[1].replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == 120


@pytest.mark.parametrize(
    "query",
    ["level=x", "level=10", "after=x", "after=1~2~3", "after=0~1~2026-11-22~1", "owner=%00", "kind=" + "x" * 2001],
)
async def test_what_no_filter_can_be_is_refused(client, query):
    await text_of(client, f"/cases?{query}", 400)


# --- one case ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("locale", ["en", "zh"])
async def test_each_kind_says_what_it_means_and_what_to_do(pool, locale):
    for kind in sorted(CASE_KINDS):
        await pool.execute(
            "INSERT INTO cases (kind, subject, details, opened_at, follow_up_at) VALUES ($1, 's', '{}', $2, $2)",
            kind,
            NOON,
        )
    async with at_desk(pool, Role.VIEWER, locale=locale) as client:
        for case_id in await pool.fetch("SELECT id FROM cases"):
            page = await (await client.get(f"/cases/{case_id['id']}")).text()
            lead, do = (re.search(rf'<p class="{name}">(.*?)</p>', page)[1] for name in ("lead", "do"))
            assert len(lead) > 10, page
            assert len(do) > 10, page
            assert 'code class="plain"' not in page
            forms = re.findall(r'<form[^>]*method="post"[^>]*>', page)
            assert [form for form in forms if 'action="/find"' not in form] == [], "who only looks is offered no act"


async def test_a_case_shows_its_evidence_and_its_history(client, pool):
    case_id = await overpaid(pool)
    text = await text_of(client, f"/cases/{case_id}")
    assert "Paid too much: open for 2 h 59 min, and nobody's" in text
    assert "More came in than is due." in text
    assert "Payment succeeded 200.00 CNY P-ORD-1042 alipay-main applied" in text
    assert "due 129.00 CNY" in text
    assert "Opened by Tillkeeper" in text
    await text_of(client, "/cases/999", 404)
    await text_of(client, f"/cases/{'9' * 30}", 404)


async def test_a_person_takes_notes_follows_up_raises_and_resolves(client, pool):
    case_id = await overpaid(pool)
    for act, fields in (
        ("take", {}),
        ("note", {"text": " asked the bank "}),
        ("follow-up", {"at": "2026-11-23T09:00", "reason": "they answer tomorrow"}),
        ("escalate", {"reason": "they do not"}),
        ("resolve", {"outcome": "refunded by hand", "reason": "ticket 4711"}),
    ):
        answer = await sent(client, case_id, act, **fields)
        assert (answer.status, str(answer.url.path)) == (200, f"/cases/{case_id}"), act
    assert await entries(pool, case_id) == [
        ("assigned", "mei", "mei"),
        ("noted", "mei", "asked the bank"),
        ("followed_up", "mei", "next at 2026-11-23 01:00Z: they answer tomorrow"),
        ("escalated", "mei", "they do not"),
        ("resolved", "mei", "refunded by hand: ticket 4711"),
    ]
    text = await text_of(client, f"/cases/{case_id}")
    assert "Paid too much: closed by mei" in text
    assert "How it ended refunded by hand" in text
    told = await pool.fetch("SELECT topic FROM outbox WHERE audience = 'ops' ORDER BY id")
    assert [row["topic"] for row in told] == ["case.opened", "case.escalated"]
    logged = await pool.fetch("SELECT what, subject, why FROM access_log WHERE kind = 'act' ORDER BY id")
    assert len(logged) == 5
    assert tuple(logged[-1]) == ("resolve a case", f"case {case_id}", "refunded by hand")


async def test_what_an_act_needs_is_asked_for_and_what_was_written_stays(client, pool):
    case_id = await overpaid(pool)
    for act, fields, message in (
        ("note", {"text": "  "}, "Say what you found out."),
        ("follow-up", {"at": "2026-11-23T09:00"}, "Say why; it is kept."),
        ("follow-up", {"at": "tomorrow", "reason": "x"}, "Give a day and a time."),
        ("follow-up", {"at": "2026-11-22T09:00", "reason": "y"}, "The follow-up must be within the next 90 days"),
        ("escalate", {"reason": ""}, "Say why; it is kept."),
        ("resolve", {"reason": "the bank says so"}, "Say how it ended."),
    ):
        answer = await sent(client, case_id, act, **fields)
        page = await answer.text()
        assert answer.status == 400, act
        assert message in said(page), act
        assert fields.get("reason", "") in page
    assert await entries(pool, case_id) == []


async def test_whoever_is_second_is_told_who_was_first_and_changes_nothing(client, pool):
    case_id = await overpaid(pool)
    hidden = await form_on(client, case_id, "resolve")
    async with at_desk(pool, name="wei") as other:
        await sent(other, case_id, "take")
    second = await client.post(f"/cases/{case_id}/resolve", data=hidden | {"outcome": "refunded", "reason": "ticket 1"})
    text = await second.text()
    assert second.status == 409
    assert "Nothing was changed: wei acted first, at 23:00:00 (Assigned)." in said(text)
    assert "with wei" in said(text)
    assert 'value="refunded"' in text, "what was written is not lost"
    assert await entries(pool, case_id) == [("assigned", "wei", "wei")]
    await client.post(f"/cases/{case_id}/note", data={"csrf": TOKEN, "text": "stands beside it"})
    assert len(await entries(pool, case_id)) == 2


async def test_a_reminder_in_between_keeps_nobody_from_acting(client, pool):
    case_id = await overpaid(pool)
    hidden = await form_on(client, case_id, "take")
    await pool.execute(
        "INSERT INTO case_entries (case_id, what, by, at) VALUES ($1, 'followed_up', 'tillkeeper', $2)", case_id, NOON
    )
    assert (await client.post(f"/cases/{case_id}/take", data=hidden)).status == 200


async def test_a_case_at_the_highest_level_goes_no_higher(client, pool):
    case_id = await overpaid(pool)
    hidden = await form_on(client, case_id, "escalate")
    await pool.execute("UPDATE cases SET level = 3")
    answer = await client.post(f"/cases/{case_id}/escalate", data=hidden | {"reason": "still nothing"})
    assert answer.status == 409
    assert "the case is at the highest level" in said(await answer.text())
    assert "/escalate" not in await answer.text()


async def test_support_raises_no_levels_and_viewers_do_nothing(pool):
    case_id = await overpaid(pool)
    for role, offered in ((Role.VIEWER, set()), (Role.SUPPORT, {"take", "note", "follow-up", "resolve"})):
        async with at_desk(pool, role) as client:
            page = await (await client.get(f"/cases/{case_id}")).text()
            assert set(re.findall(rf'action="/cases/{case_id}/([a-z-]+)"', page)) == offered
            assert ('name="act" value="escalate"' in await (await client.get("/cases")).text()) is False


# --- many at once -----------------------------------------------------------------------------------------------------


async def planned(client, act, ids):
    """The page that says what would happen, and the fields of its form."""
    page = await (await client.get("/cases/many", params=[("act", act), *(("id", str(each)) for each in ids)])).text()
    return said(page), re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)


async def test_many_are_done_after_a_page_that_says_how_many(client, pool):
    ids = [await overpaid(pool, f"A-{number}") for number in range(3)]
    await resolved(pool, ids[2])
    text, fields = await planned(client, "resolve", ids)
    assert "2 cases are closed The same cause does not open them again" in text
    assert "1 is left out" in text
    assert await entries(pool, ids[0]) == [], "looking changes nothing"
    bare = await client.post("/cases/many/resolve", data=fields)
    assert bare.status == 400
    assert "Say how it ended." in said(await bare.text())
    done = await client.post("/cases/many/resolve", data=[*fields, ("outcome", "a test")])
    assert "2 cases are closed." in said(await done.text())
    for case_id in ids[:2]:
        assert await entries(pool, case_id) == [("resolved", "mei", "a test")]


async def test_of_many_those_that_somebody_else_was_quicker_with_are_left_and_said(client, pool):
    ids = [await overpaid(pool, f"A-{number}") for number in range(2)]
    _, fields = await planned(client, "take", ids)
    async with at_desk(pool, name="wei") as other:
        await sent(other, ids[1], "take")
    done = said(await (await client.post("/cases/many/take", data=fields)).text())
    assert "1 case is yours now. 1 was left as it is." in done
    assert await entries(pool, ids[1]) == [("assigned", "wei", "wei")]


async def test_many_go_up_a_level_with_a_reason_and_none_without_being_ticked(client, pool):
    ids = [await overpaid(pool, f"A-{number}") for number in range(2)]
    _, fields = await planned(client, "escalate", ids)
    done = await client.post("/cases/many/escalate", data=[*fields, ("reason", "nobody looked")])
    assert "2 cases went up a level." in said(await done.text())
    assert "No case is ticked" in await text_of(client, "/cases/many?act=take")
    await text_of(client, "/cases/many?act=erase&id=1", 400)
    await text_of(client, "/cases/many?act=take&id=x", 400)
    async with at_desk(pool, Role.SUPPORT) as support:
        await text_of(support, f"/cases/many?act=escalate&id={ids[0]}", 403)


# --- strangers' texts -------------------------------------------------------------------------------------------------


async def test_every_text_of_strangers_is_shown_as_text(client, pool):
    await a_hostile_order(pool)
    case_id = await pool.fetchval("SELECT min(id) FROM cases")
    for text in (HOSTILE, HOSTILE * 20):
        note = {"text": text, "by": text, "now": NOON}
        await repeat_on_conflict(pool, lambda conn, note=note: case_acts.note(conn, case_id, **note))
    await pool.execute("UPDATE cases SET details = details || jsonb_build_object($1::text, $1::text)", HOSTILE)
    await resolved(pool, case_id, by=HOSTILE)
    paths = ["/cases", "/cases?closed=too", f"/cases/many?act=take&id={case_id + 1}"]
    for path in [*paths, *(f"/cases/{row['id']}" for row in await pool.fetch("SELECT id FROM cases"))]:
        page = await (await client.get(path)).text()
        shows_text_alone(page)


def test_the_zone_of_these_tests_is_not_utc():
    assert NOON.astimezone(ZONE).hour == 20


async def test_contacts_in_notes_are_shown_to_those_alone_who_may_look_orders_up_by_them(pool):
    case_id = await overpaid(pool)
    async with at_desk(pool) as client:
        await sent(client, case_id, "note", text="called 13800138000 and wrote to buyer@example.com")
    for role, shown in ((Role.VIEWER, "called <phone> and wrote to <email>"), (Role.SUPPORT, "called 13800138000")):
        async with at_desk(pool, role) as client:
            assert shown in await text_of(client, f"/cases/{case_id}")
