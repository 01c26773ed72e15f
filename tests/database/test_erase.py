"""A payer's personal data goes for good, and the books stay whole."""

import json
from uuid import uuid4

import pytest

from tests.database.factories import NOON, STORE_AS_BEFORE, a_delivery, an_event
from tests.database.sweeps import HOUR, MINUTE, POLICY, registered, topics, until
from tests.personal_data import found_in
from tillkeeper.domain.erasure import Contacts, ErasureAct
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.registration import Contradiction, Payer
from tillkeeper.store.apply.batch import apply_deliveries, replay
from tillkeeper.store.cases import acts as case_acts
from tillkeeper.store.deliveries.parked import close_parked, park_event, park_unreadable
from tillkeeper.store.erasure.order import erase
from tillkeeper.store.orders import acts as order_acts
from tillkeeper.store.orders.acts import NoSuchOrder
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.order import history, show

EMAIL, PHONE, NAME = "ada.king@example.com", "+86 138 1234 5678", "Ada King 王"
PAYER = Payer(email=EMAIL, phone=PHONE, locale="en")
ACT = ErasureAct(by="mei", note="request 17", at=NOON + HOUR)
BODY = json.dumps({"id": "evt", "email": EMAIL, "name": NAME, "phone": PHONE}).encode()
WORDS = [EMAIL, PHONE, "13812345678", NAME]


async def an_order(pool, order_ref="A1", **fields):
    await registered(pool, order_ref, payer=PAYER, pay_url=f"https://shop.example/pay?of={EMAIL}", **fields)


async def paid(pool, *events, **fields):
    fields = {"run": uuid4(), "number": 1, "body": BODY, "query": f"mail={EMAIL}", **fields}
    delivery = a_delivery(*(events or (an_event(),)), **fields)
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=POLICY, now=NOON))
    return delivery


async def erased(pool, order_ref="A1", act=ACT, **more):
    return await repeat_on_conflict(pool, lambda conn: erase(conn, order_ref, act, **more))


async def found(pool):
    async with pool.acquire() as conn:
        return await found_in(conn, WORDS)


async def balances(pool):
    return (await audit(pool, settled_until=NOON + HOUR, now=NOON + HOUR)).balances


async def test_after_it_no_table_holds_what_tells_who_paid(pool):
    await an_order(pool)
    await paid(pool)
    held = {"orders.terms", "delivery_bodies.body", "delivery_bodies.query", "outbox.payload"}
    assert held <= (await found(pool)).keys()
    done = await erased(pool)
    assert await found(pool) == {}
    assert (done.rows["terms"], done.rows["deliveries"], done.shared) == (1, 1, ())
    assert await balances(pool)


async def test_amounts_references_and_the_status_stay_and_the_history_says_who_erased_it_and_why(pool):
    await an_order(pool)
    await paid(pool)
    before = await show(pool, "A1")
    await erased(pool)
    after = await show(pool, "A1")
    assert (before["erased_at"], after["erased_at"]) == (None, ACT.at)
    assert after == before | {"erased_at": ACT.at}
    [act] = [entry for entry in await history(pool, "A1") if entry["what"] == "act"]
    assert (act["kind"], act["by"], act["note"], act["recorded_at"]) == ("order.erase", "mei", "request 17", ACT.at)
    assert act["evidence"] == "operator"


async def test_what_was_to_be_mailed_is_dropped_and_no_reminder_is_written_any_more(pool, sweep, clock, gateways):
    await an_order(pool)
    await paid(pool, an_event(Kind.PAYMENT_FAILED))
    await until(sweep, clock, 11 * MINUTE)
    assert await topics(pool, "payer")
    done = await erased(pool)
    assert done.rows["notices_dropped"] == len(await topics(pool, "payer"))
    rows = await pool.fetch("SELECT state, due_at, channels -> 'mail' AS mail FROM outbox WHERE audience = 'payer'")
    assert {(row["state"], row["due_at"]) for row in rows} == {("dropped", None)}
    assert all(json.loads(row["mail"])["why"] == "the payer's data was erased" for row in rows)
    before = await topics(pool, "payer")
    await paid(pool)
    assert await topics(pool, "payer") == before
    assert (await show(pool, "A1"))["status"] == "paid"


