"""What programs do at the desk's API: in whose name, once for each key, and told why not."""

import asyncio
from datetime import timedelta

import pytest

from tests.browsing import Browser
from tests.database.factories import NOON
from tests.database.sweeps import POLICY
from tests.database.test_guard_sweeping import paused
from tests.desk_api import LATER, ORDER, TYPED, WAITS, Program, a_dead_notice, a_token, parked, problem_of, serving
from tests.desk_orders import ACCOUNT, MINUTE, a_paid_order, an_order, of_alipay, tell
from tests.desks import a_desk
from tests.system.desk.conftest import password_hash
from tests.virtual_time import Clock
from tillkeeper.desk.api.limits import LIMITER, Limiter
from tillkeeper.domain.people import Role
from tillkeeper.store.apply.bind_waiting import Binding, bind_waiting
from tillkeeper.store.people.idempotency import KEY_LIVES
from tillkeeper.store.people.people import set_password

WHY = {"reason": "the customer called"}


@pytest.fixture
def now():
    return Clock(LATER)


@pytest.fixture
def desk(pool, now):
    return a_desk(pool, now=now)


@pytest.fixture
async def client(desk):
    async with serving(desk) as client:
        yield client


@pytest.fixture
async def program(client, desk):
    return Program(client, await a_token(desk))


async def a_case(pool) -> int:
    await an_order(pool)
    await tell(pool, of_alipay(payment_ref="P-1", amount=20_000))
    return await pool.fetchval("SELECT max(id) FROM cases")


async def done(answer, status=200):
    assert answer.status == status, await answer.text()
    return await answer.json()


async def log_of(pool):
    rows = await pool.fetch("SELECT person, token, what, subject, why FROM access_log WHERE kind = 'act' ORDER BY id")
    return [tuple(row) for row in rows]


# --- cases ------------------------------------------------------------------------------------------------------------


async def test_a_case_is_taken_noted_followed_up_escalated_and_resolved_in_the_tokens_name(program, pool):
    number = await a_case(pool)
    case = f"/api/cases/{number}"
    assert (await done(await program.post(f"{case}/take")))["owner"] == "mei"
    await done(await program.post(f"{case}/note", {"text": "they call back"}))
    at = (LATER + timedelta(days=1)).isoformat()
    assert (await done(await program.post(f"{case}/follow-up", {"at": at, **WHY})))["follow_up_at"][:10] == at[:10]
    assert (await done(await program.post(f"{case}/escalate", WHY)))["level"] == 2
    resolved = await done(await program.post(f"{case}/resolve", {"outcome": "refunded by hand"}))
    assert (resolved["outcome"], resolved["closed_by"]) == ("refunded by hand", "mei/nightly")
    entries = (await done(await program.get(case)))["entries"]
    assert [entry["what"] for entry in entries[1:]] == ["assigned", "noted", "followed_up", "escalated", "resolved"]
    assert {entry["by"] for entry in entries[1:]} == {"mei/nightly"}
    told = await log_of(pool)
    assert told[-1] == ("mei", "nightly", "resolve a case", f"case {number}", "refunded by hand")
    assert {entry[:2] for entry in told} == {("mei", "nightly")}


async def test_who_is_second_is_told_who_was_first(program, pool):
    case = f"/api/cases/{await a_case(pool)}"
    seen = (await done(await program.get(case)))["seen"]
    first = await done(await program.post(f"{case}/take", {"seen": seen}))
    problem = await problem_of(await program.post(f"{case}/resolve", {"outcome": "paid back", "seen": seen}), 409)
    assert problem["detail"] == "mei/nightly acted on the case meanwhile: assigned"
    await done(await program.post(f"{case}/resolve", {"outcome": "paid back", "seen": first["seen"]}))
    assert (await problem_of(await program.post(f"{case}/take"), 409))["detail"] == "the case is closed"


async def test_anothers_case_is_taken_by_who_saw_that_it_is_theirs(program, client, desk, pool):
    """Of three who take a case at once, blindly, the first has it, and the others are told."""
    case = f"/api/cases/{await a_case(pool)}"
    await done(await program.post(f"{case}/take"))
    await done(await program.post(f"{case}/take"))
    jun = Program(client, await a_token(desk, "jun"))
    problem = await problem_of(await jun.post(f"{case}/take"), 409)
    assert problem["detail"] == "mei/nightly acted on the case meanwhile: assigned"
    read = await done(await jun.get(case))
    assert read["case"]["owner"] == "mei"
    assert (await done(await jun.post(f"{case}/take", {"seen": read["seen"]})))["owner"] == "jun"


