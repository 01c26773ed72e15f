"""What needs a second person: proposed by one, confirmed by another, once."""

import asyncio

import asyncpg
import pytest

from tests.database.factories import NOON
from tillkeeper.domain.sign_in import APPROVAL_LIVES
from tillkeeper.store.people.approvals import (
    AlreadyProposed,
    MayBeSamePerson,
    ProposalNotOpen,
    SamePerson,
    confirm,
    open_approvals,
    propose,
    refuse,
)
from tillkeeper.store.people.log import read_log
from tillkeeper.store.postgres.transactions import repeat_on_conflict

CONTENT = {"order_ref": "A1", "payment_ref": "pi_1", "amount": 100}


async def proposed(pool, *, by="mei", at=NOON, subject="A1"):
    async def work(conn):
        return await propose(
            conn, act="bind", subject=subject, content=CONTENT, reason="told by a@shop.example", by=by, now=at
        )

    return await repeat_on_conflict(pool, work)


async def decided(pool, decide, approval, *, by, at=NOON):
    return await repeat_on_conflict(pool, lambda conn: decide(conn, approval.id, by=by, now=at))


async def waiting(pool, *, at=NOON):
    async with pool.acquire() as conn:
        return await open_approvals(conn, now=at, limit=10)


async def test_another_person_confirms_exactly_what_was_proposed_and_only_once(pool):
    approval = await proposed(pool)
    assert await waiting(pool) == [approval]
    with pytest.raises(SamePerson):
        await decided(pool, confirm, approval, by="mei")
    taken = await decided(pool, confirm, approval, by="ana")
    assert (taken.content, taken.reason) == (CONTENT, "told by <email>")
    for decide in (confirm, refuse):
        with pytest.raises(ProposalNotOpen):
            await decided(pool, decide, approval, by="zoe")
    assert await waiting(pool) == []
    async with pool.acquire() as conn:
        log = [(each.person, each.what, each.subject) for each in await read_log(conn, limit=9)]
    assert log == [("ana", "bind confirmed", "A1"), ("mei", "bind proposed", "A1")]


async def test_of_many_who_confirm_at_once_one_does(pool):
    approval = await proposed(pool)
    done = await asyncio.gather(
        *(decided(pool, confirm, approval, by=f"person {number}") for number in range(8)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in done) == ["Approval"] + ["ProposalNotOpen"] * 7


async def test_an_act_that_fails_leaves_the_approval_open(pool):
    approval = await proposed(pool)

    async def confirm_and_fail(conn):
        await confirm(conn, approval.id, by="ana", now=NOON)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await repeat_on_conflict(pool, confirm_and_fail)
    await decided(pool, confirm, approval, by="ana")


async def test_the_same_is_proposed_once_at_a_time(pool):
    first = await proposed(pool)
    with pytest.raises(AlreadyProposed):
        await proposed(pool, by="ana")
    await proposed(pool, subject="A2")
    await decided(pool, refuse, first, by="mei")
    second = await proposed(pool)
    await decided(pool, refuse, second, by="ana")
    decisions = await pool.fetch("SELECT decision FROM approvals WHERE subject = 'A1' ORDER BY id")
    assert [row["decision"] for row in decisions] == ["withdrawn", "refused"]


async def test_a_proposal_that_nobody_decided_expires_and_makes_room(pool):
    first = await proposed(pool)
    late = NOON + APPROVAL_LIVES
    with pytest.raises(ProposalNotOpen):
        await decided(pool, confirm, first, by="ana", at=late)
    assert await waiting(pool, at=late) == []
    second = await proposed(pool, at=late)
    assert second.id != first.id
    assert await pool.fetchval("SELECT decision FROM approvals WHERE id = $1", first.id) == "expired"


async def test_the_schema_itself_wants_two_people(pool):
    approval = await proposed(pool)
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(
            "UPDATE approvals SET decision = 'confirmed', decided_by = 'mei', decided_at = now() WHERE id = $1",
            approval.id,
        )


# --- one person who comes in by two ways ------------------------------------------------------------------------------

COLUMNS = "name, display_name, role, locale, created_at, created_by, issuer, subject"
ADD = f"INSERT INTO people ({COLUMNS}) VALUES ($1, $1, 'operator', 'en', now(), 'x', $2, $3)"
ISSUER = "https://id.shop.example"


async def added(pool, name, subject=None):
    await pool.execute(ADD, name, None if subject is None else ISSUER, subject)


@pytest.mark.parametrize("proposes", ["mei", "mei@shop.example"])
async def test_who_has_a_password_and_who_has_the_companys_account_may_be_one_and_do_not_count_as_two(pool, proposes):
    names = {"mei", "mei@shop.example"}
    await added(pool, "mei")
    await added(pool, "mei@shop.example", "s-1")
    approval = await proposed(pool, by=proposes)
    [other] = names - {proposes}
    with pytest.raises(MayBeSamePerson):
        await decided(pool, confirm, approval, by=other)
    assert await waiting(pool) == [approval], "it stays for somebody else"


async def test_two_of_the_company_are_two_and_so_are_two_whom_an_admin_added(pool):
    for name, subject in (("mei", "s-1"), ("jun", "s-2"), ("ana", None), ("zoe", None)):
        await added(pool, name, subject)
    for first, second, subject in (("mei", "jun", "A1"), ("ana", "zoe", "A2")):
        approval = await proposed(pool, by=first, subject=subject)
        assert (await decided(pool, confirm, approval, by=second)).id == approval.id


async def test_an_admin_who_ties_both_makes_them_one_of_the_company(pool):
    await added(pool, "mei")
    await added(pool, "jun", "s-2")
    approval = await proposed(pool, by="mei")
    with pytest.raises(MayBeSamePerson):
        await decided(pool, confirm, approval, by="jun")
    await pool.execute("UPDATE people SET issuer = $1, subject = 's-1' WHERE name = 'mei'", ISSUER)
    assert (await decided(pool, confirm, approval, by="jun")).id == approval.id
