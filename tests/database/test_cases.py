"""What people do to cases, and how they read them, on a real database with a sweep at work."""

import asyncio
from uuid import UUID

import msgspec
import pytest

from tests.database.factories import NOON, RUN, a_delivery, an_event
from tests.database.sweeps import HOUR, MINUTE, POLICY, registered, told, until
from tillkeeper.api_client.client import QueryFailed
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.cases import BadFollowUp
from tillkeeper.domain.statuses import Status
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.cases import acts as case_acts
from tillkeeper.store.cases.acts import HighestLevel, MovedOn
from tillkeeper.store.cases.writing import ClosedCase, NoSuchCase
from tillkeeper.store.deliveries.raw import add_raw
from tillkeeper.store.jobs.follow_up import follow_up, open_unmatched
from tillkeeper.store.orders import acts as order_acts
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.case_files import file_of
from tillkeeper.store.reports.case_list import Filters, cases_named, count_open, list_cases
from tillkeeper.store.reports.handover import hand_over
from tillkeeper.store.reports.order import show
from tillkeeper.store.reports.stuck import StuckFilter, stuck_orders
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.follow_up import FollowUp


async def act(pool, what, case_id, *, now=NOON, by="mei", **more):
    await repeat_on_conflict(pool, lambda conn: what(conn, case_id, by=by, now=now, **more))


async def resolve(pool, case_id, *, outcome="refunded", text="", **more):
    await act(pool, case_acts.resolve, case_id, outcome=outcome, text=text, **more)


async def overpaid(pool, order_ref="A1", now=NOON):
    """Registers an order that is then overpaid; returns the number of its case."""
    await registered(pool, order_ref)
    await told(pool, an_event(amount=150, order_ref=order_ref, payment_ref=f"pi_{order_ref}"), now=now)
    return (await case_of(pool, order_ref))["id"]


async def case_of(pool, order_ref="A1", *, kind=None):
    (case,) = [each for each in (await show(pool, order_ref))["cases"] if kind in (None, each["kind"])]
    return case


async def entries(pool, case_id):
    return [(entry["what"], entry["by"], entry["note"]) for entry in (await file_of(pool, case_id))["entries"]]


async def listed(pool, **filters):
    async with pool.acquire() as conn:
        return await list_cases(conn, Filters(**filters), limit=100)


# --- acts -------------------------------------------------------------------------------------------------------------


async def test_a_case_is_taken_over_noted_and_resolved_and_each_is_kept(pool):
    case_id = await overpaid(pool)
    await act(pool, case_acts.assign, case_id, owner="wei")
    await act(pool, case_acts.note, case_id, text="asked the bank")
    await resolve(pool, case_id, text="ticket 4711", now=NOON + HOUR)
    case = await case_of(pool)
    assert (case["owner"], case["closed_by"], case["outcome"]) == ("wei", "mei", "refunded")
    assert (case["closed_at"], case["follow_up_at"]) == (NOON + HOUR, None)
    assert await entries(pool, case_id) == [
        ("opened", "tillkeeper", None),
        ("assigned", "mei", "wei"),
        ("noted", "mei", "asked the bank"),
        ("resolved", "mei", "refunded: ticket 4711"),
    ]


async def test_whoever_acts_on_a_case_that_another_changed_meanwhile_is_refused(pool):
    case_id = await overpaid(pool)
    async with pool.acquire() as conn:
        (seen,) = await cases_named(conn, [case_id, 999])
    await act(pool, case_acts.assign, case_id, owner="wei", by="wei", seen=seen["seen"])
    for what, more in (
        (case_acts.assign, {"owner": "mei"}),
        (case_acts.follow_up_at, {"at": NOON + HOUR, "text": "x"}),
        (case_acts.escalate, {"levels": 3, "text": "x"}),
        (case_acts.resolve, {"outcome": "x", "text": ""}),
    ):
        with pytest.raises(MovedOn, match="wei acted on the case meanwhile: assigned"):
            await act(pool, what, case_id, seen=seen["seen"], **more)
    assert [entry[0] for entry in await entries(pool, case_id)] == ["opened", "assigned"]