@pytest.mark.parametrize(
    ("act", "body", "says"),
    [
        ("resolve", {}, "`outcome`"),
        ("resolve", {"outcome": " "}, "`$.outcome`"),
        ("note", {"text": "a", "more": 1}, "more"),
        ("take", [], "the body"),
        ("follow-up", {"at": "2020-01-01T00:00:00Z", **WHY}, "at: it is over"),
        ("follow-up", {"at": "1999-01-01T00:00:00Z", **WHY}, "at: there is no such time here"),
    ],
)
async def test_a_bad_body_is_told_what_is_wrong(program, pool, act, body, says):
    number = await a_case(pool)
    assert says in (await problem_of(await program.post(f"/api/cases/{number}/{act}", body), 400))["detail"]
    assert await log_of(pool) == []


async def test_what_is_no_json_is_refused(program):
    headers = {"Authorization": f"Bearer {program.token}"}
    for sent, status in (
        ({"data": b"{", "headers": {**headers, "Content-Type": "application/json"}}, 400),
        ({"data": {"reason": "x"}, "headers": headers}, 415),
        ({"json": {}, "headers": {**headers, "Content-Encoding": "gzip"}}, 415),
        ({"json": {"text": "x" * 70_000}, "headers": headers}, 413),
    ):
        await problem_of(await program.client.post("/api/cases/1/note", **sent), status)


# --- orders -----------------------------------------------------------------------------------------------------------


async def test_an_order_is_asked_about_held_released_and_closed(program, pool):
    await an_order(pool)
    order = f"/api/orders/{ORDER}"
    await done(await program.post(f"{order}/ask", WHY))
    until = (LATER + timedelta(hours=2)).isoformat()
    assert (await done(await program.post(f"{order}/hold", {"until": until, **WHY})))["held_until"][:13] == until[:13]
    assert "it is held until" in (await problem_of(await program.post(f"{order}/ask", WHY), 409))["detail"]
    assert (await done(await program.post(f"{order}/release", WHY)))["held_until"] is None
    assert (await done(await program.post(f"{order}/close", WHY)))["closed_at"] is not None
    await problem_of(await program.post(f"{order}/close", WHY), 409)
    await problem_of(await program.post("/api/orders/NOBODY/close", WHY), 404)
    await problem_of(await program.post(f"{order}/hold", {"until": NOON.isoformat(), **WHY}), 400)
    history = await done(await program.get(f"{order}/history"))
    assert {entry["by"] for entry in history if entry["what"] == "act"} == {"mei/nightly"}


async def test_an_order_is_not_closed_while_money_waits_under_a_reference_like_it(client, program, desk, pool):
    await an_order(pool)
    await tell(pool, of_alipay(order_ref=TYPED, payment_ref=WAITS, amount=12_900), at=NOON + MINUTE)
    problem = await problem_of(await program.post(f"/api/orders/{ORDER}/close", WHY), 409)
    assert WAITS in problem["detail"]
    assert "propose-closing" in problem["remedy"]
    proposed = await done(await program.post(f"/api/orders/{ORDER}/propose-closing", WHY), 202)
    assert WAITS in str(proposed["content"])
    confirm = f"/api/approvals/{proposed['id']}/confirm"
    assert (await problem_of(await program.post(confirm, WHY), 409))["detail"] == "you proposed it"
    jun = Program(client, await a_token(desk, "jun"))
    assert (await done(await jun.post(confirm, WHY)))["decision"] == "confirmed"
    assert (await done(await program.get(f"/api/orders/{ORDER}")))["closed_at"] is not None


async def test_an_order_that_nothing_speaks_for_is_closed_by_one(program, pool):
    await an_order(pool)
    problem = await problem_of(await program.post(f"/api/orders/{ORDER}/propose-closing", WHY), 409)
    assert problem["detail"] == "nothing stands against closing it"


# --- parked and notices -----------------------------------------------------------------------------------------------


