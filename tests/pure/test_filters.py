"""The kinds of cases that a filter may name are at least those that the code opens."""

import re
from pathlib import Path

from tillkeeper.cli.filters import CASE_KINDS
from tillkeeper.domain.concerns import REFUND_FAILED, Mismatch
from tillkeeper.store import fetches, settling
from tillkeeper.store.cases import UNMATCHED

ROOT = Path(__file__).parents[2]
LITERAL = re.compile(r"Concern\(\s*(?:kind=)?\"(\w+)\"|\bkind(?: =|=) ?\"([a-z_]+)\"")


def test_every_kind_of_case_that_the_code_opens_can_be_named():
    opened = {*Mismatch, REFUND_FAILED, UNMATCHED, fetches.KIND, settling.DOUBT, settling.UNAPPLIED}
    for folder in ("tillkeeper/domain", "tillkeeper/store", "workers"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            if "Concern" in text:
                opened |= {kind for found in LITERAL.findall(text) for kind in found if kind}
    assert opened <= CASE_KINDS