async def test_of_two_who_take_a_case_at_once_one_has_it(pool):
    case_id = await overpaid(pool)
    async with pool.acquire() as conn:
        (seen,) = await cases_named(conn, [case_id])
    takes = (act(pool, case_acts.assign, case_id, owner=by, by=by, seen=seen["seen"]) for by in ("mei", "wei"))
    refused = [result for result in await asyncio.gather(*takes, return_exceptions=True) if result is not None]
    assert [type(error) for error in refused] == [MovedOn]
    ((_, winner, owner),) = (await entries(pool, case_id))[1:]
    assert winner == owner == (await case_of(pool))["owner"]
    assert refused[0].entry["by"] == winner


async def test_a_case_is_followed_up_when_a_person_said_and_raised_when_they_say(pool):
    case_id = await overpaid(pool)
    await act(pool, case_acts.follow_up_at, case_id, at=NOON + 2 * HOUR, text="the bank answers")
    await act(pool, case_acts.escalate, case_id, levels=2, text="it does not")
    with pytest.raises(HighestLevel):
        await act(pool, case_acts.escalate, case_id, levels=2, text="still not")
    with pytest.raises(BadFollowUp):
        await act(pool, case_acts.follow_up_at, case_id, at=NOON, text="now")
    case = await case_of(pool)
    assert (case["follow_up_at"], case["level"]) == (NOON + 2 * HOUR, 2)
    async with pool.acquire() as conn:
        counts = await count_open(conn, owner="mei", until=NOON + 3 * HOUR)
    assert (counts.open, counts.yours, counts.nobodys, counts.due, counts.urgent) == (1, 0, 1, 1, 1)


async def test_a_case_that_a_person_resolved_is_not_opened_again_by_the_same_cause(pool):
    case_id = await overpaid(pool)
    await told(pool, an_event(amount=10, payment_ref="pi_more", second=5))  # whoever resolves it sees this too
    await resolve(pool, case_id)
    await told(pool, an_event(Kind.REFUND_SUCCEEDED, 6, refund_ref="re_1", payment_ref="pi_A1", amount=10))
    await told(pool, an_event(Kind.PAYMENT_PENDING, 7, payment_ref="pi_next"))
    case = await case_of(pool)
    assert (case["closed_by"], case["outcome"]) == ("mei", "refunded")


async def test_a_third_payment_opens_the_case_of_a_second_one_again_though_a_person_resolved_it(pool):
    await registered(pool)
    await told(pool, an_event(), an_event(payment_ref="pi_2"))
    case = await case_of(pool)
    await resolve(pool, case["id"])
    await told(pool, an_event(payment_ref="pi_3"), now=NOON + MINUTE)
    again = await case_of(pool)
    assert (again["id"], again["kind"], again["closed_at"]) == (case["id"], "paid_twice", None)
    assert again["details"]["captured"] == 300
    assert [what for what, _, _ in await entries(pool, case["id"])] == ["opened", "resolved", "reopened"]
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE topic = 'case.opened'") == 2


async def test_money_that_comes_late_a_second_time_opens_its_case_again_though_the_first_was_refunded(pool):
    await registered(pool)
    await repeat_on_conflict(
        pool, lambda conn: order_acts.close(conn, "A1", force=False, by="mei", note="sold out", now=NOON)
    )
    await told(pool, an_event())
    case = await case_of(pool)
    await resolve(pool, case["id"])
    await told(pool, an_event(Kind.REFUND_SUCCEEDED, 1, refund_ref="re_1", amount=100))
    assert (await case_of(pool))["closed_by"] == "mei"
    await told(pool, an_event(payment_ref="pi_2", second=2))
    again = await case_of(pool)
    assert (again["id"], again["kind"], again["closed_at"]) == (case["id"], "paid_after_closing", None)
    assert again["details"]["proposed_refund"] == 100


async def test_more_that_goes_back_than_a_person_knew_of_opens_its_case_again(pool):
    await registered(pool)
    refund = {"refund_ref": "re_1", "amount": 120}
    await told(pool, an_event(), an_event(Kind.REFUND_SUCCEEDED, 1, **refund))
    case = await case_of(pool)
    await resolve(pool, case["id"])
    await told(pool, an_event(Kind.REFUND_SUCCEEDED, 2, refund_ref="re_2", amount=10))
    again = await case_of(pool)
    assert (again["kind"], again["closed_at"]) == ("refunded_more_than_captured", None)


