"""Which accounts of an order cannot be asked whether it was paid, where only its reference is known."""

from conftest import specimen_of
from specimen import NOW

from tillkeeper.domain.order.registration import Order
from tillkeeper.gateways.askable import unaskable_by_order
from tillkeeper.gateways.failure_codes import TABLES, meanings_of
from tillkeeper.gateways.registry import GATEWAYS


def settings_of(name, **changes):
    return GATEWAYS[name].settings.model_validate({**specimen_of(name).settings, **changes})


def test_an_account_must_be_configured_find_by_the_orders_reference_and_have_a_key():
    by_order = next(name for name in ("alipay", "wechatpay") if "order" in GATEWAYS[name].queryable)
    not_by_order = next(name for name, gateway in sorted(GATEWAYS.items()) if "order" not in gateway.queryable)
    accounts = {
        "asked": settings_of(by_order),
        "without-a-key": settings_of("alipay", app_private_key=None),
        "by-payment": settings_of(not_by_order),
    }
    names = frozenset({*accounts, "gone"})
    order = Order(order_ref="ORDER-1", amount=12900, currency="CNY", accounts=names)
    assert unaskable_by_order(accounts, order, now=NOW) == names - {"asked"}


def test_a_code_is_known_in_whatever_case_it_is_written():
    gateway, table = TABLES[0]
    code, failure = next(iter(table.items()))
    for written in (code, code.upper(), code.lower()):
        assert (gateway, code, failure) in [(each.gateway, each.code, each.failure) for each in meanings_of(written)]
    assert meanings_of("no such code") == ()
