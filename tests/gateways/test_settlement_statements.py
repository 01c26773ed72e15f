"""Statements of Checkout.com, GoCardless and Mollie: what is written is read; what is cut or altered is refused."""

import io
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.statement_writers import checkout, gocardless, mollie
from tillkeeper.domain.books.statement import StatementRefused
from tillkeeper.gateways.checkout.gateway import Checkout
from tillkeeper.gateways.checkout.settings import CheckoutSettings
from tillkeeper.gateways.gocardless.gateway import GoCardless
from tillkeeper.gateways.gocardless.settings import GoCardlessSettings
from tillkeeper.gateways.mollie.gateway import Mollie
from tillkeeper.gateways.mollie.settings import MollieSettings
from tillkeeper.gateways.statement_reading import read_statement

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CAPTURE = checkout.part("Capture", "Capture", "129.00", at=NOON)
PAID = gocardless.item("payment", 12900, fee=40)
PAYMENT = mollie.movement("tr_1", 12900, at=NOON)
WRITTEN = {
    "checkout": checkout.report([CAPTURE, checkout.part("Capture", "Scheme Fixed Fee", "-0.00400000", at=NOON)]),
    "gocardless": gocardless.breakdown([PAID, gocardless.item("refund", -400, refund="RF1", status="paid")]),
    "mollie": mollie.report([PAYMENT, mollie.fees(288, at=NOON)]),
}
GATEWAYS = {
    "checkout": (Checkout, CheckoutSettings.model_construct(gateway="checkout")),
    "gocardless": (
        GoCardless,
        GoCardlessSettings.model_construct(gateway="gocardless", order_ref_path="metadata.order_id"),
    ),
    "mollie": (Mollie, MollieSettings.model_construct(gateway="mollie")),
}


def read(name, content):
    gateway, settings = GATEWAYS[name]
    reading = read_statement(gateway.statement_forms, f"{name}-main", settings, io.BytesIO(content))
    lines = list(reading.lines())
    return lines, reading.statement()


def refused(name, content):
    with pytest.raises(StatementRefused) as caught:
        read(name, content)
    return str(caught.value)


# --- Checkout.com -----------------------------------------------------------------------------------------------------


def test_checkout_actions_are_read_by_their_parts():
    parts = [
        CAPTURE,
        checkout.part("Capture", "Premium Variable Fee", "-0.25500000", at=NOON),
        checkout.part("Capture", "Scheme Fixed Fee", "-0.00400000", at=NOON),
        checkout.part("Capture", "Scheme Fixed Fee", "-0.00400000", at=NOON),
        checkout.part("Partial Refund", "Partial Refund", "-4.00", at=NOON, ref="act_2"),
        checkout.part("Refund", "Refund", "4.00", at=NOON, ref="act_2"),
        checkout.part("Chargeback", "Chargeback (ADJM)", "-125.00", at=NOON, ref="dsp_1"),
        checkout.part("Chargeback", "Chargeback (RPDW)", "125.00", at=NOON, ref="act_4"),
        checkout.part("Chargeback", "Chargeback Fixed Fee", "-15.00", at=NOON, ref="dsp_1"),
        checkout.part("Rolling Reserve", "Rolling Reserve Deducted", "-9.00", at=NOON, payment=""),
        checkout.part("Payout", "Payout", "-90.00", at=NOON, payment="", ref="pay_out"),
        checkout.part("Clearing Failed", "Clearing Failed", "-1.00", at=NOON),
    ]
    lines, statement = read("checkout", checkout.report(parts))
    assert [(each.number, each.kind, each.amount, each.net, each.text) for each in lines] == [
        (2, "payment", 12900, 12900, None),
        (3, "fee", -26, -26, "Premium Variable Fee"),
        (4, "fee", 0, 0, "Scheme Fixed Fee"),
        (5, "fee", 0, 0, "Scheme Fixed Fee"),
        (6, "refund", -400, -400, None),
        (7, "refund_failed", 400, 400, None),
        (8, "chargeback", -12500, -12500, None),
        (9, "chargeback_reversed", 12500, 12500, None),
        (10, "fee", -1500, -1500, "Chargeback Fixed Fee"),
        (11, "reserve", -900, -900, None),
        (12, "payout", -9000, -9000, None),
        (13, "adjustment", -100, -100, "Clearing Failed"),
    ]
    capture, refund, lost, won, payout = (lines[place] for place in (0, 4, 6, 7, 10))
    assert (capture.payment_ref, capture.capture_ref, capture.order_ref, capture.method) == (
        *("pay_1", "act_1"),
        *("ORDER-1", "VISA"),
    )
    assert (refund.refund_ref, refund.capture_ref, refund.method) == ("act_2", None, None)
    assert (lost.dispute_ref, won.dispute_ref, payout.payout_ref) == ("dsp_1", None, "00000000CFJU")
    at = NOON + timedelta(milliseconds=844)
    assert (capture.occurred_at, statement.begins, statement.ends) == (at, at, at + timedelta(seconds=1))
    assert (statement.form, statement.covers, statement.lines) == ("checkout.financial_actions", frozenset(), 12)