async def test_a_parked_event_is_previewed_replayed_and_not_twice(program, pool):
    await an_order(pool)
    number = await parked(pool)
    preview = await done(await program.get(f"/api/parked/{number}/preview"))
    assert [(each["status_before"], each["status_after"]) for each in preview["events"]] == [("unpaid", "paid")]
    replayed = await done(await program.post(f"/api/parked/{number}/replay", WHY))
    assert (replayed["outcome"], replayed["closed_by"]) == ("replayed", "mei/nightly")
    assert (await done(await program.get(f"/api/orders/{ORDER}")))["status"] == "paid"
    await problem_of(await program.post(f"/api/parked/{number}/replay", WHY), 409)
    await problem_of(await program.post(f"/api/parked/{number}/discard", WHY), 409)
    await problem_of(await program.post("/api/parked/99/replay", WHY), 404)
    other = await parked(pool)
    assert (await done(await program.post(f"/api/parked/{other}/discard", WHY)))["outcome"] == "discarded"


async def test_what_cannot_be_applied_stays_parked_and_says_why(program, pool):
    number = await parked(pool)
    await pool.execute("UPDATE parked SET body = 'x' WHERE id = $1", number)
    await problem_of(await program.post(f"/api/parked/{number}/replay", WHY, key="k"), 409)
    assert await pool.fetchval("SELECT outcome FROM parked WHERE id = $1", number) is None
    assert await pool.fetchval("SELECT count(*) FROM idempotency_keys") == 0


async def test_a_dead_notice_is_tried_again_and_no_other(program, pool):
    key = await a_dead_notice(pool, ORDER)
    assert (await done(await program.post("/api/outbox/retry", {"key": key, **WHY})))["state"] == "pending"
    assert "pending" in (await problem_of(await program.post("/api/outbox/retry", {"key": key, **WHY}), 409))["detail"]
    await problem_of(await program.post("/api/outbox/retry", {"key": "none", **WHY}), 404)


# --- two people -------------------------------------------------------------------------------------------------------


async def test_waiting_money_is_bound_by_two_people_whatever_tokens_they_have(client, program, desk, pool):
    await an_order(pool)
    await tell(pool, of_alipay(order_ref=TYPED, payment_ref=WAITS, amount=12_900), at=NOON + MINUTE)
    wanted = {"account": ACCOUNT, "payment_ref": WAITS, "order_ref": ORDER, "reason": "an O for a 0"}
    for other in ({"payment_ref": "1"}, {"account": "nobodys"}):  # no one is asked to confirm what cannot be done
        told = await problem_of(await program.post("/api/waiting/bind", wanted | other), 409)
        assert told["detail"].startswith("no such payment waits")
    proposed = await done(await program.post("/api/waiting/bind", wanted), 202)
    await problem_of(await program.post("/api/waiting/bind", wanted), 409)
    [waiting] = await done(await program.get("/api/approvals"))
    assert waiting == proposed
    confirm = f"/api/approvals/{proposed['id']}/confirm"
    own = Program(client, await a_token(desk, "mei", token="another"))
    assert (await problem_of(await own.post(confirm, WHY), 409))["detail"] == "you proposed it"
    jun = Program(client, await a_token(desk, "jun"))
    decided = await done(await jun.post(confirm, WHY))
    assert (decided["decision"], decided["proposed_by"], decided["decided_by"]) == ("confirmed", "mei", "jun")
    assert (await done(await program.get(f"/api/orders/{ORDER}")))["status"] == "paid"
    await problem_of(await jun.post(confirm, WHY), 409)
    # Each row says who it was and by which token, also those that proposing and confirming write themselves.
    rows = await pool.fetch("SELECT person, token, what FROM access_log WHERE person_id IS NOT NULL ORDER BY id")
    acts = [(row["person"], row["token"]) for row in rows if row["what"].startswith(("bind", "propose", "confirm"))]
    assert acts == [("mei", "nightly")] * 2 + [("jun", "nightly")] * 2


async def test_a_case_that_says_whether_money_counts_is_resolved_by_two(client, program, desk, pool):
    await a_paid_order(pool)
    number = await pool.fetchval("SELECT id FROM cases WHERE kind = 'wrong_currency'")
    case, said = f"/api/cases/{number}", {"outcome": "paid back by hand"}
    assert "propose-resolution" in (await problem_of(await program.post(f"{case}/resolve", said), 409))["remedy"]
    proposed = await done(await program.post(f"{case}/propose-resolution", said), 202)
    await problem_of(await program.post(f"{case}/propose-resolution", said), 409)
    confirm = f"/api/approvals/{proposed['id']}/confirm"
    assert (await problem_of(await program.post(confirm, WHY), 409))["detail"] == "you proposed it"
    jun = Program(client, await a_token(desk, "jun"))
    assert (await done(await jun.post(confirm, WHY)))["decision"] == "confirmed"
    assert (await done(await program.get(case)))["case"]["closed_at"] is not None
    await problem_of(await jun.post(confirm, WHY), 409)