async def test_a_mail_that_may_have_left_stays_uncertain(pool):
    await an_order(pool)
    await paid(pool)
    await pool.execute("""UPDATE outbox SET channels = '{"mail": {"outcome": "uncertain"}}' WHERE audience = 'payer'""")
    await erased(pool)
    assert await pool.fetchval("SELECT state FROM outbox WHERE audience = 'payer'") == "uncertain"


async def test_notes_of_people_lose_the_contacts_and_keep_the_rest(pool):
    await an_order(pool)
    await paid(pool, an_event(amount=150))
    case_id = await pool.fetchval("SELECT id FROM cases")
    text = f"rang {PHONE} and wrote to ADA.KING@example.com: order A1, ticket 4711"

    async def people_write(conn):
        await case_acts.note(conn, case_id, text=text, by="mei", now=NOON)
        await case_acts.resolve(conn, case_id, outcome=f"refunded {EMAIL}", text="", by="mei", now=NOON)
        await order_acts.ask_gateway(conn, "A1", by="mei", note=text, now=NOON)

    await repeat_on_conflict(pool, people_write)
    done = await erased(pool)
    assert await found(pool) == {}
    kept = "rang <erased> and wrote to <erased>: order A1, ticket 4711"
    assert await pool.fetchval("SELECT note FROM case_entries WHERE what = 'noted'") == kept
    assert await pool.fetchval("SELECT note FROM acts") == kept
    assert await pool.fetchval("SELECT outcome FROM cases") == "refunded <erased>"
    assert (done.rows["case_entries"], done.rows["acts"], done.rows["cases"]) == (2, 1, 1)


async def test_what_programs_were_answered_with_about_the_order_is_forgotten_and_nothing_else(pool):
    await an_order(pool)
    await pool.execute(
        "INSERT INTO people (name, display_name, role, locale, created_at, created_by)"
        " VALUES ('mei', 'mei', 'support', 'en', now(), 'root')"
    )
    for key, ref in (("a", "A1"), ("b", "A12")):
        body = json.dumps({"order_ref": ref, "note": f"call {PHONE}"}, separators=(",", ":")).encode()
        await pool.execute(
            "INSERT INTO idempotency_keys (person_id, token, key, at, request, status, answer)"
            " SELECT id, 'nightly', $1, now(), $2, 200, $3 FROM people",
            *(key, bytes(32), body),
        )
    assert (await erased(pool)).rows["answers"] == 1
    assert [row["key"] for row in await pool.fetch("SELECT key FROM idempotency_keys")] == ["b"]


async def test_a_delivery_that_also_tells_of_another_order_goes_whole_and_that_order_is_named(pool):
    await an_order(pool)
    await registered(pool, "A2")
    await paid(pool, an_event(), an_event(order_ref="A2", payment_ref="pi_2"))
    assert (await erased(pool)).shared == ("A2",)
    assert await balances(pool)


async def test_the_same_registration_again_is_unchanged_and_brings_nothing_back(pool):
    await an_order(pool)
    await erased(pool)
    for payer in (PAYER, Payer(email="somebody@else.example"), None):
        assert await registered(pool, payer=payer) == "unchanged"
    assert await found(pool) == {}
    with pytest.raises(Contradiction):
        await registered(pool, amount=101)


async def test_a_redelivery_of_what_was_erased_is_a_duplicate_and_brings_nothing_back(pool):
    await an_order(pool)
    event = an_event()
    first = await paid(pool, event)
    await erased(pool)
    await paid(pool, event, run=first.run, number=2)
    assert await pool.fetchval("SELECT sum(duplicates) FROM deliveries") == 1
    assert await found(pool) == {}
    assert await balances(pool)


async def test_a_late_webhook_counts_and_its_body_is_not_kept(pool):
    await an_order(pool)
    await erased(pool)
    await paid(pool)
    assert (await show(pool, "A1"))["status"] == "paid"
    assert await found(pool) == {}
    assert await pool.fetchval("SELECT body IS NULL AND headers = '[]' AND query = '' FROM deliveries")
    assert await pool.fetchval("SELECT count(*) FROM delivery_bodies") == 0
    assert await balances(pool)