def test_parts_of_cents_of_checkouts_fees_add_up_to_what_they_are():
    parts = [checkout.part("Capture", "Scheme Fixed Fee", "-0.00400000", at=NOON) for _ in range(1000)]
    lines, _ = read("checkout", checkout.report(parts))
    assert sum(line.amount for line in lines) == -400


def test_a_payment_that_checkout_holds_in_another_currency_is_what_the_payer_paid():
    part = CAPTURE | {"Processing Currency": "JPY", "Processing Currency Amount": "20000.00000000"}
    [line], _ = read("checkout", checkout.report([part | {"Holding Currency Amount": "129.12645000"}]))
    assert (line.amount, line.currency, line.net, line.settled_currency) == (20000, "JPY", 12913, "EUR")


@pytest.mark.parametrize(
    ("times", "at"),
    [
        ({"Processed On": "2026-11-22T12:00:00"}, NOON),
        ({"Processed On": "2026-11-22T04:00:00", "Timezone": "America/Los_Angeles"}, NOON),
        ({"Processed On": "2026-11-22T04:00:00", "Timezone": "PT", "Processed On UTC": "2026-11-22T12:00:00"}, NOON),
        ({"Processed On": "2026-11-22T13:00:00+01:00"}, NOON),
    ],
)
def test_checkouts_times_are_utc_or_of_the_zone_that_stands_there(times, at):
    [line], _ = read("checkout", checkout.report([CAPTURE | times], checkout.UTC_TOO))
    assert line.occurred_at == at


# --- GoCardless -------------------------------------------------------------------------------------------------------


def test_gocardless_payments_refunds_and_what_became_of_them():
    items = [
        PAID,
        gocardless.item("payment", -12900, fee=-40, status="failed"),
        gocardless.item("payment", -12900, fee=0, status="charged_back"),
        gocardless.item("refund", -400, refund="RF1", status="paid"),
        gocardless.item("refund", 400, refund="RF1", status="funds_returned"),
        gocardless.item("refund", 500, refund="RF2", status="paid"),
        gocardless.item("credit", 7, payment="", order=""),
        gocardless.item("payment", -1, payment="", status="charged_back"),
    ]
    lines, statement = read("gocardless", gocardless.breakdown(items))
    assert [(each.kind, each.amount, each.fee, each.net, each.text) for each in lines] == [
        ("payment", 12900, 40, 12860, None),
        ("payment", -12900, -40, -12860, None),
        ("chargeback", -12900, 0, -12900, None),
        ("refund", -400, 0, -400, None),
        ("refund_failed", 400, 0, 400, None),
        ("refund", -500, 0, -500, None),
        ("adjustment", 7, 0, 7, "credit paid_out"),
        ("chargeback", -1, 0, -1, None),
        ("payout", 13394, None, 13394, None),
    ]
    paid, _, disputed, refund, *_, unnamed, payout = lines
    assert (payout.number, payout.payout_ref, payout.settled_on) == (9, "PO1", date(2026, 11, 25))
    assert (paid.payment_ref, paid.order_ref, paid.payout_ref, paid.settled_on, paid.occurred_at) == (
        *("PM1", "ORDER-1", "PO1"),
        *(date(2026, 11, 22), None),
    )
    assert (disputed.dispute_ref, refund.refund_ref, unnamed.dispute_ref) == ("PM1:chargeback", "RF1", None)
    assert (statement.begins, statement.ends) == (NOON - timedelta(hours=12), NOON + timedelta(hours=12))
    assert (statement.form, statement.covers, statement.lines) == ("gocardless.payouts", frozenset(), 9)


@pytest.mark.parametrize(
    "fees",
    [
        {"gocardless_fees": "-0.40"},
        {"gocardless_fees": "0.30", "app_fees": "0.10"},
        {"gocardless_fees": "0.35", "gocardless_fees_tax": "0.05"},
        {"gocardless_fees": "0.40", "gocardless_fees_tax": "0.05"},
    ],
)
def test_what_gocardless_kept_is_what_net_is_less_however_its_fees_are_written(fees):
    columns = (*gocardless.COLUMNS, "gocardless_fees_tax")
    [line, _], _ = read("gocardless", gocardless.breakdown([PAID | fees], columns))
    assert (line.fee, line.net) == (40, 12860)