async def test_a_case_that_closed_by_itself_is_opened_again_when_its_cause_is_back(pool):
    case_id = await overpaid(pool)
    refund = {"refund_ref": "re_1", "payment_ref": "pi_A1", "amount": 50}
    await told(pool, an_event(Kind.REFUND_SUCCEEDED, 1, **refund))
    assert (await case_of(pool))["closed_by"] == "system"
    await told(pool, an_event(Kind.REFUND_FAILED, 2, **refund))
    assert (await case_of(pool, kind="overpaid"))["closed_at"] is None
    assert [what for what, _, _ in await entries(pool, case_id)] == ["opened", "closed", "reopened"]


async def test_a_closed_case_takes_notes_and_nothing_else(pool):
    case_id = await overpaid(pool)
    await resolve(pool, case_id)
    await act(pool, case_acts.note, case_id, text="they wrote again")
    with pytest.raises(ClosedCase):
        await resolve(pool, case_id, outcome="otherwise")
    with pytest.raises(ClosedCase):
        await act(pool, case_acts.assign, case_id, owner="wei")
    assert (await case_of(pool))["outcome"] == "refunded"


async def test_nothing_is_done_to_a_case_that_is_not_there(pool):
    for what, more in (
        (case_acts.assign, {"owner": "wei"}),
        (case_acts.note, {"text": "x"}),
        (case_acts.resolve, {"outcome": "x", "text": ""}),
    ):
        with pytest.raises(NoSuchCase):
            await act(pool, what, 404, **more)
    assert await file_of(pool, 404) is None


async def test_two_who_resolve_at_once_are_told_apart(pool):
    case_id = await overpaid(pool)
    results = await asyncio.gather(
        *(resolve(pool, case_id, by=name) for name in ("mei", "wei")), return_exceptions=True
    )
    assert [type(result) for result in results if result is not None] == [ClosedCase]
    assert [what for what, _, _ in await entries(pool, case_id)] == ["opened", "resolved"]


async def test_a_case_with_an_owner_is_followed_up_and_one_without_goes_up(pool):
    owned, nobodys = await overpaid(pool, "A1"), await overpaid(pool, "A2")
    await act(pool, case_acts.assign, owned, owner="wei")
    async with pool.acquire() as conn:
        assert await follow_up(conn, policy=POLICY, limit=10, now=NOON + 24 * HOUR) == 2
    assert [entry["what"] for entry in (await file_of(pool, owned))["entries"]][-1] == "followed_up"
    assert [entry["what"] for entry in (await file_of(pool, nobodys))["entries"]][-1] == "escalated"
    assert [(case["id"], case["level"]) for case in await listed(pool)] == [(nobodys, 2), (owned, 1)]


# --- the list and the file --------------------------------------------------------------------------------------------


async def test_cases_are_listed_the_most_urgent_first_and_by_what_is_asked_for(pool):
    late, early, done, high = [
        await overpaid(pool, f"A{n}", NOON + minute * MINUTE) for n, minute in enumerate((9, 3, 1, 10))
    ]
    await pool.execute("UPDATE cases SET level = 2 WHERE id = $1", high)
    await act(pool, case_acts.assign, early, owner="wei")
    await resolve(pool, done)
    assert [case["id"] for case in await listed(pool)] == [high, early, late]
    assert [case["id"] for case in await listed(pool, closed_too=True)] == [high, early, late, done]
    assert [case["id"] for case in await listed(pool, level=2)] == [high]
    assert [case["id"] for case in await listed(pool, owner="wei")] == [early]
    assert [case["id"] for case in await listed(pool, owner="")] == [high, late]
    assert await listed(pool, kind="stuck") == []
    first = (await listed(pool))[0]
    assert (first["order_ref"], first["amount"], first["currency"], first["status"]) == ("A3", 100, "CNY", "paid")


