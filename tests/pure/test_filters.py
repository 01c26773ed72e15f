"""The kinds of cases that a filter may name are at least those that the code opens."""

import re
from pathlib import Path

from tillkeeper.domain.fetching import FETCH_FAILED
from tillkeeper.domain.order.case_reasons import REFUND_FAILED, UNMATCHED
from tillkeeper.domain.order.cases import CASE_KINDS, MONEY_UNCLEAR, SHOWN_BY_FACTS
from tillkeeper.domain.order.mismatch import Mismatch

ROOT = Path(__file__).parents[2]
LITERAL = re.compile(r"CaseReason\(\s*(?:kind=)?\"(\w+)\"|\bkind(?: =|=) ?\"([a-z_]+)\"")


def test_every_kind_of_case_that_the_code_opens_can_be_named():
    opened = {*Mismatch, REFUND_FAILED, UNMATCHED, FETCH_FAILED, *SHOWN_BY_FACTS, *MONEY_UNCLEAR}
    for folder in ("tillkeeper/domain", "tillkeeper/store", "workers"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            if "CaseReason" in text:
                opened |= {kind for found in LITERAL.findall(text) for kind in found if kind}
    assert opened <= CASE_KINDS
