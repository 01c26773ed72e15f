"""A file of each form goes through reconcile: what agrees matches, what was lost is applied, nothing counts twice."""

import hashlib
import io
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.statement_writers import adyen, alipay, checkout, gocardless, mollie, stripe, wechatpay
from tillkeeper.domain.books.matching import Verdict
from tillkeeper.domain.events import Kind
from tillkeeper.domain.policy import Policy
from tillkeeper.gateways.adyen.gateway import Adyen
from tillkeeper.gateways.adyen.settings import AdyenSettings
from tillkeeper.gateways.alipay.gateway import Alipay
from tillkeeper.gateways.alipay.settings import AlipaySettings
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.checkout.gateway import Checkout
from tillkeeper.gateways.checkout.settings import CheckoutSettings
from tillkeeper.gateways.gocardless.gateway import GoCardless
from tillkeeper.gateways.gocardless.settings import GoCardlessSettings
from tillkeeper.gateways.mollie.gateway import Mollie
from tillkeeper.gateways.mollie.settings import MollieSettings
from tillkeeper.gateways.statement_reading import read_statement
from tillkeeper.gateways.stripe.gateway import Stripe
from tillkeeper.gateways.stripe.settings import StripeSettings
from tillkeeper.gateways.wechatpay.gateway import WeChatPay
from tillkeeper.gateways.wechatpay.settings import WeChatPaySettings
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.books.taking import StatementFile
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.workers.reconcile import Reconciler

POLICY = Policy()
LATER = NOON + timedelta(days=3)
BEIJING = datetime(2026, 11, 22, 20)  # noqa: DTZ001 - the same moment, as bills write it
AMSTERDAM = datetime(2026, 11, 22, 13)  # noqa: DTZ001 - likewise


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """One form, and the file that it makes of a payment of 1.00 and, unless it is None, a refund of 0.40 of it."""

    gateway: type[Gateway]
    settings: object
    currency: str
    written: Callable[[str | None], bytes]
    capture_ref: str | None = None  # where the file names captures


def written_stripe(refund):
    entries = [stripe.entry("charge", 100, at=NOON, source="ch_1", intent="pay-1", order="A1")]
    if refund:
        entries.append(stripe.entry("refund", -40, at=NOON, source=refund, intent="pay-1", order="A1"))
    return stripe.report(entries)


def written_alipay(refund):
    trades = [alipay.trade("交易", 100, at=BEIJING, order="A1", payment="pay-1")]
    if refund:
        trades.append(alipay.trade("退款", 40, at=BEIJING, order="A1", payment="pay-1", refund=refund))
    return alipay.zipped(alipay.trade_bill(trades))


def written_wechatpay(refund):
    trades = [wechatpay.trade("SUCCESS", 100, at=BEIJING, order="A1", payment="pay-1")]
    if refund:
        trades.append(wechatpay.trade("REFUND", 40, at=BEIJING, order="A1", payment="pay-1", refund=refund))
    return wechatpay.trade_bill(trades)


def written_checkout(refund):
    parts = [
        checkout.part("Capture", "Capture", "1.00", at=NOON, payment="pay-1", order="A1"),
        checkout.part("Capture", "Scheme Fixed Fee", "-0.00400000", at=NOON, payment="pay-1", order="A1"),
    ]
    if refund:
        parts.append(checkout.part("Refund", "Refund", "-0.40", at=NOON, payment="pay-1", order="A1", ref=refund))
    return checkout.report(parts)


def written_gocardless(refund):
    items = [gocardless.item("payment", 100, fee=2, payment="pay-1", order="A1")]
    if refund:
        items.append(gocardless.item("refund", -40, payment="pay-1", refund=refund, status="paid", order="A1"))
    return gocardless.breakdown(items)


def written_mollie(refund):
    movements = [mollie.movement("tr_1", 100, at=AMSTERDAM), mollie.fees(2, at=AMSTERDAM)]
    if refund:
        movements.append(mollie.movement(refund, -40, at=AMSTERDAM, method="refund", status="refunded"))
    return mollie.report(movements)


def written_adyen(refund):
    journals = [adyen.journal("Settled", 100, at=AMSTERDAM, payment="pay-1", order="A1", modification="cap-1")]
    if refund:
        journals.append(adyen.journal("Refunded", -40, at=AMSTERDAM, payment="pay-1", order="A1", modification=refund))
    return adyen.report(journals)