async def test_the_file_of_a_case_holds_all_the_evidence_oldest_first(pool, sweep, clock, gateways):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING, event_id="evt_1"))
    gateways.says = lambda *_: QueryFailed("unreachable")
    await until(sweep, clock, 31 * MINUTE)
    case = await case_of(pool)
    found = await file_of(pool, case["id"])
    assert (found["case"]["kind"], found["case"]["order_ref"], found["order"]["status"]) == (
        "stuck",
        "A1",
        "processing",
    )
    assert "order_id" not in found["case"]
    timeline = found["timeline"]
    assert [entry["recorded_at"] for entry in timeline] == sorted(entry["recorded_at"] for entry in timeline)
    told_of = {(entry["what"], entry["kind"], entry["outcome"]) for entry in timeline}
    assert told_of >= {
        ("event", "payment.pending", "applied"),
        ("step", "sweep.query", "no answer: unreachable"),
        ("step", "sweep.remind", "done"),
        ("step", "sweep.case", "done"),
        ("notice", "order.status_changed", "pending"),
        ("notice", "payer.processing", "pending"),
        ("notice", "case.opened", "pending"),
    }
    assert [row["events"] for row in found["deliveries"]] == [1]
    assert "body" not in found["deliveries"][0]
    assert "mei@example.com" not in str(found)


async def test_the_file_of_one_order_holds_nothing_of_another(pool):
    for number in range(12):
        await overpaid(pool, f"A{number}")
    found = await file_of(pool, (await case_of(pool, "A0"))["id"])
    assert len(found["deliveries"]) == 1
    assert found["timeline"][0]["what"] == "event"  # of one moment, the cause comes first
    assert [row["kind"] for row in found["timeline"] if row["what"] == "notice"] == [
        "order.status_changed",
        "payer.paid",
        "case.opened",
    ]


async def test_raw_deliveries_are_as_they_came(pool):
    await registered(pool)
    body, headers = bytes(range(256)), (("stripe-signature", "t=1,v1=ff"),)
    delivery = a_delivery(an_event(amount=150), body=body, headers=headers)
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=POLICY, now=NOON))
    (raw,) = (await file_of(pool, (await case_of(pool))["id"]))["deliveries"]
    async with pool.acquire() as conn:
        await add_raw(conn, [raw])
    assert (raw["body"], raw["headers"], raw["body_bytes"]) == (body, headers, 256)


async def test_the_file_of_a_payment_without_an_order_holds_its_event_and_delivery(pool):
    await told(pool, an_event(event_id="evt/1", order_ref="A404"))
    async with pool.acquire() as conn:
        assert await open_unmatched(conn, since=None, until=NOON, policy=POLICY, limit=10, now=NOON + HOUR) == 1
    (case,) = await listed(pool)
    assert (case["order_ref"], case["amount"], case["currency"], case["status"]) == ("A404", 100, "CNY", None)
    found = await file_of(pool, case["id"])
    assert found["order"] is None
    assert [(row["what"], row["kind"]) for row in found["timeline"]] == [
        ("event", "payment.succeeded"),
        ("notice", "case.opened"),
    ]
    assert len(found["deliveries"]) == 1


async def test_money_that_waits_for_its_order_has_its_case_however_late_somebody_looks(pool, clock):
    follow = FollowUp(pool=pool, retry=DatabaseRetry(asyncio.Event()), policy=lambda: POLICY, now=clock)
    for order_ref, hours in (("A404", 63), ("A405", 200)):
        await told(pool, an_event(order_ref=order_ref, payment_ref=order_ref), now=clock.at)
        assert await follow.run_once() == 0
        clock.at = NOON + hours * HOUR  # nobody swept in the meantime
        assert await follow.run_once() > 0
    assert sorted(each["order_ref"] for each in await listed(pool, kind="unmatched_payment")) == ["A404", "A405"]


async def test_what_is_committed_late_or_waits_by_a_shorter_policy_is_not_passed_over(pool, clock):
    longer = msgspec.structs.replace(POLICY, unmatched_case=24 * HOUR)
    policies = [longer, POLICY, POLICY]
    follow = FollowUp(pool=pool, retry=DatabaseRetry(asyncio.Event()), policy=lambda: policies[0], now=clock)
    await told(pool, an_event(order_ref="A404", payment_ref="pi_404"))
    clock.at = NOON + 12 * HOUR
    assert await follow.run_once() == 0
    policies.pop(0)
    assert await follow.run_once() == 1
    assert await follow.run_once() == 0
    await told(pool, an_event(order_ref="A405", payment_ref="pi_405"), now=NOON + 11 * HOUR)
    assert await follow.run_once() == 1