async def test_what_becomes_of_a_paused_account_is_decided_by_two(client, program, desk, pool):
    assert await done(await program.get("/api/guard")) == []
    await problem_of(await program.get(f"/api/guard/{ACCOUNT}"), 404)
    await problem_of(await program.post(f"/api/guard/{ACCOUNT}/propose", {"decision": "go", **WHY}), 409)
    await paused(pool, ACCOUNT)
    [pause] = await done(await program.get("/api/guard"))
    assert (pause["account"], pause["state"], pause["held"]) == (ACCOUNT, "paused", 0)
    assert (await done(await program.get(f"/api/guard/{ACCOUNT}")))["tried"] == 0
    proposed = await done(await program.post(f"/api/guard/{ACCOUNT}/propose", {"decision": "go", **WHY}), 202)
    await problem_of(await program.post(f"/api/guard/{ACCOUNT}/propose", {"decision": "park", **WHY}), 409)
    confirm = f"/api/approvals/{proposed['id']}/confirm"
    assert (await problem_of(await program.post(confirm, WHY), 409))["detail"] == "you proposed it"
    jun = Program(client, await a_token(desk, "jun"))
    await done(await jun.post(confirm, WHY))
    [pause] = await done(await program.get("/api/guard"))
    assert (pause["state"], pause["decided_by"], pause["note"]) == ("going on", "mei, jun", WHY["reason"])


async def test_a_payer_is_reminded_and_a_claim_is_opened(program, pool):
    await an_order(pool)
    order = f"/api/orders/{ORDER}"
    await done(await program.post(f"{order}/claim", WHY))
    assert "claimed_paid" in {case["kind"] for case in (await done(await program.get(order)))["cases"]}
    await problem_of(await program.post(f"{order}/remind", WHY), 409)  # it has no address to write to


async def test_a_proposal_is_withdrawn_by_its_own_person_and_refused_by_another(client, program, desk, pool):
    jun = Program(client, await a_token(desk, "jun"))
    wanted = {"account": ACCOUNT, "payment_ref": WAITS, "order_ref": ORDER, "reason": "an O for a 0"}
    await problem_of(await program.post("/api/waiting/bind", wanted), 404)
    await an_order(pool)
    await tell(pool, of_alipay(order_ref=TYPED, payment_ref=WAITS, amount=12_900), at=NOON + MINUTE)
    for decider, decision in ((program, "withdrawn"), (jun, "refused")):
        proposed = await done(await program.post("/api/waiting/bind", wanted), 202)
        decided = await done(await decider.post(f"/api/approvals/{proposed['id']}/refuse", WHY))
        assert decided["decision"] == decision
    proposed = await done(await program.post("/api/waiting/bind", wanted), 202)
    binding = Binding(account=ACCOUNT, payment_ref=WAITS, order_ref=ORDER, by="ana", note="meanwhile")
    await bind_waiting(pool, binding, policy=POLICY, now=NOON + MINUTE)
    problem = await problem_of(await jun.post(f"/api/approvals/{proposed['id']}/confirm", WHY), 409)
    assert "ana bound it to order" in problem["detail"]
    assert len(await done(await program.get("/api/approvals"))) == 1


async def test_a_shift_is_handed_over(program, pool):
    assert (await done(await program.post("/api/handover", {})))["by"] == "mei/nightly"
    assert (await done(await program.get("/api/handover")))["last"]["by"] == "mei/nightly"


# --- once -------------------------------------------------------------------------------------------------------------


async def test_a_repeated_request_is_answered_as_the_first_and_done_once(program, pool):
    note = f"/api/cases/{await a_case(pool)}/note"
    first = await program.post(note, {"text": "they call back"}, key="k-1")
    again = await program.post(note, {"text": "they call back"}, key="k-1")
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await done(first) == await done(again)
    assert len(await log_of(pool)) == 1
    await done(await program.post(note, {"text": "they call back"}, key="k-2"))
    assert len(await log_of(pool)) == 2


