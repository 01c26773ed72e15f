"""`tillkeeper claim` and `tillkeeper waiting` as a person or a script starts them."""

from datetime import timedelta
from uuid import uuid4

import pytest

from tests.database.factories import a_delivery, a_registration, an_event
from tests.system.commands import tillkeeper, toml, written
from tillkeeper import clock
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register

REF, TYPED = "ORD-77012345", "ORD-770l2345"


@pytest.fixture
def config(tmp_path, database):
    return written(tmp_path, toml(database))


@pytest.fixture
async def an_order(pool):
    await register(pool, a_registration(REF), policy=Policy(), now=clock.now() - timedelta(minutes=5))


async def apply(pool, *events):
    async with pool.acquire() as conn, conn.transaction():
        await apply_deliveries(conn, [a_delivery(*events, run=uuid4(), number=1)], policy=Policy(), now=clock.now())


async def test_money_that_waits_is_found_bound_and_then_it_is_paid(config, pool, an_order):
    await apply(pool, an_event(order_ref=TYPED, payment_ref="pi_9001"))
    said = await tillkeeper("claim", REF, "--config", config)
    assert said.code == 0
    for part in ("Money waits under another reference.", TYPED, "do not pay again"):
        assert part in said.out
    assert f"tillkeeper waiting bind stripe-main pi_9001 {REF} --note WHY" in said.out
    listed = await tillkeeper("waiting", "list", "--config", config)
    assert all(part in listed.out for part in ("pi_9001", TYPED, REF))
    shown = await tillkeeper("waiting", "show", "stripe-main", "pi_9001", "--config", config, "--json")
    [likely] = shown.json["likely"]
    assert likely["order_ref"] == REF
    assert likely["match"]["reasons"] == ["typing_error", "same_amount", "same_days", "its_account"]
    who = ("--by", "mei", "--confirmed-by", "jun", "--note", "typed an l")
    bound = await tillkeeper("waiting", "bind", "stripe-main", "pi_9001", REF, *who, "--config", config)
    assert (bound.code, bound.out) == (0, f"{REF}  bound: 1 applied; paid 已支付\n")
    again = await tillkeeper("waiting", "bind", "stripe-main", "pi_9001", REF, *who, "--config", config)
    assert again.code == 1
    assert "mei bound it to order" in again.err
    paid = await tillkeeper("claim", "pi_9001", "--config", config, "--json")  # by whatever leads to the order
    assert (paid.json["verdict"], paid.json["order_ref"]) == ("paid_here", REF)
    assert "1.00 CNY" in paid.json["say"]["en"]
    assert (await tillkeeper("waiting", "list", "--config", config)).out == "No money waits for an order.\n"
    assert (await tillkeeper("audit", "--config", config)).code == 0


async def test_what_was_not_asked_is_not_known(config, an_order):
    said = await tillkeeper("claim", REF, "--config", config, "--json")
    assert (said.code, said.json["verdict"]) == (0, "not_known")
    assert "not_asked" in [each["sign"] for each in said.json["because"]]
    assert "ask" in said.json["acts"]


async def test_a_text_that_leads_nowhere_or_to_several_orders_is_told_so(config, pool, an_order):
    await register(pool, a_registration("OTHER-2345"), policy=Policy(), now=clock.now())
    nothing = await tillkeeper("claim", "8888", "--config", config)
    assert (nothing.code, nothing.err) == (1, "tillkeeper: '8888' leads to no order.\n")
    several = await tillkeeper("claim", "2345", "--config", config)
    assert several.code == 1
    assert "leads to several orders; name one: " in several.err
    await apply(pool, an_event(order_ref="nobody-1", payment_ref="pi_nobody"))
    waits = await tillkeeper("claim", "pi_nobody", "--config", config)
    assert "A payment waits that it names" in waits.err


async def test_nobody_confirms_their_own_act_and_what_is_not_there_cannot_be_bound(config, an_order):
    same = ("--by", "mei", "--confirmed-by", "mei", "--note", "x")
    refused = await tillkeeper("waiting", "bind", "stripe-main", "pi_9001", REF, *same, "--config", config)
    assert refused.code == 2
    assert "is another person than --by" in refused.err
    nothing = await tillkeeper("waiting", "bind", "stripe-main", "pi_9001", REF, "--note", "x", "--config", config)
    assert nothing.code == 1
    assert "no such payment waits" in nothing.err
    unknown = await tillkeeper("waiting", "bind", "stripe-main", "pi_9001", "nobody", "--note", "x", "--config", config)
    assert "no order 'nobody' is registered" in unknown.err
    assert (await tillkeeper("waiting", "show", "stripe-main", "pi_9001", "--config", config)).code == 1
