"""A payer is never asked for what an authorization still holds: at every gateway that captures in parts."""

from datetime import timedelta

import msgspec
import pytest

from tests.database.factories import NOON, an_event
from tests.database.sweeps import HOUR, MINUTE, Gateways, a_sweep, registered, told, topics, until
from tests.database.test_order_acts import close
from tests.virtual_time import Clock
from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.order.acts import ActRefused
from tillkeeper.domain.order.registration import Instalment
from tillkeeper.gateways.adyen.gateway import Adyen
from tillkeeper.gateways.adyen.settings import AdyenSettings
from tillkeeper.gateways.checkout.gateway import Checkout
from tillkeeper.gateways.checkout.settings import CheckoutSettings
from tillkeeper.gateways.klarna.gateway import Klarna
from tillkeeper.gateways.klarna.settings import KlarnaSettings
from tillkeeper.gateways.messages import Answer, Query, Request, Response, Verified
from tillkeeper.policy import load_policy
from tillkeeper.sandbox.simulators.adyen.signing import adyen_delivery, adyen_item, adyen_signed
from tillkeeper.store.outbox.sending import Audience, claim
from tillkeeper.store.reports.order import show

SHIPPED = load_policy()
ACCOUNT = "stripe-main"
KEY = "DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00"
KLARNA_ORDER = "0b1d9815-165e-42e2-8867-35bc03789e00"


def by_adyen(code, psp_ref, value, second, original=None):
    settings = {"gateway": "adyen", "hmac_keys": [KEY], "merchant_account": "TillECOM", "auto_capture": False}
    gateway = Adyen(ACCOUNT, AdyenSettings.model_validate(settings))
    item = adyen_item(code, psp_ref, value, "CNY", "A1", at=NOON + timedelta(seconds=second), success="true")
    if original:
        item["originalReference"] = original
    body = adyen_delivery([adyen_signed(KEY, item)])[1]
    return gateway.parse(gateway.verify(Request({}, body if isinstance(body, bytes) else body.encode()), NOON))


def by_klarna(captured, second):
    gateway = Klarna(
        ACCOUNT,
        KlarnaSettings(
            gateway="klarna",
            username="9b9cf5c2-8a4e-4f0b-9a1e-3d2c1b0a9f8e",
            password="klarna_test_api_Zk93hQ7xw2LmT5vB",
        ),
    )
    captures = [{"capture_id": "c1", "captured_amount": captured, "captured_at": "2026-11-22T13:00:00Z"}]
    order = {
        "order_id": KLARNA_ORDER,
        "status": "PART_CAPTURED" if captured else "AUTHORIZED",
        "fraud_status": "ACCEPTED",
        "order_amount": 10000,
        "captured_amount": captured,
        "remaining_authorized_amount": 10000 - captured,
        "refunded_amount": 0,
        "purchase_currency": "CNY",
        "merchant_reference1": "A1",
        "created_at": "2026-11-22T12:00:00Z",
        "captures": captures if captured else [],
        "refunds": [],
    }
    query = Query(about="payment", payment_ref=KLARNA_ORDER)
    heard = Response(status=200, headers={}, body=msgspec.json.encode(order))
    return gateway.read_response(query, heard, now=NOON + timedelta(seconds=second)).events


def by_checkout(name, second, **data):
    settings = {
        "gateway": "checkout",
        "signature_keys": ["c2b1f6de90a74c35b8e1d7f2a6934d10"],
        "secret_key": "sk_sbox_q7w2m5zt3kd4n6v8x1rb0hpy",
    }
    gateway = Checkout(ACCOUNT, CheckoutSettings.model_validate(settings))
    about = {"id": "pay_1", "action_id": f"act_{second}", "amount": 10000, "currency": "CNY", "reference": "A1"}
    event = {
        "id": f"evt_{second}",
        "type": name,
        "created_on": (NOON + timedelta(seconds=second)).isoformat(),
        "data": {**about, **data},
    }
    return gateway.parse(Verified("k", msgspec.json.encode(event)))


WAYS = {
    "adyen": (
        by_adyen("AUTHORISATION", "PSP000000000001", 10000, 0),
        by_adyen("CAPTURE", "PSP000000000002", 6000, 3600, original="PSP000000000001"),
    ),
    "klarna": (by_klarna(0, 0), by_klarna(6000, 3600)),
    "checkout": (
        by_checkout("payment_approved", 0, balances={"available_to_capture": 10000}),
        by_checkout("payment_captured", 3600, amount=6000, balances={"available_to_capture": 4000}),
    ),
}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def gateways(clock):
    found = Gateways(clock)
    found.says = lambda *_: Answer(found=True)
    return found