async def test_the_file_of_an_event_id_used_twice_holds_both_deliveries(pool):
    await registered(pool)
    first, other = an_event(event_id="evt_1"), an_event(Kind.PAYMENT_FAILED, event_id="evt_1")
    for number, event in ((901, first), (902, other)):
        delivery = a_delivery(event, number=number)
        await repeat_on_conflict(
            pool, lambda conn, one=delivery: apply_deliveries(conn, [one], policy=POLICY, now=NOON)
        )
    found = await file_of(pool, (await case_of(pool))["id"])
    assert [(row["run"], row["number"]) for row in found["deliveries"]] == [
        (UUID(str(RUN)), 901),
        (UUID(str(RUN)), 902),
    ]


# --- stuck ------------------------------------------------------------------------------------------------------------


async def stuck(pool, clock, *, older=0 * MINUTE, **sought):
    return await stuck_orders(
        pool, StuckFilter(until=clock.at - older, **sought), policy=POLICY, limit=100, now=clock.at
    )


async def test_a_stuck_order_tells_what_was_asked_what_was_said_and_what_comes_next(pool, sweep, clock, gateways):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING))
    (before,) = await stuck(pool, clock)
    assert (before["asked_last"], before["next"]) == (None, {"what": "query", "at": NOON + 2 * MINUTE})
    await until(sweep, clock, 31 * MINUTE)
    (order,) = await stuck(pool, clock)
    assert (order["order_ref"], order["status"], order["since"]) == ("A1", "processing", NOON)
    assert order["asked_last"] == {"action": "query", "at": NOON + 15 * MINUTE, "tries": 1, "result": "not found"}
    assert order["next"] == {"what": "query", "at": NOON + 75 * MINUTE}
    assert order["cases"] == [(await case_of(pool))["id"]]


async def test_what_comes_next_may_be_the_same_query_again_a_request_or_the_end_of_a_hold(pool, sweep, clock, gateways):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING))
    gateways.says = lambda *_: QueryFailed("busy")
    await until(sweep, clock, 2 * MINUTE)
    (order,) = await stuck(pool, clock)
    assert order["asked_last"]["result"] == "no answer: busy"
    assert order["next"] == {"what": "query again", "at": clock.at + 15 * (MINUTE / 60)}
    await repeat_on_conflict(pool, lambda conn: order_acts.ask_gateway(conn, "A1", by="mei", note="", now=clock.at))
    assert (await stuck(pool, clock))[0]["next"] == {"what": "asked for", "at": clock.at}
    ends = NOON + HOUR
    await repeat_on_conflict(
        pool, lambda conn: order_acts.hold(conn, "A1", until=ends, by="mei", note="x", now=clock.at)
    )
    assert (await stuck(pool, clock))[0]["next"] == {"what": "hold ends", "at": ends}


async def test_stuck_orders_are_found_by_status_account_and_age_the_longest_first(pool, clock):
    for order_ref, kind, minute in (
        ("failed", Kind.PAYMENT_FAILED, 7),
        ("pending", Kind.PAYMENT_PENDING, 5),
        ("paid", Kind.PAYMENT_SUCCEEDED, 1),
        ("part", Kind.PAYMENT_SUCCEEDED, 9),
    ):
        await registered(pool, order_ref)
        fields = {"amount": 40} if order_ref == "part" else {}
        event = an_event(kind, order_ref=order_ref, payment_ref=f"pi_{order_ref}", **fields)
        await told(pool, event, now=NOON + minute * MINUTE)
    await registered(pool, "closed")
    await told(pool, an_event(Kind.PAYMENT_FAILED, order_ref="closed", payment_ref="pi_closed"))
    await repeat_on_conflict(
        pool, lambda conn: order_acts.close(conn, "closed", force=False, by="mei", note="x", now=NOON)
    )
    clock.at = NOON + 10 * MINUTE

    async def refs(**sought):
        return [each["order_ref"] for each in await stuck(pool, clock, **sought)]

    assert await refs() == ["pending", "failed", "part"]
    assert await refs(statuses=(Status.PAID,)) == ["paid"]
    assert await refs(older=4 * MINUTE) == ["pending"]
    assert await refs(account="stripe-main", statuses=(Status.FAILED,)) == ["failed"]
    assert await refs(account="elsewhere") == []
    assert (await stuck(pool, clock, statuses=(Status.PAID,)))[0]["next"] is None