async def test_a_key_that_stands_for_another_request_is_refused(program, pool):
    number = await a_case(pool)
    await done(await program.post(f"/api/cases/{number}/note", {"text": "a"}, key="k"))
    await problem_of(await program.post(f"/api/cases/{number}/note", {"text": "b"}, key="k"), 422)
    await problem_of(await program.post(f"/api/cases/{number}/take", {}, key="k"), 422)
    await problem_of(await program.post(f"/api/cases/{number}/take", {}, key="é"), 400)
    assert len(await log_of(pool)) == 1


async def test_of_two_at_once_one_does_it_and_both_are_told_the_same(program, pool):
    note = f"/api/cases/{await a_case(pool)}/note"
    answers = await asyncio.gather(*(program.post(note, {"text": "a"}, key="k") for _ in range(8)))
    bodies = [await done(answer) for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 7
    assert len(await log_of(pool)) == 1


async def test_an_act_that_was_refused_may_be_tried_again_with_its_key(program, pool):
    order = f"/api/orders/{ORDER}/close"
    await problem_of(await program.post(order, WHY, key="k"), 404)
    await an_order(pool)
    await done(await program.post(order, WHY, key="k"))


async def test_each_token_has_keys_of_its_own_and_a_key_is_over_after_a_day(client, program, desk, pool, now):
    note = f"/api/cases/{await a_case(pool)}/note"
    await done(await program.post(note, {"text": "a"}, key="k"))
    other = Program(client, await a_token(desk, "jun", token="nightly", expires_at=LATER + timedelta(days=9)))
    await done(await other.post(note, {"text": "b"}, key="k"))
    now.at += KEY_LIVES
    await done(await other.post(note, {"text": "c"}, key="k"))
    assert len(await log_of(pool)) == 3
    assert await pool.fetchval("SELECT count(*) FROM idempotency_keys") == 1  # the other's went with it


# --- how often, and what for ------------------------------------------------------------------------------------------


async def test_a_token_that_asks_too_often_is_told_when_to_come_again(client, program, desk):
    app_limiter = client.app[LIMITER]
    app_limiter._burst, app_limiter._now_s = 3.0, lambda: 0.0
    answers = [await program.get("/api/approvals") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].headers["Retry-After"] == "1"
    await problem_of(answers[-1], 429)
    other = Program(client, await a_token(desk, "jun"))
    assert (await other.get("/api/approvals")).status == 200


def test_the_allowance_comes_back_and_those_who_asked_longest_ago_are_forgotten():
    at = [0.0]
    limiter = Limiter(now_s=lambda: at[0], per_s=2.0, burst=1.0)
    assert limiter.wait_s("a") == 0
    assert limiter.wait_s("a") == 0.5
    at[0] = 0.25
    assert limiter.wait_s("a", 0.5) == 0
    at[0] = 9.0
    assert limiter.wait_s("a") == 0
    assert limiter.wait_s("a") > 0
    for number in range(1000):
        limiter.wait_s(number)
    assert limiter.wait_s("a") == 0


async def test_a_token_for_health_alone_opens_nothing_else(client, desk):
    checkout = Program(client, await a_token(desk, role=Role.VIEWER, may_act=False, scope="health"))
    assert (await checkout.get("/api/accounts/health")).status == 200
    for path in ("/api/accounts", "/api/orders/A1", "/api/openapi.json"):
        assert (await problem_of(await checkout.get(path), 403))["detail"] == "the token is for health alone"
    assert (await client.get("/", headers=checkout._headers())).status == 403


async def test_a_token_that_reads_cannot_act(client, desk):
    reader = Program(client, await a_token(desk, may_act=False))
    await problem_of(await reader.post("/api/handover", {}), 403)


async def test_a_browser_acts_with_its_sessions_token_and_not_without(desk, client, program, pool):
    async with pool.acquire() as conn:
        await set_password(conn, await conn.fetchval("SELECT id FROM people WHERE name = 'mei'"), password_hash())
    browser = Browser(client)
    await browser.sign_in()
    csrf = await browser.csrf("/me")
    problem = await problem_of(await client.post("/api/handover", json={}), 403)
    assert "X-CSRF-Token" in problem["remedy"]
    assert (await done(await client.post("/api/handover", json={}, headers={"X-CSRF-Token": csrf})))["by"] == "mei"
    assert await log_of(pool) == [("mei", None, "hand over", "shift", "")]
