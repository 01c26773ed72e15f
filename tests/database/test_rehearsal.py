"""A rehearsal over kept deliveries: nothing differs until a reader or a rule does, and then exactly what it changed."""

from datetime import timedelta
from secrets import token_hex

import msgspec
import pytest

from tests.database.factories import NOON
from tests.database.played import LATER, Played
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order import status
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.recovery.rehearsal import Rehearsal

DAY = timedelta(days=1)


async def played_at(pool, gateway):
    played = Played(pool, gateway)
    await played.registered()
    await played.delivered()
    await played.delivered(again=1)
    return played


async def rehearsed(pool, gateways, *, since=NOON - DAY, account=None):
    told = []
    rehearsal = Rehearsal(
        pool, gateways, since=since, now=LATER + 30 * DAY, account=account, tell=lambda *each: told.append(each)
    )
    found = [each async for each in rehearsal.differences()]
    if rehearsal.done.deliveries:
        assert max(done for what, done, _ in told if what == "deliveries") == rehearsal.done.deliveries
    return rehearsal.done, found


def at(played):
    return {played.gateway.account: played.gateway}


@pytest.mark.parametrize("gateway", sorted(GATEWAYS))
async def test_the_version_that_read_them_reads_them_the_same(pool, gateway):
    played = await played_at(pool, gateway)
    done, found = await rehearsed(pool, at(played))
    assert (found, done.changes, done.not_read, done.unplaced) == ([], 0, {}, [])
    assert done.deliveries == done.read > 0
    assert done.orders == await pool.fetchval("SELECT count(DISTINCT order_id) FROM inbox")


def reading(monkeypatch, gateway, change):
    """Has the gateway's reader give other events."""
    parse = type(gateway).parse

    def changed(self, verified):
        return tuple(other for event in parse(self, verified) for other in change(event))

    monkeypatch.setattr(type(gateway), "parse", changed)


async def test_a_reader_that_takes_less_is_found_at_the_orders_that_it_concerns(pool, monkeypatch):
    played = await played_at(pool, "stripe")
    cheap = {"CNY": 1}

    def less(event):
        if event.kind is Kind.PAYMENT_SUCCEEDED:
            event = msgspec.structs.replace(event, amount=event.amount - cheap["CNY"])
        yield event

    reading(monkeypatch, played.gateway, less)
    done, found = await rehearsed(pool, at(played))
    paid = {
        row["order_ref"]
        for row in await pool.fetch(
            "SELECT DISTINCT o.order_ref FROM inbox i JOIN orders o ON o.id = i.order_id "
            "WHERE i.kind = 'payment.succeeded' AND i.run IS NOT NULL AND i.outcome <> 'mismatched'"
        )
    }
    assert {each.order_ref for each in found} == paid
    assert done.differ == len(found)
    for each in found:
        assert each.after.summary.captured < each.before.summary.captured
        assert {name for change in each.changes for name in change.fields} == {"amount"}


async def test_an_event_that_is_not_read_any_more_and_one_that_is_new_are_told(pool, monkeypatch):
    played = await played_at(pool, "stripe")

    def without_refunds(event):
        if not event.kind.is_refund:
            yield event

    with monkeypatch.context() as patched:
        reading(patched, played.gateway, without_refunds)
        _, found = await rehearsed(pool, at(played))
    assert found
    assert all(change.after is None and change.before.kind.is_refund for each in found for change in each.changes)

    def with_a_dispute(event):
        yield event
        if event.kind is Kind.PAYMENT_SUCCEEDED:
            name = {"event_id": f"{event.event_id}/d", "dispute_ref": f"dp_{event.payment_ref}"}
            yield msgspec.structs.replace(event, kind=Kind.DISPUTE_OPENED, discount=None, on_top=None, **name)

    reading(monkeypatch, played.gateway, with_a_dispute)
    done, found = await rehearsed(pool, at(played))
    assert found
    assert all(each.after.cases > each.before.cases for each in found)
    assert all(change.before is None for each in found for change in each.changes)
    assert done.changes == sum(len(each.changes) for each in found)


async def test_what_is_refused_now_is_said_with_the_reason(pool, monkeypatch):
    played = await played_at(pool, "stripe")

    def refuse(self, verified):
        raise BadPayload("too new")

    monkeypatch.setattr(type(played.gateway), "parse", refuse)
    _, found = await rehearsed(pool, at(played))
    assert found
    assert {change.reason for each in found for change in each.changes} == {"it is refused now: too new"}


async def test_another_rule_is_found_although_every_event_is_read_the_same(pool, monkeypatch):
    played = await played_at(pool, "stripe")
    table = tuple(rule for rule in status.STATUS_TABLE if rule.status is not Status.PAID)
    monkeypatch.setattr(status, "STATUS_TABLE", table)
    done, found = await rehearsed(pool, at(played))
    assert done.changes == 0
    assert {each.before.summary.status for each in found} == {Status.PAID}
    assert {each.after.summary.status for each in found} == {Status.PARTIALLY_PAID}


async def test_what_is_not_kept_and_whose_key_is_gone_counts_as_it_was_read(pool):
    played = await played_at(pool, "stripe")
    settings = {"gateway": "stripe", "webhook_secrets": ["whsec_" + token_hex(16)]}
    changed = GATEWAYS["stripe"](played.gateway.account, GATEWAYS["stripe"].settings.model_validate(settings))
    done, found = await rehearsed(pool, {played.gateway.account: changed})
    assert (found, done.read, list(done.not_read)) == ([], 0, ["no key that is configured verifies it any more"])
    done, found = await rehearsed(pool, {})
    assert (found, list(done.not_read)) == ([], ["its account is not configured"])
    await pool.execute("DELETE FROM delivery_bodies")
    done, found = await rehearsed(pool, at(played))
    assert (found, list(done.not_read)) == ([], ["its body is not kept any more"])


async def test_a_span_and_an_account_leave_out_the_rest(pool):
    played = await played_at(pool, "stripe")
    done, _ = await rehearsed(pool, at(played), account="nope")
    assert done.deliveries == 0
    done, _ = await rehearsed(pool, at(played), since=LATER + 20 * DAY)
    assert (done.deliveries, done.orders) == (0, 0)