FORMS = {
    "adyen.settlement": Form(
        gateway=Adyen,
        settings=AdyenSettings.model_construct(gateway="adyen", merchant_account="TillECOM"),
        currency="EUR",
        written=written_adyen,
        capture_ref="cap-1",
    ),
    "stripe.balance": Form(
        gateway=Stripe,
        settings=StripeSettings.model_construct(gateway="stripe", order_ref_path=None),
        currency="EUR",
        written=written_stripe,
        capture_ref="ch_1",
    ),
    "alipay.trade": Form(
        gateway=Alipay,
        settings=AlipaySettings.model_construct(gateway="alipay", seller_id=alipay.SELLER),
        currency="CNY",
        written=written_alipay,
    ),
    "wechatpay.trade": Form(
        gateway=WeChatPay,
        settings=WeChatPaySettings.model_construct(gateway="wechatpay", mch_id=wechatpay.MERCHANT),
        currency="CNY",
        written=written_wechatpay,
    ),
    "checkout.financial_actions": Form(
        gateway=Checkout,
        settings=CheckoutSettings.model_construct(gateway="checkout"),
        currency="EUR",
        written=written_checkout,
        capture_ref="act_1",
    ),
    "gocardless.payouts": Form(
        gateway=GoCardless,
        settings=GoCardlessSettings.model_construct(gateway="gocardless", order_ref_path="metadata.order_id"),
        currency="GBP",
        written=written_gocardless,
    ),
    "mollie.settlement": Form(
        gateway=Mollie,
        settings=MollieSettings.model_construct(gateway="mollie"),
        currency="EUR",
        written=written_mollie,
    ),
}


@pytest.fixture(params=sorted(FORMS))
def form(request):
    return FORMS[request.param]


@pytest.fixture
def reconcile(pool, form):
    async def run(content, *, changed=""):
        reading = read_statement(form.gateway.statement_forms, "shop-main", form.settings, io.BytesIO(content))
        file = StatementFile(
            name="file.csv",
            digest=hashlib.sha256(content + changed.encode()).digest(),
            form=reading.form.name,
            lines=reading.lines(),
            statement=reading.statement,
        )
        reconciler = Reconciler(pool, "shop-main", policy=POLICY, run=uuid4(), by="mei", now=lambda: LATER)
        done = await reconciler.reconcile([file])
        tallies = done.tallies.values()
        return {each.value: total for each in Verdict if (total := sum(tally.of(each) for tally in tallies))}, done

    return run


@pytest.fixture
def told(pool, form):
    """Registers an order of 1.00, unless it is there, and applies what webhooks said of it."""

    async def tell(*kinds):
        await register(
            pool, a_registration(amount=100, currency=form.currency, accounts=("shop-main",)), policy=POLICY, now=NOON
        )
        payment = "tr_1" if form.gateway is Mollie else "pay-1"
        fields = {
            Kind.PAYMENT_PENDING: {},
            Kind.PAYMENT_SUCCEEDED: {"capture_ref": form.capture_ref},
            Kind.PAYMENT_REVERSED: {"capture_ref": form.capture_ref, "second": 9},
            Kind.REFUND_SUCCEEDED: {"refund_ref": "re_1", "amount": 40},
        }
        events = [
            an_event(kind, account="shop-main", payment_ref=payment, currency=form.currency, **fields[kind])
            for kind in kinds
        ]
        delivery = a_delivery(*events, account="shop-main")
        await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=POLICY, now=NOON))

    return tell


async def test_what_agrees_with_a_file_of_any_form_leaves_nothing(form, reconcile, told, pool):
    await told(Kind.PAYMENT_SUCCEEDED, Kind.REFUND_SUCCEEDED)
    counts, done = await reconcile(form.written("re_1"))
    assert (counts, done.left, done.cases) == ({"matched": 2}, 0, {})
    assert await pool.fetchval("SELECT count(*) FROM cases") == 0


async def test_a_payment_that_no_webhook_told_is_paid_by_a_file_of_any_form(form, reconcile, told, pool):
    await told(Kind.PAYMENT_PENDING)
    counts, done = await reconcile(form.written(None))
    assert (counts, done.outcomes, done.left) == ({"at_gateway_only": 1}, {"applied": 1}, 0)
    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    assert await pool.fetchval("SELECT count(*) FROM cases WHERE closed_at IS NULL") == 0


