"""The desk's API over HTTP: who may call it, how lists go on, and what errors say."""

import pytest

from tests.database.factories import NOON
from tests.database.test_guard_sweeping import paused
from tests.desk_api import LATER, ORDER, Program, a_token, parked, problem_of, serving
from tests.desk_orders import MINUTE, a_paid_order, an_order, of_alipay, tell
from tests.desks import a_desk
from tillkeeper.desk.json_problems import KINDS
from tillkeeper.domain.people import Role


@pytest.fixture
def desk(pool):
    return a_desk(pool, now=lambda: LATER)


@pytest.fixture
async def client(desk):
    async with serving(desk) as client:
        yield client


@pytest.fixture
async def program(client, desk):
    return Program(client, await a_token(desk))


# --- errors -----------------------------------------------------------------------------------------------------------


async def test_errors_say_what_was_wrong_and_what_would_be_right(program):
    body = await problem_of(await program.get("/api/orders/NOBODY"), 404)
    assert body == {
        "type": "/api/docs#not-found",
        "title": "There is no such thing",
        "status": 404,
        "detail": "no such order is registered",
        "remedy": "Look for it by /api/find?q=, or register it (docs/orders-api.md).",
    }


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/api/cases?limit=0", "`$.limit`"),
        ("/api/cases?limit=201", "`$.limit`"),
        ("/api/cases?limit=x", "`$.limit`"),
        ("/api/cases?limit=5&limit=6", "limit: it stands in the address more than once"),
        ("/api/cases?nothing=1", "not known here"),
        ("/api/cases?after=x", "after: no list here goes on there"),
        ("/api/cases?after=%00", "after"),
        ("/api/cases?due_before=2026-11-22T20:00:00", "`$.due_before`"),
        ("/api/cases?due_before=0001-01-01T00:00:00Z", "due_before: there is no such time here"),
        ("/api/cases?level=null", "`$.level`"),
        ("/api/stuck?status=paid", "`$.status`"),
        ("/api/outbox?audience=nobody", "`$.audience`"),
        ("/api/find", "`q`"),
    ],
)
async def test_a_bad_parameter_is_named(program, path, says):
    assert says in (await problem_of(await program.client.get(path, headers=program._headers()), 400))["detail"]


@pytest.mark.parametrize(
    "path", ["/api/nothing", "/api/cases/0", "/api/cases/x", "/api/cases/99999999999999999999", "/api/orders/%FF"]
)
async def test_what_is_not_there_is_a_problem_and_no_page(program, path):
    await problem_of(await program.client.get(path, headers=program._headers()), 404)


async def test_a_method_that_a_path_lacks_is_told_which_it_has(program):
    answer = await program.client.delete("/api/cases", headers=program._headers())
    assert (await problem_of(answer, 405))["detail"] == "the path takes GET, HEAD"
    assert answer.headers["Allow"] == "GET, HEAD"


async def test_an_error_that_nobody_foresaw_says_nothing_of_itself(program, desk, monkeypatch):
    def fail(_):
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(type(desk.feed), "fresh", fail)
    assert "42" not in str(await problem_of(await program.get("/api/now"), 500))


async def test_a_database_that_is_away_is_told_with_when_to_come_again(program, desk, monkeypatch):
    def fail(_):
        raise OSError

    monkeypatch.setattr(type(desk.feed), "fresh", fail)
    answer = await program.get("/api/now")
    assert answer.headers["Retry-After"] == "3"
    await problem_of(answer, 503)


def test_each_kind_of_error_has_a_status_of_its_own():
    assert len({kind.status for kind in KINDS}) == len({kind.name for kind in KINDS}) == len(KINDS)


# --- who --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer tk_nobodys"}, {"Authorization": "Basic eDp5"}])
async def test_who_has_no_token_is_told_to_send_one(client, headers):
    answer = await client.get("/api/cases", headers=headers, allow_redirects=False)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "Bearer TOKEN" in (await problem_of(answer, 401))["remedy"]


async def test_a_role_that_is_too_small_is_told_which_it_takes(client, desk):
    viewer = Program(client, await a_token(desk, "vera", Role.VIEWER))
    body = await problem_of(await viewer.get("/api/parked/1/preview"), 403)
    assert body["detail"] == "this takes the role operator; the token has viewer"


# --- lists ------------------------------------------------------------------------------------------------------------


async def all_of(program, path, **query):
    """What a list holds, read in parts of two."""
    found, after = [], {}
    while True:
        part = await (await program.get(path, limit="2", **query, **after)).json()
        assert len(part["items"]) <= 2
        found += part["items"]
        if part["next"] is None:
            return found
        after = {"after": part["next"]}


async def test_lists_go_on_where_the_part_before_ended_although_rows_come_meanwhile(program, pool):
    numbers = [await parked(pool, f"ORD-{number}") for number in range(5)]
    first = await (await program.get("/api/parked", limit="2")).json()
    await pool.execute("DELETE FROM parked WHERE id = $1", numbers[0])
    second = await (await program.get("/api/parked", limit="2", after=first["next"])).json()
    assert [row["id"] for row in first["items"] + second["items"]] == numbers[:4]


