"""A few hundred of the random histories; `make histories` runs a hundred thousand."""

import pytest

from tests.pure.domain.histories import check, history_of


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 400, 100))
def test_random_histories_end_as_they_must(first):
    for seed in range(first, first + 100):
        check(history_of(seed))
