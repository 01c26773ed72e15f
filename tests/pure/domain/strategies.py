"""Orders and the events of them, as hypothesis makes them up."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from tillkeeper.domain.events import Kind, PaymentEvent, problem_with
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order.registration import Order

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
# Few values of each, so that events meet on objects, instants and amounts.
instants = st.integers(0, 5).map(lambda second: NOON + timedelta(seconds=second))
amounts = st.sampled_from([1, 30, 50, 70, 100, 200])
currencies = st.sampled_from(["CNY", "CNY", "CNY", "USD"])
accounts = st.sampled_from(["stripe-main", "stripe-main", "alipay-main", "stranger"])
AN_ORDER = Order(order_ref="A1", amount=100, currency="CNY", accounts=frozenset({"stripe-main", "alipay-main"}))


@st.composite
def events(draw) -> PaymentEvent:
    kind = draw(st.sampled_from(Kind))
    as_total = kind.is_refund and draw(st.booleans())
    amount = draw(amounts if kind is Kind.PAYMENT_SUCCEEDED else st.none() | amounts)
    of_captures = kind in {Kind.PAYMENT_SUCCEEDED, Kind.PAYMENT_REVERSED, Kind.PAYMENT_AUTHORIZED}
    payment_refs = ["p1", "p2"] if kind.is_payment or as_total else ["p1", "p2", None]
    event = PaymentEvent(
        event_id=f"evt-{draw(st.integers(0, 10**9))}",
        kind=kind,
        account=draw(accounts),
        occurred_at=draw(instants),
        order_ref="A1",
        payment_ref=draw(st.sampled_from(payment_refs)),
        capture_ref=draw(st.sampled_from([None, None, "c1", "c2"])) if of_captures else None,
        refund_ref=draw(st.sampled_from(["r1", "r2", "r3"])) if kind.is_refund and not as_total else None,
        dispute_ref=draw(st.sampled_from(["d1", "d2"])) if kind.value.startswith("dispute.") else None,
        amount=None if as_total else amount,
        total=draw(amounts) if as_total else None,
        currency=draw(currencies),
        failure=draw(st.none() | st.sampled_from(FailureClass)),
        discount=draw(st.none() | st.none() | amounts) if kind is Kind.PAYMENT_SUCCEEDED else None,
        has_refunds=kind is Kind.PAYMENT_SUCCEEDED and draw(st.booleans()),
        as_of=draw(st.none() | instants),
        on_top=draw(st.none() | amounts) if kind is Kind.PAYMENT_SUCCEEDED else None,
        released=draw(st.none() | amounts) if kind.is_payment or as_total else None,
        may_be_release=kind is Kind.REFUND_SUCCEEDED and not as_total and draw(st.booleans()),
        method=draw(st.none() | st.sampled_from(["card", "sepa_debit"])) if kind.is_payment else None,
    )
    assert problem_with(event) is None
    return event


histories = st.lists(events(), max_size=12)
