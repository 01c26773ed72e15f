"""An order is shown in one way, and what payers are told of it reads back as what it was."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.domain.factories import an_order
from tillkeeper.domain.money import AMOUNT_MINOR_MAX
from tillkeeper.domain.order.status import Summary
from tillkeeper.domain.order.view import view_of
from tillkeeper.domain.statuses import STATUS_ZH, Status
from tillkeeper.notices.mail import read

sums = st.integers(0, AMOUNT_MINOR_MAX)


@given(st.builds(Summary, status=st.sampled_from(Status), captured=sums, refunding=sums, refunded=sums, discount=sums))
def test_a_view_reads_back_as_the_status_and_sums_that_it_shows(summary):
    view = view_of(an_order().order, summary, charged_back=7)
    facts = read(msgspec.json.encode(view.fields()))
    assert (facts.summary, view.summary, facts.charged_back) == (summary, summary, 7)
    assert facts.status_zh == STATUS_ZH[summary.status]
