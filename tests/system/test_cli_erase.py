"""What a person types to have a payer's personal data erased, and what is said of it afterwards."""

import json
from uuid import uuid4

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.database.test_guard_sweeping import paused
from tests.personal_data import found_in
from tests.system.commands import tillkeeper, toml, written
from tillkeeper.domain.delivery import EnvelopeKeys
from tillkeeper.domain.order.registration import Payer
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.deliveries.refused import RefusedDelivery, keep_refused
from tillkeeper.store.guard.holding import hold
from tillkeeper.store.postgres.transactions import repeat_on_conflict

EMAIL = "ada.king@example.com"


async def paid(pool, order_ref="A-1", email=EMAIL, *, phone=None, registered=True, amount=100):
    registration = a_registration(order_ref, payer=Payer(email=email, phone=phone) if registered else None)
    await register(pool, registration, policy=Policy(), now=NOON)
    event = an_event(order_ref=order_ref, payment_ref=f"pi_{order_ref}", amount=amount)
    delivery = a_delivery(event, run=uuid4(), number=1, body=f'{{"email": "{email}"}}'.encode())
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=Policy(), now=NOON))


async def found(pool):
    async with pool.acquire() as conn:
        return await found_in(conn, [EMAIL])


async def erase(config, *arguments):
    return await tillkeeper("erase", *arguments, "--config", config)


async def test_a_dry_run_says_what_would_go_and_changes_nothing(config, pool):
    await paid(pool)
    before = await found(pool)
    tried = await erase(config, "A-1", "--note", "request 17", "--by", "mei", "--dry-run", "--json")
    assert (tried.code, tried.json["dry_run"]) == (0, True)
    assert await found(pool) == before
    done = await erase(config, "A-1", "--note", "request 17", "--by", "mei", "--json")
    assert [each["rows"] for each in done.json["erased"]] == [each["rows"] for each in tried.json["erased"]]
    assert await found(pool) == {}


async def test_people_are_told_in_words_and_the_order_says_that_it_is_erased(config, pool):
    await paid(pool)
    done = await erase(config, "A-1", "--note", "request 17", "--by", "mei")
    assert done.out.splitlines()[0] == "A-1  erased"
    assert "1  raw deliveries: body, headers, query" in done.out
    shown = await tillkeeper("order", "show", "A-1", "--config", config)
    assert "\nerased        20" in shown.out
    assert "order.erase" in shown.out
    assert "request 17" in shown.out


async def test_nothing_is_erased_where_one_of_the_orders_is_not_registered(config, pool):
    await paid(pool)
    before = await found(pool)
    told = await erase(config, "A-1", "NOBODY", "--note", "request 17")
    assert (told.code, told.out) == (1, "")
    assert told.err == "tillkeeper: no order 'NOBODY' is registered; nothing was erased\n"
    assert await found(pool) == before


async def test_a_note_that_would_keep_the_contact_is_refused(config, pool):
    await paid(pool)
    told = await erase(config, "A-1", "--note", "ADA.KING@example.com asked for it")
    assert (told.code, told.err) == (
        2,
        "tillkeeper: --note is kept: leave mail addresses and phone numbers out of it\n",
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--note", "why"),
        ("A-1", "--note", " "),
        ("A-1",),
        ("A-1", "--email", EMAIL, "--note", "why"),
        ("--list", "--again", "x"),
        ("A-1", "--in-deliveries", "--note", "why"),
        ("--email", "ada", "--note", "why"),
        ("--phone", "123", "--note", "why"),
        ("--again", "/nowhere/list.json", "--note", "why"),
        ("A-1", "--note", "why", "--by", "system"),
    ],
)
async def test_wrong_usage_is_told_and_erases_nothing(config, pool, arguments):
    await paid(pool)
    told = await erase(config, *arguments)
    assert told.code == 2
    assert told.err
    assert await found(pool)