@pytest.fixture
def sweep(pool, gateways, clock):
    return a_sweep(pool, gateways, clock, SHIPPED)


@pytest.mark.parametrize("way", WAYS)
async def test_who_paid_a_part_is_not_asked_for_the_rest_that_is_held(pool, sweep, clock, way):
    await registered(pool, policy=SHIPPED, amount=10000, pay_url="https://shop.example/A1", expires_at=NOON + 24 * HOUR)
    for hour, events in enumerate(WAYS[way]):
        proven = [msgspec.structs.replace(event, evidence=Evidence.WEBHOOK) for event in events]
        await told(pool, *proven, now=NOON + hour * HOUR, policy=SHIPPED)
    order = await show(pool, "A1")
    assert (order["status"], order["paid"]) == ("partially_paid", 6000)
    await until(sweep, clock, 48 * HOUR, step=HOUR)
    assert await topics(pool, "payer") == []
    with pytest.raises(ActRefused, match="still holds"):
        await close(pool)


async def test_the_rest_is_asked_for_once_the_gateway_let_it_go(pool, sweep, clock):
    plan = (Instalment(amount=60, due_at=NOON), Instalment(amount=40, due_at=NOON + 48 * HOUR))
    await registered(pool, policy=SHIPPED, instalments=plan)
    part = an_event(second=10, amount=60, capture_ref="c1")
    await told(pool, an_event(Kind.PAYMENT_AUTHORIZED, amount=100), part, policy=SHIPPED)
    await until(sweep, clock, 49 * HOUR, step=HOUR)
    assert await topics(pool, "payer") == []
    await told(pool, an_event(Kind.PAYMENT_CANCELLED, 20), now=clock.at, policy=SHIPPED)
    await until(sweep, clock, 73 * HOUR, step=HOUR)
    assert await topics(pool, "payer") == ["payer.instalment_due"]


async def test_only_what_is_not_held_is_asked_for(pool, sweep, clock):
    plan = (Instalment(amount=60, due_at=NOON), Instalment(amount=40, due_at=NOON + 48 * HOUR))
    await registered(pool, policy=SHIPPED, instalments=plan)
    part = an_event(second=10, amount=60, capture_ref="c1")
    await told(pool, an_event(Kind.PAYMENT_AUTHORIZED, amount=70), part, policy=SHIPPED)
    await until(sweep, clock, 49 * HOUR, step=HOUR)
    payloads = [msgspec.json.decode(row["payload"]) for row in await pool.fetch("SELECT payload FROM outbox")]
    assert [payload["due_amount"] for payload in payloads if "due_amount" in payload] == [30, 30]
    assert {payload["remaining"] for payload in payloads if "remaining" in payload} == {30}


async def test_a_mail_that_was_written_before_the_rest_was_held_is_not_sent_with_a_button(pool):
    await registered(pool, policy=SHIPPED)
    part = an_event(second=10, amount=60, capture_ref="c1")
    await told(pool, part, policy=SHIPPED)
    assert await topics(pool, "payer") == ["payer.partially_paid"]
    for held, is_held in ((30, False), (100, True)):
        await told(pool, an_event(Kind.PAYMENT_AUTHORIZED, held, amount=held), policy=SHIPPED)
        now = NOON + held * MINUTE
        async with pool.acquire() as conn:
            due = {"audiences": [Audience.PAYER], "limit": 9, "leased_until": now + MINUTE, "now": now}
            [mail] = await claim(conn, **due)
        assert mail.order.under_way is is_held


async def test_what_a_gateway_says_is_superseded_hides_the_next_instalment_no_longer(pool, sweep, clock, gateways):
    """As PayPal's order and authorization stand beside the capture that was made of them."""
    plan = (Instalment(amount=50, due_at=NOON), Instalment(amount=50, due_at=NOON + 48 * HOUR))
    await registered(pool, policy=SHIPPED, instalments=plan)
    await told(pool, an_event(Kind.PAYMENT_PENDING, payment_ref="order-1"), an_event(amount=50), policy=SHIPPED)
    over = an_event(Kind.PAYMENT_CANCELLED, 60, payment_ref="order-1", event_id="query:over", evidence=Evidence.QUERY)
    gateways.says = lambda _, query: Answer(
        found=True, events=(over,) if query.payment_ref == "order-1" and clock.at > NOON + 47 * HOUR else ()
    )
    await until(sweep, clock, 49 * HOUR, step=HOUR)
    assert (await topics(pool, "payer"))[-1] == "payer.instalment_due"
