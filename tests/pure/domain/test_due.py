"""When the sweep must look at an order, and which changes bring that forward."""

import msgspec
import pytest

from tests.pure.domain.factories import MINUTE, NOON, an_order
from tillkeeper.domain.order.changes import Changes


@pytest.mark.parametrize(
    ("due_at", "is_due"), [(None, False), (NOON - MINUTE, True), (NOON, True), (NOON + MINUTE, False)]
)
def test_an_order_is_due_from_its_moment_on(due_at, is_due):
    assert an_order(due_at=due_at).is_due(NOON) == is_due


@pytest.mark.parametrize(
    ("before", "after", "is_sooner"),
    [
        (None, None, False),
        (None, NOON, True),
        (NOON, None, False),
        (NOON, NOON, False),
        (NOON, NOON - MINUTE, True),
        (NOON, NOON + MINUTE, False),
    ],
)
def test_only_an_earlier_moment_is_sooner(before, after, is_sooner):
    order = an_order(due_at=before)
    changes = Changes.of(order)
    changes.after = msgspec.structs.replace(order, due_at=after)
    assert changes.is_due_sooner == is_sooner


@pytest.mark.parametrize(
    ("before", "after", "is_otherwise"),
    [
        (None, None, False),
        (None, NOON, True),
        (NOON, NOON, False),
        (NOON, NOON + MINUTE, True),
        (NOON, None, True),
    ],
)
def test_a_stored_moment_changes_or_goes(before, after, is_otherwise):
    order = an_order(due_at=before)
    changes = Changes.of(order)
    changes.after = msgspec.structs.replace(order, due_at=after)
    assert changes.is_due_otherwise == is_otherwise
