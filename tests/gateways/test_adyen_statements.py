"""Adyen's settlement detail reports, as an independent writer makes them."""

import contextlib
import io
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.statement_writers.adyen import HEAD, journal, report
from tillkeeper.domain.books.statement import LineKind, StatementRefused
from tillkeeper.gateways.adyen.gateway import Adyen
from tillkeeper.gateways.adyen.settings import AdyenSettings
from tillkeeper.gateways.statement_reading import read_statement

AT = datetime(2026, 11, 22, 13)  # noqa: DTZ001 - the report says its zone in another column
SETTINGS = AdyenSettings.model_validate(
    {"gateway": "adyen", "hmac_keys": [sha256(b"the till").hexdigest()], "merchant_account": "TillECOM", "live": False}
)


def read(content):
    reading = read_statement(Adyen.statement_forms, "adyen-main", SETTINGS, io.BytesIO(content))
    lines = list(reading.lines())
    return lines, reading.statement()


def refusal(content):
    with pytest.raises(StatementRefused) as caught:
        read(content)
    return str(caught.value)


def test_a_payment_is_read_with_its_fees():
    (line,), statement = read(report([journal("Settled", 12_900, at=AT, fees=(10, 5, 20, 30))]))
    assert (line.kind, line.amount, line.fee, line.net, line.currency) == (LineKind.PAYMENT, 12_900, 65, 12_835, "EUR")
    assert (line.order_ref, line.payment_ref, line.capture_ref) == ("ORDER-1", "8536214160615591", "8516214160615592")
    assert (line.payout_ref, line.method, line.settled_currency) == ("batch 42", "visa", None)
    assert line.occurred_at == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert (statement.form, statement.begins, statement.lines) == ("adyen.settlement", line.occurred_at, 1)
    assert (statement.ends, statement.covers) == (line.occurred_at + timedelta(seconds=1), frozenset())


KINDS = [
    ("Refunded", -500, LineKind.REFUND, "refund_ref"),
    ("RefundedReversed", 500, LineKind.REFUND_FAILED, "refund_ref"),
    ("Chargeback", -500, LineKind.CHARGEBACK, "dispute_ref"),
    ("SecondChargeback", -500, LineKind.CHARGEBACK, "dispute_ref"),
    ("ChargebackReversed", 500, LineKind.CHARGEBACK_REVERSED, "dispute_ref"),
]


@pytest.mark.parametrize(("sort", "cents", "kind", "field"), KINDS)
def test_what_went_back_is_known_by_its_own_number(sort, cents, kind, field):
    ((line,), _) = read(report([journal(sort, cents, at=AT)]))
    assert (line.kind, line.amount, line.payment_ref) == (kind, cents, "8536214160615591")
    assert getattr(line, field) == "8516214160615592"


@pytest.mark.parametrize(
    ("sort", "kind"),
    [
        ("MerchantPayout", LineKind.PAYOUT),
        ("Fee", LineKind.FEE),
        ("InvoiceDeduction", LineKind.FEE),
        ("DepositCorrection", LineKind.RESERVE),
        ("Balancetransfer", LineKind.ADJUSTMENT),
    ],
)
def test_what_is_of_no_payment_has_its_net_amount_alone(sort, kind):
    told = journal(sort, -9_000, at=AT, gross="", payment="", order="", modification="")
    ((line,), _) = read(report([told]))
    assert (line.kind, line.amount, line.net, line.currency) == (kind, -9_000, -9_000, "EUR")
    assert (line.payment_ref, line.order_ref, line.refund_ref) == (None, None, None)
    assert line.text == (sort if kind is LineKind.ADJUSTMENT else None)


def test_a_payment_in_another_currency_has_both():
    ((line,), _) = read(report([journal("Settled", 10_000, at=AT, gross="USD", net_cents=9_150, fees=(5, 0, 0, 0))]))
    assert (line.amount, line.currency, line.net, line.settled_currency) == (10_000, "USD", 9_150, "EUR")


def test_a_report_without_a_batch_names_no_payout():
    ((line,), _) = read(report([journal("Settled", 100, at=AT, batch="")]))
    assert line.payout_ref is None


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (journal("Settled", 100, at=AT, merchant="Other"), "line 2: it is of the merchant account Other"),
        (journal("Settled", 100, at=AT, net_cents=90), "gross less fees is not net: 100, 0 and 90"),
        (journal("Settled", 100, at=AT, zone="XST"), "here 'XST'; have the report made in UTC"),
        (journal("Settled", 100, at=AT) | {"Creation Date": "22/11/2026"}, "Creation Date is a time"),
        (journal("Settled", 100, at=AT) | {"Gross Credit (GC)": "1.005"}, "Gross Credit (GC)"),
        (journal("Settled", 100, at=AT) | {"Gross Credit (GC)": "=1+1"}, "Gross Credit (GC)"),
        (journal("Settled", 100, at=AT, net="XYZ"), "Net Currency is a currency"),
    ],
)
def test_what_a_line_cannot_be_is_refused(told, says):
    assert says in refusal(report([told]))


def test_a_report_that_is_cut_or_lacks_a_column_is_refused():
    whole = report([journal("Settled", 100, at=AT)])
    assert "line 2: it has" in refusal(whole[:-30])
    assert "the report lists nothing" in refusal(report([]))
    assert "the columns TimeZone are missing" in refusal(report([], [name for name in HEAD if name != "TimeZone"]))
    assert "it is no statement of adyen" in refusal(b"a,b\n1,2\n")


JOURNALS = st.lists(
    st.builds(
        journal,
        st.sampled_from([sort for sort, *_ in KINDS] + ["Settled", "MerchantPayout", "Other"]),
        st.integers(-(10**8), 10**8),
        at=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.replace(microsecond=0)),  # noqa: DTZ001
        fees=st.tuples(*[st.integers(0, 999)] * 4),
        zone=st.sampled_from(["UTC", "CET", "PDT", "SGT"]),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=30)
@given(JOURNALS)
def test_what_is_written_is_read(journals):
    lines, statement = read(report(journals))
    assert [line.number for line in lines] == list(range(2, len(journals) + 2))
    assert [line.amount - line.fee for line in lines] == [line.net for line in lines]
    assert statement.lines == len(journals)


WHOLE = report([journal("Settled", 12_900, at=AT, fees=(1, 2, 3, 4)), journal("Refunded", -500, at=AT)])


@settings(max_examples=60)
@given(st.data())
def test_whatever_is_altered_gives_lines_or_a_refusal(data):
    content = bytearray(WHOLE)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(StatementRefused):
        read(bytes(content[: data.draw(st.integers(0, len(content)))]))
