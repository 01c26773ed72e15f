"""What a person types to have a payer's personal data erased, and what is said of it afterwards."""

from uuid import uuid4

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.personal_data import found_in
from tests.system.commands import tillkeeper
from tillkeeper.domain.order.registration import Payer
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.postgres.transactions import repeat_on_conflict

EMAIL = "ada.king@example.com"


async def paid(pool, order_ref="A-1", number=1, email=EMAIL):
    registration = a_registration(order_ref, payer=Payer(email=email))
    await register(pool, registration, policy=Policy(), now=NOON)
    event = an_event(order_ref=order_ref, payment_ref=f"pi_{order_ref}")
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
    assert (told.code, told.err) == (2, "tillkeeper: the note is kept: leave contacts out of it; nothing was erased\n")


@pytest.mark.parametrize("arguments", [(), ("--note", "why"), ("A-1", "--note", " "), ("A-1",)])
async def test_an_order_and_a_reason_are_asked_for(config, arguments):
    assert (await erase(config, *arguments)).code == 2
