"""Policy files for tests."""

from pathlib import Path

import pytest

from tillkeeper.policy import BadPolicy

ROOT = Path(__file__).parents[2]
ACCOUNTS = ("alipay-main", "stripe-main")


# --- what is wrong is told --------------------------------------------------------------------------------------------


def problems(load, text: str, accounts=ACCOUNTS) -> tuple[str, ...]:
    with pytest.raises(BadPolicy) as caught:
        load(text, accounts)
    assert all(problem.isprintable() for problem in caught.value.problems)
    return caught.value.problems


# --- while a process runs ---------------------------------------------------------------------------------------------

ONE, OTHER, BAD = '[unmatched]\ncase = "1h"', '[unmatched]\ncase = "2h"', '[unmatched]\ncase = "2x"'