async def test_all_orders_of_a_payer_are_found_by_either_contact(config, pool):
    await paid(pool)
    await paid(pool, "A-2", email=EMAIL.upper())
    await paid(pool, "A-3", email="li@example.com", phone="0086 (138) 1234-5678")
    await paid(pool, "A-4", email="li@example.com", phone="+86 138 1234 5679")
    by_mail = await erase(config, "--email", EMAIL, "--note", "request 17", "--json")
    assert [each["order_ref"] for each in by_mail.json["erased"]] == ["A-1", "A-2"]
    by_phone = await erase(config, "--phone", "+8613812345678", "--note", "request 18", "--json")
    assert [each["order_ref"] for each in by_phone.json["erased"]] == ["A-3"]
    assert await found(pool) == {}
    nobody = await erase(config, "--email", EMAIL, "--note", "request 17")
    assert (nobody.code, nobody.err) == (1, "tillkeeper: no order is known with this contact\n")


async def test_orders_whose_deliveries_alone_name_the_payer_are_found_if_asked_for(config, pool):
    await paid(pool, email=EMAIL, registered=False)
    assert (await erase(config, "--email", EMAIL, "--note", "request 17")).code == 1
    done = await erase(config, "--email", EMAIL, "--in-deliveries", "--note", "request 17", "--json")
    assert [each["order_ref"] for each in done.json["erased"]] == ["A-1"]
    assert await found(pool) == {}


async def test_refused_deliveries_that_name_the_order_or_its_payer_go_and_others_stay(config, pool):
    await paid(pool)
    async with pool.acquire() as conn:
        for body in (f"to={EMAIL}", '{"order": "A-1001"}', "somebody else's", f"to={EMAIL.replace('@', '%40')}"):
            refused = RefusedDelivery(
                account="stripe-main",
                received_at=NOON,
                step="signature",
                finding="wrong_secret",
                reason="no signature matches",
                detail="",
                query="",
                headers=(),
                body=body.encode(),
            )
            await keep_refused(conn, refused)
    done = await erase(config, "A-1", "--note", "request 17", "--json")
    assert done.json["erased"][0]["rows"]["refused"] == 2
    assert await pool.fetchval("SELECT count(*) FROM refused") == 2
    assert await found(pool) == {}


async def test_after_an_older_backup_is_restored_the_list_erases_again(config, pool, tmp_path):
    await paid(pool)
    before = await pool.fetchval("SELECT terms FROM orders")
    await erase(config, "A-1", "--note", "request 17", "--by", "mei")
    listed = await erase(config, "--list", "--json")
    assert [(each["order_ref"], each["by"], each["note"]) for each in listed.json["erasures"]] == [
        ("A-1", "mei", "request 17")
    ]
    assert "request 17" in (await erase(config, "--list")).out
    kept = tmp_path / "erasures.json"
    kept.write_text(listed.out)
    await pool.execute("UPDATE orders SET terms = $1", before)  # as an older backup has it
    again = await erase(config, "--again", kept, "--note", "restored", "--by", "li", "--json")
    assert (again.code, again.json["not_registered"]) == (0, [])
    assert await found(pool) == {}
    shown = (await tillkeeper("order", "show", "A-1", "--config", config, "--json")).json
    assert [each["by"] for each in shown["history"] if each["kind"] == "order.erase"] == ["mei", "li"]
    assert shown["erased_at"] == listed.json["erasures"][0]["at"]


async def test_of_a_list_what_is_not_registered_here_is_told(config, pool, tmp_path):
    kept = tmp_path / "erasures.json"
    kept.write_text('{"erasures": [{"order_ref": "A-9", "by": "mei", "note": "x", "at": "2026-11-30T12:00:00Z"}]}')
    told = await erase(config, "--again", kept, "--note", "restored")
    assert (told.code, told.out) == (1, "A-9  is not registered here\n")
    kept.write_text("[]")
    told = await erase(config, "--again", kept, "--note", "restored")
    assert told.code == 2
    assert "is no list as `erase --list --json` prints it" in told.err
    assert (await erase(config, "--list")).out == "Nothing was erased.\n"


