"""What two people do: closing an order in doubt, and resolving a case about money; and what one does by hand."""

import asyncio

import pytest

from tests.database.factories import NOON, an_event
from tests.database.sweeps import HOUR, MINUTE, registered, told, topics
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.acts import ActRefused, Refusal, WantedAct, What
from tillkeeper.domain.order.registration import Payer
from tillkeeper.domain.policy import CasePolicy
from tillkeeper.store.cases import acts as case_acts
from tillkeeper.store.cases.acts import MovedOn, TakesTwo
from tillkeeper.store.cases.writing import ClosedCase
from tillkeeper.store.orders import acts as order_acts
from tillkeeper.store.orders.acts import NoSuchOrder, OrderMovedOn, carry_out, plan
from tillkeeper.store.orders.closing_in_two import confirm_closing, proposal_to_close, propose_closing, refuse_closing
from tillkeeper.store.people.approvals import AlreadyProposed, ProposalNotOpen, SamePerson
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.order import history, show
from tillkeeper.store.search.claim import read_claim
from tillkeeper.store.search.waiting import show_waiting

CLOSE = WantedAct(what=What.CLOSE)
HOLD = WantedAct(what=What.HOLD, until=NOON + HOUR)


async def done(pool, work, *arguments, by="mei", now=NOON, **more):
    return await repeat_on_conflict(pool, lambda conn: work(conn, *arguments, by=by, now=now, **more))


async def planned(pool, wanted, order_ref="A1"):
    async with pool.acquire() as conn:
        return await plan(conn, order_ref, wanted, by="mei", now=NOON)


# --- orders -----------------------------------------------------------------------------------------------------------


async def test_a_plan_changes_nothing_and_says_what_would(pool):
    await registered(pool)
    found = await planned(pool, CLOSE)
    assert (found.effects.is_closed, found.refused) == (True, None)
    assert (await show(pool, "A1"))["closed_at"] is None
    assert await topics(pool, "merchant") == []
    await told(pool, an_event(Kind.PAYMENT_PENDING))
    assert (await planned(pool, CLOSE)).refused.why is Refusal.IN_DOUBT
    with pytest.raises(NoSuchOrder):
        await planned(pool, CLOSE, "A-404")


async def test_of_two_who_act_on_an_order_at_once_the_second_is_told(pool):
    await registered(pool)
    seen = (await planned(pool, HOLD)).seen
    acts = [done(pool, carry_out, "A1", HOLD, by=by, note="x", seen=seen) for by in ("mei", "jun")]
    ended = await asyncio.gather(*acts, return_exceptions=True)
    [moved_on] = [each for each in ended if each is not None]
    assert isinstance(moved_on, OrderMovedOn)
    assert (moved_on.entry["what"], moved_on.entry["by"]) == ("hold", ("mei", "jun")[ended.index(None)])


async def test_money_that_comes_in_meanwhile_stops_what_was_decided_without_it(pool):
    await registered(pool)
    seen = (await planned(pool, CLOSE)).seen
    await told(pool, an_event(Kind.PAYMENT_FAILED))
    with pytest.raises(OrderMovedOn) as moved_on:
        await done(pool, carry_out, "A1", CLOSE, note="x", seen=seen)
    assert moved_on.value.entry is None
    await done(pool, carry_out, "A1", HOLD, note="x", seen=seen)


@pytest.mark.parametrize("account", ["stripe-main", "alipay-main"])
async def test_letters_for_digits_are_seen_whatever_the_amount_and_wherever_it_was_paid(pool, account):
    """A customer typed O for 0, and paid less, with a coupon: one person alone must not close the order."""
    await registered(pool, "SHOP-5001")
    await told(pool, an_event(order_ref="SHOP-5OOl", payment_ref="p9", account=account, amount=7))
    assert (await planned(pool, CLOSE, "SHOP-5001")).refused.why is Refusal.IN_DOUBT
    known = await read_claim(pool, "SHOP-5001", now=NOON)
    assert [each.money.order_ref for each in known.possible] == ["SHOP-5OOl"]
    async with pool.acquire() as conn:
        waits = await show_waiting(conn, account, "p9")
    assert [each.order_ref for each in waits.likely] == ["SHOP-5001"]


async def test_an_order_in_doubt_is_closed_by_two_people(pool):
    await registered(pool)
    await told(pool, an_event(amount=40))
    seen = (await planned(pool, CLOSE)).seen
    approval = await done(pool, propose_closing, "A1", note="they cancelled", seen=seen)
    with pytest.raises(AlreadyProposed):
        await done(pool, propose_closing, "A1", by="jun", note="x", seen=seen)
    with pytest.raises(SamePerson):
        await done(pool, confirm_closing, "A1", approval.id)
    with pytest.raises(ProposalNotOpen):
        await done(pool, confirm_closing, "A1", approval.id + 1, by="jun")
    await done(pool, confirm_closing, "A1", approval.id, by="jun")
    assert (await show(pool, "A1"))["closed_at"] == NOON
    last = (await history(pool, "A1"))[-1]
    assert (last["by"], last["note"]) == ("mei, jun", "they cancelled")


async def test_what_nobody_knew_of_when_it_was_proposed_stops_the_second_person(pool):
    await registered(pool)
    await told(pool, an_event(amount=40))
    approval = await done(pool, propose_closing, "A1", note="x", seen=(await planned(pool, CLOSE)).seen)
    await told(pool, an_event(Kind.PAYMENT_PENDING, payment_ref="pi_2"), now=NOON + MINUTE)
    with pytest.raises(ActRefused, match="pi_2 at stripe-main is pending"):
        await done(pool, confirm_closing, "A1", approval.id, by="jun")
    assert (await show(pool, "A1"))["closed_at"] is None
    await done(pool, refuse_closing, "A1", approval.id, by="jun")
    async with pool.acquire() as conn:
        assert await proposal_to_close(conn, "A1", now=NOON) is None


