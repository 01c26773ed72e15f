"""Acknowledging several messages in few words.  Pure."""

from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.lanes.rabbitmq_receiver import covering


def covered(words, unacknowledged):
    """What the broker takes as acknowledged."""
    return {tag for word, multiple in words for tag in unacknowledged if tag == word or (multiple and tag <= word)}


@given(unacknowledged=st.sets(st.integers(1, 60)), data=st.data())
def test_exactly_what_is_done_is_acknowledged(unacknowledged, data):
    done = data.draw(st.sets(st.sampled_from(sorted(unacknowledged)))) if unacknowledged else set()
    assert covered(covering(unacknowledged, done), unacknowledged) == done


@given(st.sets(st.integers(1, 60), min_size=1))
def test_a_whole_batch_is_one_word(unacknowledged):
    assert len(covering(unacknowledged, set(unacknowledged))) == 1
