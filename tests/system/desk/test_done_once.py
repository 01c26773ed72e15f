"""Every form of an act is done once, however often it is sent: a double click leaves one note and leads to one page."""

import asyncio
import re
from html import unescape

import msgspec
import pytest

from tests.database.factories import NOON
from tests.database.test_guard_sweeping import paused
from tests.desk_api import LATER, something_of_everything
from tests.desk_orders import MINUTE, an_order, of_alipay, tell
from tests.desks import a_desk, a_person, desk_client
from tests.system.desk.test_every_page import HREF, inside
from tests.system.desk.test_order_acts import ANSWERED
from tillkeeper.desk.person import Role
from tillkeeper.desk.routes import ROUTES
from tillkeeper.domain.order.registration import Payer

OTHER = "wechatpay-main"
FORM = re.compile(r"<form([^>]*)>(.*?)</form>", re.DOTALL)
FIELD = re.compile(r"<(input|textarea|select)([^>]*)>(?:([^<]*)</textarea>)?")
ATTRIBUTE = re.compile(r'([\w-]+)(?:="([^"]*)")?')
COUNTED = (
    "acts",
    "case_entries",
    "approvals",
    "access_log",
    "handovers",
    "outbox",
    "parked",
    "refused",
    "cases",
    "orders",
)
WRITTEN = {
    "reason": "so said the customer",
    "text": "so said the customer",
    "outcome": "refunded by hand",
    "order": "ORD-1042",
}
# What is no act on orders, cases or messages: signing in and out, one's own account; and a search.
NO_ACTS = {"/find", "/sign-out", "/me/language", "/me/password", "/me/sessions/{id}/end"}
# Deliveries that are taken in are so once, whoever asks (tests/system/test_refused_retry.py); here none can be.
NO_ACTS |= {"/refused/retry"}
ACTS = {route.path for route in ROUTES if route.method == "POST" and route.role != "anyone"} - NO_ACTS
ACTS = {path for path in ACTS if not path.startswith("/api/")}
# The more exact first: /cases/many/take is no case's.
PATTERNS = [(path, re.compile(re.sub(r"\{\w+(?::([^}]*))?\}", lambda part: part[1] or "[^/]+", path))) for path in ACTS]
LISTS = (
    *("/stuck", "/cases", "/proposals", "/handover", "/waiting", "/orders/ORD-1042", "/orders/ORD-1042/claim"),
    *(
        "/orders/ORD-2001",
        "/orders/ORD-2002",
        "/orders/ORD-2003",
        "/orders/ORD-7001",
        "/orders/ORD-7002",
        "/orders/ORD-7l11/claim",
    ),
)
PLANS = (
    "/cases/many?act=take&id={0}",
    "/cases/many?act=escalate&id={0}",
    "/cases/many?act=resolve&id={0}",
    "/parked/many?act=replay&id=1",
    "/parked/many?act=discard&id=2",
    "/refused/retry?id=1&id=2",
)


def attributes_of(tag):
    return {name: unescape(value) for name, value in ATTRIBUTE.findall(tag)}


def forms_on(page):
    """The forms of acts on a page, filled in: (address, fields)."""
    for tag, inner in FORM.findall(page):
        told = attributes_of(tag)
        if told.get("method") == "post":
            fields = []
            for kind, attributes, text in FIELD.findall(inner):
                field = attributes_of(attributes)
                name = field.get("name")
                if name is None or field.get("type") == "checkbox":
                    continue
                value = field.get("value", text if kind == "textarea" else "")
                fields.append((name, value or WRITTEN.get(name, "60")))
            yield told["action"], fields


async def counts_of(pool):
    counts = {table: await pool.fetchval(f"SELECT count(*) FROM {table}") for table in COUNTED}
    return counts | {"open": await pool.fetchval("SELECT count(*) FROM approvals WHERE decision IS NULL")}


@pytest.mark.slow
async def test_each_form_of_an_act_that_is_sent_twice_is_done_once(pool):
    await something_of_everything(pool)
    await orders_that_can_be_acted_on(pool)
    changed: dict[str, bool] = {}
    for name, number in (("Ada", 1), ("Ben", 2)) * 2:  # one proposes, the other confirms
        person = msgspec.structs.replace(a_person(Role.ADMIN, name=name), id=number)
        async with desk_client(a_desk(pool, now=lambda: LATER), person) as client:
            for path in await paths_of(client, pool):
                await send_all_on(client, pool, path, changed)
    assert ACTS - set(changed) == set(), "each act has a form that this test finds"
    assert {route for route, has_changed in changed.items() if not has_changed} == set()