async def test_erasing_again_finds_nothing_and_each_time_is_an_act(pool):
    await an_order(pool)
    await paid(pool)
    await erased(pool)
    assert (await erased(pool, act=ErasureAct(by="li", note="asked twice", at=NOON + 2 * HOUR))).is_nothing
    assert [entry["by"] for entry in await history(pool, "A1") if entry["what"] == "act"] == ["mei", "li"]
    assert (await show(pool, "A1"))["erased_at"] == ACT.at


async def test_an_order_that_is_not_registered_is_said_so(pool):
    with pytest.raises(NoSuchOrder):
        await erased(pool, "NOBODY")


async def test_what_an_earlier_version_stored_is_blanked_where_it_stands(pool):
    await an_order(pool)
    await paid(pool)
    await pool.execute(STORE_AS_BEFORE)
    assert "deliveries.body" in await found(pool)
    assert (await erased(pool)).rows["deliveries"] == 1
    assert await found(pool) == {}


# --- what is parked -------------------------------------------------------------------------------------------------


async def parked(pool, *, readable=True, outcome=None):
    delivery = a_delivery(an_event(), run=uuid4(), number=1, body=BODY, query=f"mail={EMAIL}")

    async def park(conn):
        if readable:
            await park_event(conn, delivery, delivery.events[0], reason="bad", error=f"no {EMAIL}", now=NOON)
        else:
            message = b"\xff" + BODY + b"A1"
            await park_unreadable(conn, message, reason="unreadable", error="no envelope", now=NOON)
        parked_id = await conn.fetchval("SELECT max(id) FROM parked")
        if outcome:
            await close_parked(conn, parked_id, outcome, by="li", note=f"told {EMAIL}", now=NOON)
        return parked_id

    return await repeat_on_conflict(pool, park)


async def test_what_is_parked_loses_its_content_and_is_replayed_all_the_same(pool):
    await an_order(pool)
    parked_id = await parked(pool)
    assert (await erased(pool)).rows["parked"] == 1
    assert await found(pool) == {}
    await repeat_on_conflict(pool, lambda conn: replay(conn, parked_id, by="li", note="", policy=POLICY, now=NOON))
    assert (await show(pool, "A1"))["status"] == "paid"
    assert await balances(pool)


async def test_notes_and_errors_of_what_was_parked_lose_the_contacts(pool):
    await an_order(pool)
    await parked(pool, outcome="discarded")
    await erased(pool)
    assert await found(pool) == {}
    assert await pool.fetchval("SELECT note FROM parked") == "told <erased>"


async def test_what_retention_removed_before_is_no_hindrance(pool):
    await an_order(pool)
    await parked(pool, outcome="discarded")
    await pool.execute("UPDATE parked SET body = ''")
    await erased(pool)
    assert await found(pool) == {}


async def test_a_message_that_nobody_can_read_goes_once_it_is_closed(pool):
    await an_order(pool)
    parked_id = await parked(pool, readable=False)
    [left] = (await erased(pool)).left
    assert left == f"parked message {parked_id} names it and is open: discard it, then erase again"
    await repeat_on_conflict(
        pool, lambda conn: close_parked(conn, parked_id, "discarded", by="li", note="a test", now=NOON)
    )
    assert (await erased(pool, contacts=Contacts.of(PAYER))).left == ()
    assert await found(pool) == {}


async def test_a_message_about_somebody_else_stays(pool):
    await an_order(pool, "B-2001")
    await registered(pool, "C-3001", payer=Payer(email="li@example.com"))
    await parked(pool, readable=False, outcome="discarded")
    assert (await erased(pool, "C-3001")).rows["parked"] == 0
    assert "parked.body" in await found(pool)


async def test_a_reference_that_is_a_contact_stays_and_is_said_so(pool):
    await an_order(pool, f"of {EMAIL}")
    assert (await erased(pool, f"of {EMAIL}")).left == (f"references stay, and hold a contact: of {EMAIL}",)
