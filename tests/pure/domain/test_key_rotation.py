"""Which keys are in use, and which old one may be removed."""

from datetime import timedelta

import pytest

from tests.database.factories import NOON
from tillkeeper.domain.key_rotation import KeyVerdict, verdict_on

LATELY, LONG_AGO = NOON - timedelta(days=6), NOON - timedelta(days=7)


@pytest.mark.parametrize(
    ("last_at", "is_only", "another_works", "verdict"),
    [
        (None, True, False, KeyVerdict.NEVER_USED),
        (None, False, False, KeyVerdict.NEVER_USED),
        (None, False, True, KeyVerdict.NOT_USED_YET),
        (LATELY, False, True, KeyVerdict.IN_USE),
        (LONG_AGO, False, True, KeyVerdict.SAFE_TO_REMOVE),
        (LONG_AGO, True, False, KeyVerdict.ALONE_AND_RESTING),
        (LONG_AGO, False, False, KeyVerdict.ALONE_AND_RESTING),
    ],
)
def test_an_old_key_is_safe_to_remove_only_while_another_works(last_at, is_only, another_works, verdict):
    assert verdict_on(last_at, is_only=is_only, another_works=another_works, now=NOON) is verdict