# --- Mollie -----------------------------------------------------------------------------------------------------------


def test_mollies_payments_captures_refunds_chargebacks_and_fees():
    movements = [
        PAYMENT,
        mollie.movement("cpt_1", 500, at=NOON, method="klarna", description="Original payment: tr_7 - Order 7"),
        mollie.movement("cpt_2", 600, at=NOON, description="Order 8"),
        mollie.movement("re_1", -400, at=NOON, method="refund", status="refunded"),
        mollie.movement("re_1", 400, at=NOON, method="refund", status="failed"),
        mollie.movement("chb_1", -900, at=NOON, method="chargeback"),
        mollie.movement("chb_1", 900, at=NOON, method="chargeback"),
        mollie.fees(288, at=NOON),
        mollie.movement("", -100, at=NOON, method="", description="Rolling reserve"),
        mollie.movement("crt_1", -5, at=NOON, method="route"),
    ]
    lines, statement = read("mollie", mollie.report(movements))
    assert [(each.kind, each.amount, each.payment_ref, each.text) for each in lines] == [
        ("payment", 12900, "tr_1", None),
        ("payment", 500, "tr_7", None),
        ("payment", 600, None, None),
        ("refund", -400, None, None),
        ("refund_failed", 400, None, None),
        ("chargeback", -900, None, None),
        ("chargeback_reversed", 900, None, None),
        ("fee", -288, None, None),
        ("adjustment", -100, None, "Rolling reserve"),
        ("adjustment", -5, None, "route"),
        ("payout", -13607, None, None),
    ]
    assert (lines[-1].number, lines[-1].payout_ref, lines[-1].settled_on) == (11, "1234567.2611.01", NOON.date())
    assert (lines[3].refund_ref, lines[5].dispute_ref, lines[0].payout_ref) == ("re_1", "chb_1", "1234567.2611.01")
    assert (lines[0].occurred_at, lines[0].method, lines[3].method) == (NOON - timedelta(hours=1), "ideal", None)
    assert (statement.zone, statement.covers, statement.lines) == ("Europe/Amsterdam", frozenset(), 11)


def test_a_payment_that_mollie_settles_in_another_currency_is_what_the_payer_paid():
    [line, payout], _ = read("mollie", mollie.report([PAYMENT | {"Currency": "USD", "Settlement amount": "118.20"}]))
    assert (payout.amount, payout.currency) == (-11820, "EUR")
    assert (line.amount, line.currency, line.net, line.settled_currency) == (12900, "USD", 11820, "EUR")


def test_what_one_export_says_of_several_payouts_is_a_line_for_each_that_moved_something():
    day = {"payouts.arrival_date": ""}
    items = [
        PAID,
        gocardless.item("payment", 100, payment="PM2", **{"payouts.id": "PO2"}, **day),
        gocardless.item("payment", 50, payment="PM3", **{"payouts.id": "PO2"}, **day),
        gocardless.item("payment", 70, payment="PM4", **{"payouts.id": "PO3"}),
        gocardless.item("refund", -70, refund="RF4", status="paid", **{"payouts.id": "PO3"}),
        gocardless.item("payment", 30, payment="PM5", **{"payouts.id": ""}),
    ]
    lines, statement = read("gocardless", gocardless.breakdown(items))
    payouts = [(each.payout_ref, each.amount, each.settled_on) for each in lines if each.kind == "payout"]
    assert payouts == [("PO1", -12860, date(2026, 11, 25)), ("PO2", -150, date(2026, 11, 22))]
    assert statement.lines == len(lines)


# --- what is refused --------------------------------------------------------------------------------------------------