async def orders_that_can_be_acted_on(pool):
    """Some to close and to remind of, whose gateways have answered, at an account that is not paused; money that waits
    under nearly one's name, two cases that take two people, and further accounts that are paused."""
    for order_ref in ("ORD-7001", "ORD-7002", "ORD-7l11"):
        await an_order(pool, order_ref, payer=Payer(email="mei@example.com", locale="en"), accounts=(OTHER,))
    for number, order_ref in enumerate(("ORD-7111", "ORD-1044", "ORD-1043")):
        sums = {"amount": 12_900, "currency": "CNY" if number == 0 else "USD"}
        await tell(pool, of_alipay(order_ref=order_ref, payment_ref=f"P-7-{number}", **sums), at=NOON + MINUTE)
    await pool.execute(ANSWERED, LATER - MINUTE)
    for account in ("stripe-main", "paypal-main"):
        await paused(pool, account, now=LATER)


async def send_all_on(client, pool, path, changed):
    """Sends each form on a page of an act that was not done yet, from a page that was read just before."""
    refused = set()
    while True:
        async with client.get(path) as response:
            page = await response.text()
        ahead = [(route_of(address), address, fields) for address, fields in forms_on(page)]
        # What was proposed is confirmed before anything is refused, and proposed once more to be refused.
        open_acts = [act for act in ahead if act[1] not in refused and act[0] in ACTS and is_open(act[0], changed)]
        if not open_acts:
            return
        route, address, fields = open_acts[0]
        outcome = await twice(client, pool, address, fields)
        if outcome is None:
            refused.add(address)
        else:
            changed[route] = outcome


def is_open(route, changed):
    if route.endswith("/refuse"):
        return route not in changed and route.replace("/refuse", "/confirm") in changed
    return route not in changed or route.endswith("/propose")


def route_of(address):
    return next((path for path, pattern in PATTERNS if pattern.fullmatch(address)), address)


async def paths_of(client, pool):
    """What a person may open: lists, what they lead to, and plans for what was ticked."""
    numbers = await pool.fetch("SELECT id FROM cases WHERE closed_at IS NULL ORDER BY id DESC LIMIT 40")
    key = await pool.fetchval("SELECT key FROM outbox WHERE state = 'dead' ORDER BY id DESC LIMIT 1")
    found = [path.format(numbers[0]["id"]) for path in PLANS] + [f"/outbox/retry?key={key}"]
    found += [f"/accounts/{account}/pause" for account in ("alipay-main", "stripe-main", "paypal-main")]
    for path in LISTS:
        async with client.get(path) as response:
            found += [path, *(inside(path, unescape(link)) for link in HREF.findall(await response.text()))]
    return list(dict.fromkeys(path for path in found if path))


async def twice(client, pool, address, fields):
    """Sends a form twice; returns whether the first changed something, and None where it was refused."""
    before = await counts_of(pool)
    first = await client.post(address, data=fields, allow_redirects=False)
    after = await counts_of(pool)
    if first.status != 303:
        return None
    again = await client.post(address, data=fields, allow_redirects=False)
    assert (again.status, again.headers.get("Location")) == (303, first.headers["Location"]), address
    assert await counts_of(pool) == after, address
    return before != after


async def test_of_two_clicks_at_once_one_is_done_and_both_lead_to_the_case(pool):
    await an_order(pool)
    await tell(pool, of_alipay(amount=20_000))
    case_id = await pool.fetchval("SELECT max(id) FROM cases")
    async with desk_client(a_desk(pool, now=lambda: LATER), a_person(Role.OPERATOR)) as client:
        page = await (await client.get(f"/cases/{case_id}")).text()
        [(address, fields)] = [form for form in forms_on(page) if form[0].endswith("/note")]
        clicks = [client.post(address, data=fields, allow_redirects=False) for _ in range(5)]
        answers = await asyncio.gather(*clicks)
        assert {(answer.status, answer.headers["Location"]) for answer in answers} == {(303, f"/cases/{case_id}")}
        notes = "SELECT note FROM case_entries WHERE what = 'noted' ORDER BY id"
        assert [row["note"] for row in await pool.fetch(notes)] == ["so said the customer"]
        assert await pool.fetchval("SELECT count(*) FROM access_log WHERE what = 'note on a case'") == 1
        # Who goes back and writes something else means another note.
        other = [(name, "and called again" if name == "text" else value) for name, value in fields]
        await client.post(address, data=other, allow_redirects=False)
        assert [row["note"] for row in await pool.fetch(notes)] == ["so said the customer", "and called again"]