async def test_a_case_says_that_its_deliveries_were_erased(config, pool):
    await paid(pool, amount=150)
    case_id = await pool.fetchval("SELECT id FROM cases")
    await erase(config, "A-1", "--note", "request 17", "--by", "mei")
    shown = await tillkeeper("case", "show", case_id, "--raw", "--config", config)
    assert (shown.code, shown.out.count("\nerased")) == (0, 1)
    assert "  (erased at 20" in shown.out
    assert "order.erase" in shown.out


# --- what the guard holds ---------------------------------------------------------------------------------------------

KEYS = ("the key that receivers and workers of a test share",)
ANOTHER = ("a key of somebody else, which is as long as the other",)


async def held(pool, *events, keys=KEYS):
    """Has the account paused, and deliveries held that hold the payer's address."""
    await paused(pool)
    number = await pool.fetchval("SELECT id FROM account_pauses")
    deliveries = [
        a_delivery(event, run=uuid4(), number=1, query=f"to={EMAIL}", body=f'{{"email": "{EMAIL}"}}'.encode())
        for event in events
    ]
    pauses = {"stripe-main": number}
    await repeat_on_conflict(pool, lambda conn: hold(conn, deliveries, pauses, EnvelopeKeys(keys), now=NOON))


def config_with(tmp_path, database, keys):
    return written(tmp_path, toml(database, more=f"envelope_keys = {json.dumps(list(keys))}"))


async def test_what_the_guard_holds_of_an_order_is_blanked_and_can_be_applied_still(pool, database, tmp_path):
    await register(pool, a_registration("A-1", payer=Payer(email=EMAIL)), policy=Policy(), now=NOON)
    await held(pool, an_event(order_ref="A-1", payment_ref="pi_A-1", event_id="e-1"))
    assert "held_deliveries.body" in await found(pool)
    config = config_with(tmp_path, database, KEYS)
    done = await erase(config, "A-1", "--note", "request 17", "--by", "mei", "--json")
    assert (done.code, done.json["erased"][0]["rows"]["held"]) == (0, 1)
    assert await found(pool) == {}
    [row] = await pool.fetch("SELECT body FROM held_deliveries")
    [delivery] = EnvelopeKeys(KEYS).open(row["body"]).deliveries  # workers take it as theirs
    assert [event.event_id for event in delivery.events] == ["e-1"]
    again = await erase(config, "A-1", "--note", "request 17", "--by", "mei", "--json")
    assert again.json["erased"][0]["rows"]["held"] == 0


async def test_what_is_of_another_payer_stays(pool, database, tmp_path):
    await register(pool, a_registration("A-1", payer=Payer(email="other@example.com")), policy=Policy(), now=NOON)
    await held(pool, an_event(order_ref="B-200001", payment_ref="pi_B"))
    done = await erase(config_with(tmp_path, database, KEYS), "A-1", "--note", "request 17", "--by", "mei", "--json")
    assert done.json["erased"][0]["rows"]["held"] == 0
    assert "held_deliveries.body" in await found(pool)


@pytest.mark.parametrize("keys", [(), ANOTHER])
async def test_nobody_seals_a_message_that_they_cannot_prove(pool, database, tmp_path, keys):
    await register(pool, a_registration("A-1", payer=Payer(email=EMAIL)), policy=Policy(), now=NOON)
    await held(pool, an_event(order_ref="A-1", payment_ref="pi_A-1"))
    done = await erase(config_with(tmp_path, database, keys), "A-1", "--note", "request 17", "--by", "mei", "--json")
    assert "held_deliveries.body" in await found(pool)
    assert "set envelope_keys as workers have" in " ".join(done.json["erased"][0]["left"])