def without(columns, name):
    return tuple(each for each in columns if each != name)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("checkout", checkout.report([]), "it lists nothing"),
        ("checkout", WRITTEN["checkout"][:-40], "line 3: it has 17 cells, and the head 19; the file is cut"),
        (
            "checkout",
            checkout.report([CAPTURE], without(checkout.COLUMNS, "Holding Currency")),
            "line 1: the columns Holding Currency are missing; export it with them",
        ),
        (
            "checkout",
            checkout.report([CAPTURE], (*checkout.COLUMNS, "Payout ID")),
            "line 1: the column Payout ID stands twice",
        ),
        (
            "checkout",
            checkout.report([CAPTURE | {"New Fee": "0.10"}], (*checkout.COLUMNS, "New Fee")),
            "line 2: the column New Fee is not known, and holds 0.10: money may be missing",
        ),
        ("checkout", checkout.report([CAPTURE | {"Processing Currency Amount": "1.005"}]), "at most 2 decimals"),
        ("checkout", checkout.report([CAPTURE | {"Holding Currency Amount": "=1+1"}]), "is an amount such as -12.30"),
        ("checkout", checkout.report([CAPTURE | {"Processing Currency": "XXX"}]), "is a currency of ISO 4217"),
        ("checkout", checkout.report([CAPTURE | {"Processed On": "2026-02-30T00:00:00"}]), "is a time such as"),
        ("checkout", checkout.report([CAPTURE | {"Processed On": "0001-01-01T00:00:00+14:00"}]), "is a time such as"),
        ("checkout", checkout.report([CAPTURE | {"Processed On": "2" * 99}]), "is a time such as"),
        (
            "checkout",
            checkout.report([CAPTURE | {"Timezone": "Pacific"}], checkout.UTC_TOO),
            "line 2: Timezone is a zone such as Europe/London, and here 'Pacific'; ask for the column Processed On UTC",
        ),
        (
            "checkout",
            checkout.report([CAPTURE | {"Timezone": "UTC", "Processed On": "?"}], checkout.UTC_TOO),
            "line 2: Processed On is a time such as",
        ),
        ("gocardless", gocardless.breakdown([]), "it lists nothing"),
        ("gocardless", gocardless.breakdown([PAID | {"net_amount": "1.00"}]), "line 2: gross less fees is not net"),
        ("gocardless", gocardless.breakdown([PAID | {"gross_amount": "1e3"}]), "line 2: gross_amount: an amount is"),
        (
            "gocardless",
            gocardless.breakdown([PAID | {"resources.charge_date": "30/11/2026"}]),
            "line 2: resources.charge_date begins with a day such as 2026-11-22, and here '30/11/2026'",
        ),
        ("gocardless", gocardless.breakdown([PAID | {"resources.charge_date": "1026-11-22"}]), "begins with a day"),
        (
            "gocardless",
            gocardless.breakdown([PAID | {"other_fees": "2"}], (*gocardless.COLUMNS, "other_fees")),
            "line 2: the column other_fees is not known, and holds 2",
        ),
        ("mollie", mollie.report([]), "it lists nothing"),
        ("mollie", mollie.report([PAYMENT | {"Amount": "129,00"}]), "line 2: Amount: an amount is decimal digits"),
        ("mollie", mollie.report([PAYMENT | {"Settlement currency": ""}]), "line 2: Settlement currency is a currency"),
        ("mollie", "Ä".encode("utf-16"), "it is no statement of mollie that can be read"),
        ("mollie", WRITTEN["checkout"], "it is no statement of mollie that can be read"),
    ],
)
def test_what_is_no_whole_statement_is_refused(name, content, said):
    assert said in refused(name, content)


def test_columns_that_nobody_needs_may_have_one_name():
    assert len(read("mollie", mollie.report([PAYMENT], (*mollie.COLUMNS, "Consumer BIC")))[0]) == 2


def test_a_column_of_which_nothing_is_known_may_be_empty_zero_or_words():
    columns = (*checkout.COLUMNS, "Fee Note", "Other Fee")
    content = checkout.report([CAPTURE | {"Fee Note": "blended", "Other Fee": "0.00"}], columns)
    assert len(read("checkout", content)[0]) == 1


@given(st.sampled_from(sorted(WRITTEN)), st.binary(max_size=3), st.integers(0, 10**6))
def test_any_change_gives_lines_or_a_refusal_and_nothing_else(name, change, at):
    content = WRITTEN[name]
    at %= len(content)
    with suppress(StatementRefused):
        read(name, content[:at] + change + content[at + len(change) :])


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 10**6)), min_size=1, max_size=6))
def test_what_is_written_is_read(payments):
    items = [gocardless.item("payment", pence, fee=fee, payment=f"PM{at}") for at, (pence, fee) in enumerate(payments)]
    lines, _ = read("gocardless", gocardless.breakdown(items))
    assert [(line.amount, line.fee) for line in lines if line.kind == "payment"] == payments
    assert sum(line.net for line in lines) == 0  # what came in was sent to the bank
    rows = [mollie.movement(f"tr_{at}", cents, at=NOON) for at, (cents, _) in enumerate(payments)]
    *lines, payout = read("mollie", mollie.report(rows))[0]
    assert [line.amount for line in lines] == [cents for cents, _ in payments]
    assert payout.amount == -sum(cents for cents, _ in payments)
    parts = [checkout.part("Capture", "Capture", f"{cents // 100}.{cents % 100:02d}", at=NOON) for cents, _ in payments]
    assert [line.amount for line in read("checkout", checkout.report(parts))[0]] == [cents for cents, _ in payments]
