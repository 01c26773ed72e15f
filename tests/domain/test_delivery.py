"""An envelope comes out of a message as it went in; anything else is refused with one error."""

import contextlib
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.strategies import NOON, events
from tillkeeper.domain.delivery import Delivery, Envelope, pack, unpack

RUN = UUID(int=7)


def an_envelope(*carried) -> Envelope:
    delivery = Delivery(
        run=RUN,
        number=1,
        account="a",
        received_at=NOON,
        key="k",
        headers=(("Content-Type", "application/json"),),
        body=b'{"name": "\xe9"}\x00',
        events=carried,
    )
    return Envelope(run=RUN, deliveries=(delivery,), void=(2, 3))


@given(st.lists(events(), max_size=3))
def test_an_envelope_comes_out_as_it_went_in(carried):
    envelope = an_envelope(*carried)
    assert unpack(pack(envelope)) == envelope


@given(st.binary(max_size=200))
def test_any_other_message_is_refused(message):
    with pytest.raises(msgspec.MsgspecError):
        unpack(message)


@given(events(), st.data())
def test_a_damaged_envelope_is_refused_or_still_an_envelope(event, data):
    message = bytearray(pack(an_envelope(event)))
    place = data.draw(st.integers(0, len(message) - 1))
    message[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(msgspec.MsgspecError):
        assert isinstance(unpack(bytes(message)), Envelope)


@pytest.mark.parametrize("message", [b"\x81\xa1x" + b"\x91" * 100_000, b"\xdf\xff\xff\xff\xff", b"\x81\xa1\xff\xc0"])
def test_deep_endless_and_unreadable_messages_are_refused(message):
    with pytest.raises(msgspec.MsgspecError):
        unpack(message)