# --- the hand-over ----------------------------------------------------------------------------------------------------


async def handed(pool, now, by="mei"):
    return await repeat_on_conflict(pool, lambda conn: hand_over(conn, by=by, now=now))


async def test_a_hand_over_tells_what_is_new_since_the_last(pool, sweep, clock, gateways):
    first = await overpaid(pool, "A1")
    await registered(pool, "A2")
    await told(pool, an_event(Kind.PAYMENT_PENDING, order_ref="A2", payment_ref="pi_2"))
    told_first = await handed(pool, NOON + MINUTE)
    assert (told_first["last"], told_first["new"]["counts"]) == (None, {"opened": 1})
    gateways.says = lambda *_: QueryFailed("unreachable")
    await until(sweep, clock, 2 * HOUR)
    await resolve(pool, first, now=clock.at)
    now = clock.at + MINUTE
    told_second = await handed(pool, now, by="wei")
    assert told_second["last"] == {"at": NOON + MINUTE, "by": "mei"}
    assert told_second["new"]["counts"] == {"escalated": 1, "opened": 1, "resolved": 1}
    assert [each["order_ref"] for each in told_second["open"]["most_urgent"]] == ["A2"]
    assert told_second["open"]["by_level"] == {2: 1}
    assert [order["order_ref"] for order in told_second["due_next"]] == ["A2"]
    (stuck_ones,) = told_second["stuck"]
    assert (stuck_ones["status"], stuck_ones["orders"], stuck_ones["new"]) == ("processing", 1, 0)
    told_third = await handed(pool, now + MINUTE)
    assert (told_third["new"]["counts"], told_third["last"]["by"]) == ({}, "wei")


async def test_a_hand_over_tells_which_accounts_are_silent_or_do_not_answer(pool):
    await pool.executemany(
        "INSERT INTO silences (account, kind, since, noticed_at, asked_at, ended_at) VALUES ($1, $2, $3, $3, $3, $4)",
        [
            ("stripe-main", "silent", NOON, NOON + HOUR),
            ("alipay-main", "unanswering", NOON, None),
            ("alipay-main", "silent", NOON - HOUR, NOON - MINUTE),
        ],
    )
    await pool.execute(
        "INSERT INTO account_health (account, watched_at, failing_since, reason) "
        "VALUES ('alipay-main', $1, $1, 'busy')",
        NOON,
    )
    await handed(pool, NOON)
    found = await handed(pool, NOON + 2 * HOUR)
    assert [(row["account"], row["kind"], row["ended_at"], row["reason"]) for row in found["accounts"]] == [
        ("alipay-main", "unanswering", None, "busy"),
        ("stripe-main", "silent", NOON + HOUR, None),
    ]


async def test_a_look_is_not_a_hand_over(pool):
    await overpaid(pool)
    for _ in range(2):
        look = await handed(pool, NOON + MINUTE, by=None)
        assert (look["last"], look["new"]["counts"]) == (None, {"opened": 1})


async def test_a_hand_over_tells_of_dead_notices_waiting_events_and_holds(pool):
    await registered(pool)
    await told(pool, an_event(), an_event(order_ref="A404", payment_ref="pi_404"))
    await repeat_on_conflict(
        pool, lambda conn: order_acts.hold(conn, "A1", until=NOON + HOUR, by="mei", note="the bank calls", now=NOON)
    )
    await pool.execute(
        "UPDATE outbox SET state = 'dead', due_at = NULL, finished_at = $1, last_error = 'no such mailbox' "
        "WHERE audience = 'payer'",
        NOON,
    )
    found = await handed(pool, NOON + MINUTE)
    (dead,) = found["notices_dead"]["latest"]
    assert (found["notices_dead"]["count"], dead["topic"], dead["order_ref"], dead["last_error"]) == (
        1,
        "payer.paid",
        "A1",
        "no such mailbox",
    )
    assert found["waiting"] == {"open": 1, "new": 1, "oldest": NOON}
    assert found["parked"] == {"open": 0, "new": 0}
    (held,) = found["held"]
    assert (held["order_ref"], held["by"], held["held_until"]) == ("A1", "mei", NOON + HOUR)
    assert (await handed(pool, NOON + HOUR))["held"] == []
