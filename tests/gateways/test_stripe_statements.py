"""Stripe's itemized reports: what is written is read; what is cut or altered is refused."""

import io
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.statement_writers.stripe import COLUMNS, PAYOUTS, entry, report
from tillkeeper.domain.books.statement import StatementRefused
from tillkeeper.gateways.statement_reading import read_statement
from tillkeeper.gateways.stripe.gateway import Stripe
from tillkeeper.gateways.stripe.settings import StripeSettings

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
A_CHARGE = entry("charge", 12900, at=NOON, source="ch_1", fee=400)


def read(content, **fields):
    settings = StripeSettings.model_construct(gateway="stripe", **{"order_ref_path": None, **fields})
    reading = read_statement(Stripe.statement_forms, "stripe-main", settings, io.BytesIO(content))
    lines = list(reading.lines())
    return lines, reading.statement()


def refused(content):
    with pytest.raises(StatementRefused) as caught:
        read(content)
    return str(caught.value)


def test_a_charge_and_all_that_may_become_of_it():
    entries = [
        A_CHARGE,
        entry("partial_capture_reversal", -900, at=NOON, source="ch_1"),
        entry("refund", -400, at=NOON, source="re_1"),
        entry("refund_failure", 400, at=NOON, source="re_1"),
        entry("dispute", -12000, at=NOON, source="dp_1", fee=1500),
        entry("dispute_reversal", 12000, at=NOON, source="dp_1"),
        entry("fee", 0, at=NOON, source="", intent="", charge="", fee=30),
        entry("payout", -9000, at=NOON, source="po_1", intent="", charge=""),
        entry("risk_reserved_funds", -100, at=NOON, source="", intent="", charge=""),
        entry("topup", 500, at=NOON, source="tu_1", intent="", charge=""),
    ]
    lines, statement = read(report(entries))
    told = [(each.kind, each.amount, each.fee, each.net) for each in lines]
    assert told == [
        ("payment", 12900, 400, 12500),
        ("payment", -900, 0, -900),
        ("refund", -400, 0, -400),
        ("refund_failed", 400, 0, 400),
        ("chargeback", -12000, 1500, -13500),
        ("chargeback_reversed", 12000, 0, 12000),
        ("fee", 0, 30, -30),
        ("payout", -9000, 0, -9000),
        ("reserve", -100, 0, -100),
        ("adjustment", 500, 0, 500),
    ]
    charge, _, refund, _, dispute, _, _, payout, _, other = lines
    assert (charge.payment_ref, charge.capture_ref, charge.order_ref, charge.method) == (
        "pi_1",
        "ch_1",
        "ORDER-1",
        "card",
    )
    assert (refund.payment_ref, refund.refund_ref, refund.capture_ref) == ("pi_1", "re_1", None)
    assert (dispute.dispute_ref, payout.payout_ref, payout.payment_ref) == ("dp_1", "po_1", None)
    assert (other.text, charge.text, charge.currency, charge.settled_currency) == ("topup", None, "EUR", None)
    assert (statement.begins, statement.ends, statement.zone) == (NOON, NOON + timedelta(seconds=1), "UTC")
    assert (statement.form, statement.lines, statement.covers) == ("stripe.balance", 10, {"payment", "refund"})


def test_a_report_lists_without_a_gap_only_what_it_has_and_by_payouts_nothing():
    later = entry("charge", 100, at=NOON + timedelta(hours=3), source="ch_2")
    _, statement = read(report([later, A_CHARGE]))
    assert (statement.begins, statement.ends) == (NOON, NOON + timedelta(hours=3, seconds=1))
    assert statement.covers == {"payment"}
    [line], by_payout = read(report([A_CHARGE | {"automatic_payout_id": "po_7"}], PAYOUTS))
    assert (line.payout_ref, by_payout.covers) == ("po_7", frozenset())


def test_a_charge_in_another_currency_is_what_the_payer_paid_and_its_refund_is_not_known():
    facing = {"customer_facing_amount": "150.00", "customer_facing_currency": "usd"}
    entries = [A_CHARGE | facing, entry("refund", -400, at=NOON, source="re_1", **facing)]
    (charge, refund), statement = read(report(entries))
    assert (charge.amount, charge.currency, charge.settled_currency, charge.fee) == (15000, "USD", "EUR", 400)
    assert (refund.kind, refund.amount, refund.currency, refund.text) == ("adjustment", -400, "EUR", "refund")
    assert statement.covers == {"payment"}


def test_columns_may_stand_in_any_order_and_some_may_be_missing():
    few = tuple(reversed([name for name in COLUMNS if name not in ("charge_id", "payment_intent_id")]))
    [line], _ = read(report([A_CHARGE], few))
    assert (line.payment_ref, line.capture_ref) == ("ch_1", "ch_1")


def test_the_order_stands_where_the_settings_say():
    columns = (*COLUMNS, "payment_metadata[shop_no]")
    content = report([A_CHARGE | {"payment_metadata[shop_no]": "S-9"}], columns)
    assert read(content, order_ref_path="metadata.shop_no")[0][0].order_ref == "S-9"
    assert read(content, order_ref_path="metadata.gone")[0][0].order_ref is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (report([]), "the report lists nothing"),
        (report([A_CHARGE])[:-30], "line 2: it has"),
        (report([A_CHARGE], COLUMNS[:1] + COLUMNS[2:]), "line 1: the columns created_utc are missing; run the report"),
        (report([A_CHARGE | {"net": "1.00"}]), "line 2: gross less fee is not net: 129.00, 4.00, 1.00"),
        (report([A_CHARGE | {"gross": "=1+1"}]), "line 2: gross: an amount is decimal digits"),
        (report([A_CHARGE | {"currency": "jpy", "gross": "129.50"}]), "an amount in JPY has at most 0 decimals"),
        (
            report([A_CHARGE | {"currency": "xyz"}]),
            "line 2: currency is a currency of ISO 4217 such as CNY, and here 'xyz'",
        ),
        (report([A_CHARGE | {"created_utc": "yesterday"}]), "line 2: created_utc is a time such as"),
        (report([A_CHARGE | {"customer_facing_currency": "?"}]), "line 2: customer_facing_currency is a currency"),
        (b"a,b\n1,2\n", "it is no statement of stripe that can be read"),
    ],
)
def test_what_is_no_whole_report_is_refused(content, said):
    assert said in refused(content)


@given(st.binary(max_size=3), st.integers(0, 10**6))
def test_any_change_gives_lines_or_a_refusal_and_nothing_else(change, at):
    content = report([A_CHARGE, entry("refund", -400, at=NOON, source="re_1")])
    at %= len(content)
    with suppress(StatementRefused):
        read(content[:at] + change + content[at + len(change) :])


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**6)), min_size=1, max_size=6))
def test_what_is_written_is_read(charges):
    entries = [entry("charge", cents, at=NOON, source=f"ch_{at}", fee=fee) for at, (cents, fee) in enumerate(charges)]
    assert [(line.amount, line.fee) for line in read(report(entries))[0]] == charges