async def test_every_list_is_read_in_parts(program, pool):
    for number in range(5):
        ref = f"ORD-77{number}"
        await parked(pool, ref)
        await an_order(pool, ref)
        await tell(pool, of_alipay(order_ref=ref, payment_ref=f"P-{number}", amount=20_000), at=NOON + number * MINUTE)
        waiting = of_alipay(order_ref=f"X-{number}", payment_ref=f"W-{number}", amount=5)
        await tell(pool, waiting, at=NOON + number * MINUTE)
        await an_order(pool, f"S-{number}")
        await tell(pool, of_alipay(order_ref=f"S-{number}", payment_ref=f"S-{number}", amount=5), at=NOON)
    for path, name in (
        ("/api/parked", "order_ref"),
        ("/api/cases", "order_ref"),
        ("/api/waiting", "order_ref"),
        ("/api/stuck", "order_ref"),
        ("/api/outbox", "key"),
    ):
        query = {"state": "pending"} if path == "/api/outbox" else {}
        whole = (await (await program.get(path, limit="200", **query)).json())["items"]
        parts = [row[name] for row in await all_of(program, path, **query)]
        assert parts == [row[name] for row in whole], path
        assert len(set(parts)) == len(parts) >= 5, path


async def test_a_cursor_is_taken_by_its_own_list_alone(program, pool):
    for number in range(3):
        await parked(pool, f"ORD-{number}")
    part = await (await program.get("/api/parked", limit="2")).json()
    assert (await program.get("/api/parked", limit="2", after=part["next"])).status == 200
    await problem_of(await program.get("/api/refused", after=part["next"]), 400)


# --- what is read -----------------------------------------------------------------------------------------------------


async def test_an_order_is_what_the_orders_api_shows(program, pool):
    await a_paid_order(pool)
    order = await (await program.get(f"/api/orders/{ORDER}")).json()
    assert (order["status"], order["status_zh"], order["paid"]) == ("paid", "已支付", 12_900)
    history = await (await program.get(f"/api/orders/{ORDER}/history")).json()
    assert {entry["what"] for entry in history} == {"event", "act"}


async def test_a_reference_may_hold_any_character(program, pool):
    await an_order(pool, "A/B ?#")
    order = await program.client.get("/api/orders/A%2FB%20%3F%23", headers=program._headers())
    assert (await order.json())["order_ref"] == "A/B ?#"


async def test_who_looks_for_contacts_is_written_down_or_told_that_they_were_left_out(client, program, desk, pool):
    found = await (await program.get("/api/find", q="mei@example.com")).json()
    assert found["without_contacts"] is False
    row = await pool.fetchrow("SELECT kind, person, token, subject FROM access_log WHERE kind = 'look'")
    assert tuple(row) == ("look", "mei", "nightly", "")
    viewer = Program(client, await a_token(desk, "vera", Role.VIEWER))
    assert (await (await viewer.get("/api/find", q="mei@example.com")).json())["without_contacts"] is True


async def test_contacts_in_what_people_wrote_are_masked_for_who_may_not_look_them_up(client, program, desk, pool):
    await an_order(pool, "ORD-7")
    await tell(pool, of_alipay(order_ref="ORD-7", payment_ref="P-7", amount=20_000))
    case_id = await pool.fetchval("SELECT max(id) FROM cases")
    acting = Program(client, await a_token(desk, "wei"))
    await acting.post(f"/api/cases/{case_id}/note", {"text": "called 13800138000, wrote to buyer@example.com"})
    assert "13800138000" in await (await program.get(f"/api/cases/{case_id}")).text()
    viewer = Program(client, await a_token(desk, "vera", Role.VIEWER))
    shown = await (await viewer.get(f"/api/cases/{case_id}")).text()
    assert "called <phone>, wrote to <email>" in shown


async def test_the_health_of_accounts_says_which_ways_fail_and_is_read_once_for_many(program, pool, monkeypatch):
    for number in range(6):
        event = of_alipay("payment.failed", order_ref=f"F-{number}", payment_ref=f"F-{number}", method="BANKCARD")
        await an_order(pool, f"F-{number}")
        await tell(pool, event, at=LATER - MINUTE)
    health = await (await program.get("/api/accounts/health")).json()
    [alipay] = [each for each in health["accounts"] if each["account"] == "alipay-main"]
    assert alipay["state"] == "failing"
    assert [(way["method"], way["failed"]) for way in alipay["failing"]] == [("BANKCARD", 6)]
    await pool.execute("DELETE FROM inbox")
    assert await (await program.get("/api/accounts/health")).json() == health


async def test_an_account_that_is_paused_is_so_at_every_place(program, pool):
    await paused(pool, "alipay-main", now=LATER - MINUTE)
    for path in ("/api/accounts", "/api/accounts/health"):
        told = await (await program.get(path)).json()
        listed = told if isinstance(told, list) else told["accounts"]
        by_name = {each.get("name", each.get("account")): each for each in listed}
        assert by_name["alipay-main"]["state"] == "paused"
        assert by_name["stripe-main"]["state"] != "paused"
    one = await (await program.get("/api/accounts/alipay-main")).json()
    assert (one["state"], one["paused_since"]) == ("paused", (LATER - MINUTE).isoformat().replace("+00:00", "Z"))