async def test_what_a_newer_export_lists_again_counts_once(form, reconcile, told, pool):
    await told(Kind.PAYMENT_SUCCEEDED, Kind.REFUND_SUCCEEDED)
    for changed in ("", "the status of a line is another by now"):
        counts, done = await reconcile(form.written("re_1"), changed=changed)
        assert (counts, done.left) == ({"matched": 2}, 0)
    counted = "SELECT count(*) FROM statement_lines WHERE superseded_by IS NULL"
    assert await pool.fetchval(counted) == done.taken[0].lines


LATE = NOON + timedelta(days=2)
FAILED_LATE = {
    "stripe.balance": stripe.report(
        [
            stripe.entry("charge", 100, at=NOON, source="ch_1", intent="pay-1", order="A1"),
            stripe.entry("charge_failure", -100, at=LATE, source="ch_1", intent="pay-1", order="A1"),
        ]
    ),
    "gocardless.payouts": gocardless.breakdown(
        [
            gocardless.item("payment", 100, payment="pay-1", order="A1"),
            gocardless.item("payment", -100, payment="pay-1", order="A1", status="failed", day="2026-11-24"),
        ]
    ),
}


@pytest.mark.parametrize("form", sorted(FAILED_LATE), indirect=True)
async def test_a_debit_that_failed_late_pays_no_order(form, request, reconcile, told, pool):
    await told(Kind.PAYMENT_PENDING)
    counts, done = await reconcile(FAILED_LATE[request.node.callspec.params["form"]])
    assert (counts, done.outcomes, done.cases) == ({"matched": 1}, {}, {})
    assert await pool.fetchval("SELECT status FROM orders") == "processing"
    await told(Kind.PAYMENT_SUCCEEDED, Kind.PAYMENT_REVERSED)
    counts, done = await reconcile(FAILED_LATE[request.node.callspec.params["form"]])
    assert (counts, done.left) == ({"matched": 1}, 0)


@pytest.mark.parametrize("form", ["gocardless.payouts", "mollie.settlement"], indirect=True)
async def test_what_was_sent_to_the_bank_is_what_the_whole_export_adds_up_to(form, reconcile, told, pool):
    await told(Kind.PAYMENT_SUCCEEDED, Kind.REFUND_SUCCEEDED)
    sent = "SELECT sum(amount_minor) FROM statement_lines WHERE kind = 'payout' AND superseded_by IS NULL"
    await reconcile(form.written(None))  # it was cut, which such a file does not say
    assert await pool.fetchval(sent) == -98
    await reconcile(form.written("re_1"))
    assert await pool.fetchval(sent) == -58


FUND_BILLS = {
    "alipay.trade": alipay.fund_bill(
        [
            alipay.movement("在线支付", 90, at=BEIJING, order="A1", trade="pay-1"),
            alipay.movement("收费", -1, at=BEIJING, order="A1", trade="pay-1"),
            alipay.movement("提现", -80, at=BEIJING, order="", trade="W-1"),
        ]
    ),
    "wechatpay.trade": wechatpay.fund_bill(
        [
            wechatpay.movement("交易", 90, at=BEIJING, voucher="A1", business="pay-1"),
            wechatpay.movement("扣除交易手续费", -1, at=BEIJING, voucher="A1", business="pay-1"),
            wechatpay.movement("提现", -80, at=BEIJING, business="W-1"),
        ]
    ),
}


@pytest.mark.parametrize("form", sorted(FUND_BILLS), indirect=True)
async def test_a_fund_bill_is_kept_and_summed_up_and_says_nothing_of_what_a_payer_paid(form, request, reconcile, told):
    await told(Kind.PAYMENT_SUCCEEDED)
    name = request.node.callspec.params["form"]
    counts, done = await reconcile(FUND_BILLS[name])
    [taken] = done.taken
    assert (counts, done.left, taken.unnamed) == ({}, 0, [])
    assert taken.form == name.replace("trade", "fund")
    assert {each.kind.value: each.amount for each in taken.sums} == {"adjustment": 90, "fee": -1, "payout": -80}
