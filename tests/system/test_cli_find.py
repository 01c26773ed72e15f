"""`tillkeeper find` as a person or a script starts it."""

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.system.commands import tillkeeper, toml, written
from tillkeeper.domain.order.registration import Payer
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register


@pytest.fixture
def config(tmp_path, database):
    return written(tmp_path, toml(database))


@pytest.fixture
async def an_order(pool):
    payer = Payer(email="mei@example.com", phone="+8613812345678")
    await register(pool, a_registration("ORD-77012345", payer=payer), policy=Policy(), now=NOON)
    async with pool.acquire() as conn, conn.transaction():
        event = an_event(order_ref="ORD-77012345", payment_ref="pi_9001")
        await apply_deliveries(conn, [a_delivery(event)], policy=Policy(), now=NOON)


async def test_what_is_in_hand_is_shown_with_the_reason(config, an_order):
    shown = await tillkeeper("find", "2345", "--config", config)
    assert shown.code == 0
    for part in ("Orders", "ORD-77012345", "the number ends so", "paid", "1.00 CNY"):
        assert part in shown.out
    machine = await tillkeeper("find", "customer:", "pi_9001", "mei@example.com", "--config", config, "--json")
    groups = {group["kind"]: group for group in machine.json["groups"]}
    assert [hit["why"] for hit in groups["order"]["hits"]] == ["email"]
    assert groups["payment"]["hits"][0]["order_ref"] == "ORD-77012345"
    assert (groups["payment"]["found"], groups["payment"]["more"]) == (1, False)


async def test_what_a_customer_pasted_is_read_from_standard_input(config, an_order):
    pasted = "支付成功 商户单号 ORD-77012345 实付 ¥1.00\n".encode() + b"x" * 2_000_000
    shown = await tillkeeper("find", "-", "--config", config, told=pasted)
    assert shown.code == 0
    assert "the whole number" in shown.out
    assert "Not all of the text was looked for" in shown.out


async def test_a_gateways_code_is_explained_with_what_to_tell_the_buyer(config):
    shown = await tillkeeper("find", "ACQ.PAYMENT_REQUEST_HAS_RISK", "--config", config)
    assert shown.code == 0
    assert "ACQ.PAYMENT_REQUEST_HAS_RISK (alipay) is suspected_fraud" in shown.out
    assert "The bank or payment service could not complete this payment." in shown.out
    machine = await tillkeeper("find", "it says NOT_ENOUGH", "--config", config, "--json")
    assert [(code["gateway"], code["failure"]) for code in machine.json["codes"]] == [
        ("wechatpay", "insufficient_funds")
    ]


async def test_what_is_not_there_is_not_found(config, an_order):
    shown = await tillkeeper("find", "8888", "--config", config)
    assert (shown.code, shown.out) == (1, "Nothing was found.\n")
    machine = await tillkeeper("find", "8888", "--config", config, "--json")
    assert (machine.code, machine.json) == (1, {"groups": [], "cut": False, "codes": []})