async def test_what_is_not_in_doubt_or_closed_already_is_not_proposed(pool):
    await registered(pool)
    seen = (await planned(pool, CLOSE)).seen
    with pytest.raises(OrderMovedOn):
        await done(pool, propose_closing, "A1", note="x", seen=seen)
    await done(pool, carry_out, "A1", CLOSE, note="x", seen=seen)
    with pytest.raises(ActRefused, match="closed since"):
        await done(pool, propose_closing, "A1", note="x", seen=seen)


async def test_a_payer_is_reminded_by_hand_once_a_day(pool):
    await registered(pool, payer=Payer(email="mei@example.com"))
    with pytest.raises(ActRefused) as refused:
        await done(pool, order_acts.remind, "A1", note="x")
    assert refused.value.why is Refusal.NOT_ASKED
    await pool.execute(
        "INSERT INTO steps (order_id, phase, action, at, taken_at, result) SELECT id, phase, 'query', $1, $1, 'unpaid'"
        " FROM orders",
        NOON,
    )
    await done(pool, order_acts.remind, "A1", note="they asked for the link")
    assert await topics(pool, "payer") == ["payer.reminder"]
    with pytest.raises(ActRefused, match="reminded by hand at 12:00:00Z already"):
        await done(pool, order_acts.remind, "A1", note="x", now=NOON + MINUTE)


async def test_a_customer_who_says_they_paid_has_a_case_that_closes_when_the_money_comes(pool):
    await registered(pool)
    await done(pool, order_acts.claim, "A1", note="paid at noon, says the bank", policy=CasePolicy())
    case = await pool.fetchrow("SELECT * FROM cases")
    assert (case["kind"], case["subject"], case["closed_at"]) == ("claimed_paid", "order:A1", None)
    entries = await pool.fetch("SELECT what, by, note FROM case_entries ORDER BY id")
    assert [tuple(row) for row in entries] == [
        ("opened", "tillkeeper", None),
        ("noted", "mei", "paid at noon, says the bank"),
    ]
    with pytest.raises(ActRefused, match="a case says so already"):
        await done(pool, order_acts.claim, "A1", note="x", policy=CasePolicy())
    await told(pool, an_event(), now=NOON + MINUTE)
    assert await pool.fetchval("SELECT closed_by FROM cases") == "system"


# --- cases ------------------------------------------------------------------------------------------------------------

RESOLVED = {"outcome": "the bank took it back", "text": "ticket 4711"}


async def a_mismatch(pool):
    """Has money come in another currency; returns the number of its case."""
    await registered(pool)
    await told(pool, an_event(currency="USD"))
    return await pool.fetchval("SELECT id FROM cases WHERE kind = 'wrong_currency'")


async def entries(pool, case_id):
    rows = await pool.fetch("SELECT what, by, note FROM case_entries WHERE case_id = $1 ORDER BY id", case_id)
    return [tuple(row) for row in rows][1:]


async def test_a_case_about_money_takes_two_people(pool):
    case_id = await a_mismatch(pool)
    with pytest.raises(TakesTwo):
        await done(pool, case_acts.resolve, case_id, **RESOLVED)
    await done(pool, case_acts.propose_to_resolve, case_id, **RESOLVED)
    with pytest.raises(AlreadyProposed):
        await done(pool, case_acts.propose_to_resolve, case_id, by="jun", **RESOLVED)
    with pytest.raises(SamePerson):
        await done(pool, case_acts.confirm_resolution, case_id)
    await done(pool, case_acts.confirm_resolution, case_id, by="jun")
    said = "the bank took it back: ticket 4711"
    assert await entries(pool, case_id) == [
        ("proposed", "mei", said),
        ("confirmed", "jun", None),
        ("resolved", "mei", said),
    ]
    with pytest.raises(ClosedCase):
        await done(pool, case_acts.confirm_resolution, case_id, by="jun")


async def test_of_two_who_confirm_at_once_one_does(pool):
    case_id = await a_mismatch(pool)
    await done(pool, case_acts.propose_to_resolve, case_id, **RESOLVED)
    confirming = [done(pool, case_acts.confirm_resolution, case_id, by=by) for by in ("jun", "wei")]
    ended = await asyncio.gather(*confirming, return_exceptions=True)
    assert sorted(type(each).__name__ for each in ended) == ["ClosedCase", "NoneType"]


async def test_a_proposal_is_refused_and_another_one_is_confirmed_as_it_was_read(pool):
    case_id = await a_mismatch(pool)
    with pytest.raises(ProposalNotOpen):
        await done(pool, case_acts.refuse_resolution, case_id)
    first = await done(pool, case_acts.propose_to_resolve, case_id, **RESOLVED)
    await done(pool, case_acts.refuse_resolution, case_id, by="jun", approval_id=first.id)
    await done(pool, case_acts.propose_to_resolve, case_id, by="wei", outcome="it is ours", text="")
    with pytest.raises(ProposalNotOpen):
        await done(pool, case_acts.confirm_resolution, case_id, by="jun", approval_id=first.id)
    with pytest.raises(MovedOn):
        await done(pool, case_acts.confirm_resolution, case_id, by="jun", seen=0)
    await done(pool, case_acts.confirm_resolution, case_id, by="jun")
    assert [what for what, _, _ in await entries(pool, case_id)] == [
        *("proposed", "refused", "proposed", "confirmed", "resolved")
    ]
