"""`tillkeeper guard`: what is paused and why, what would happen, and one person's decision."""

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.system.commands import tillkeeper, toml, written
from tillkeeper.domain.delivery import EnvelopeKeys
from tillkeeper.domain.guard import RULES, GuardSign
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.registration import register
from tillkeeper.store.guard.checking import AccountsPaused
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.workers.hold_back import HoldBack

FEW = RULES[GuardSign.FAR_OFF].least


@pytest.fixture
def config(tmp_path, database):
    return written(tmp_path, toml(database))


@pytest.fixture
def guard(config):
    async def run(*arguments, code=0):
        ended = await tillkeeper("guard", *arguments, "--config", config)
        assert ended.code == code, ended.out + ended.err
        return ended

    return run


@pytest.fixture
async def paused(pool):
    """Stripe's account, where orders of 100 yuan were paid by a cent."""
    hold_back = HoldBack(RULES, EnvelopeKeys(), now=lambda: NOON)
    for n in range(FEW):
        await register(pool, a_registration(f"O{n}", amount=10_000), policy=Policy(), now=NOON)
    deliveries = [a_delivery(an_event(order_ref=f"O{n}", payment_ref=f"p{n}", amount=1)) for n in range(FEW)]

    async def work(conn):
        return await hold_back.apply(conn, deliveries, policy=Policy())

    with pytest.raises(AccountsPaused) as raised:
        await repeat_on_conflict(pool, work)
    hold_back.note(raised.value)
    assert (await repeat_on_conflict(pool, work)).held == FEW


async def test_where_nothing_is_paused_there_is_nothing_to_decide(guard):
    assert "No account is paused." in (await guard("list")).out
    assert "is not paused" in (await guard("show", "stripe-main", code=1)).err
    assert "stripe-main was never paused" in (await guard("go", "stripe-main", "--note", "x", code=1)).err


@pytest.mark.usefixtures("paused")
async def test_the_list_says_why_and_how_much_waits(guard):
    [pause] = (await guard("list", "--json")).json["pauses"]
    assert (pause["account"], pause["state"], pause["sign"], pause["held"]) == ("stripe-main", "paused", "far_off", FEW)
    assert str(FEW) in pause["text"]
    assert "far_off" in (await guard("list")).out


@pytest.mark.usefixtures("paused")
async def test_show_says_what_would_happen_and_does_nothing(guard, pool):
    shown = (await guard("show", "stripe-main", "--json")).json
    assert shown["trial"]["statuses"] == {"unpaid -> partially_paid": FEW}
    assert shown["trial"]["sums"] == [{"currency": "CNY", "captured": FEW, "refunded": 0}]
    told = (await guard("show", "stripe-main")).out
    assert "unpaid -> partially_paid" in told
    assert "tillkeeper guard go" in told
    assert await pool.fetchval("SELECT count(*) FROM orders WHERE status = 'unpaid'") == FEW


@pytest.mark.usefixtures("paused")
async def test_a_go_says_who_when_and_why_and_the_second_person_is_told(guard, pool):
    told = await guard("go", "stripe-main", "--note", "a trial of the shop", "--by", "mona", "--deaf-for", "2h")
    assert f"{FEW} deliveries are being applied" in told.out
    row = await pool.fetchrow("SELECT decision, decided_by, note, deaf_s, decided_at FROM account_pauses")
    assert (row["decision"], row["decided_by"], row["note"], row["deaf_s"]) == (
        "go",
        "mona",
        "a trial of the shop",
        7200,
    )
    assert row["decided_at"] is not None
    late = await guard("discard", "stripe-main", "--reason", "forged", "--by", "nils", code=1)
    assert "mona let it go on" in late.err
    [pause] = (await guard("list", "--all", "--json")).json["pauses"]
    assert pause["state"] == "going on"


@pytest.mark.parametrize("arguments", [("go", "stripe-main"), ("go", "stripe-main", "--note", " "), ("discard", "a")])
async def test_a_decision_says_why(guard, arguments):
    await guard(*arguments, code=2)


# --- a second person --------------------------------------------------------------------------------------------------

COLUMNS = "name, display_name, role, locale, created_at, created_by"
ADD = f"INSERT INTO people ({COLUMNS}) VALUES ($1, $1, $2, 'en', now(), 'x')"


@pytest.mark.usefixtures("paused")
@pytest.mark.parametrize(("command", "decision"), [("go", "go"), ("discard", "park")])
async def test_where_there_are_two_operators_a_terminal_only_proposes(guard, pool, command, decision):
    for name, role in (("mona", "operator"), ("nils", "admin"), ("olga", "support")):
        await pool.execute(ADD, name, role)
    told = await guard(command, "stripe-main", "--note", "a trial of the shop", "--by", "mona")
    assert "proposed, for another operator to confirm at the desk: /accounts/stripe-main/pause" in told.out
    assert await pool.fetchval("SELECT decision FROM account_pauses") is None
    row = await pool.fetchrow(
        "SELECT act, proposed_by, content::jsonb ->> 'decision' AS decision, reason FROM approvals"
    )
    assert tuple(row) == ("decide about a paused account", "mona", decision, "a trial of the shop")
    again = await guard(command, "stripe-main", "--note", "x", "--by", "nils", "--json", code=1)
    assert "somebody has proposed it" in again.err


@pytest.mark.usefixtures("paused")
async def test_one_operator_decides_alone_as_does_who_has_no_desk(guard, pool):
    await pool.execute(ADD, "mona", "operator")
    await pool.execute(ADD, "gone", "operator")
    await pool.execute("UPDATE people SET disabled_at = now() WHERE name = 'gone'")
    told = await guard("go", "stripe-main", "--note", "a trial", "--by", "mona", "--json")
    assert (told.json["proposal"], told.json["decision"]) == (None, "go")
