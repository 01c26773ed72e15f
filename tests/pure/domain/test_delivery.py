"""An envelope comes out of a message as it went in; anything else is refused with one error."""

import contextlib
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.domain.strategies import NOON, events
from tillkeeper.domain.delivery import (
    MAC_BYTES,
    MARK,
    Delivery,
    Envelope,
    EnvelopeKeys,
    NotAuthentic,
    pack,
    unpack,
    unproven,
)
from tillkeeper.domain.fetching import Fetch

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
        fetches=(Fetch(about="payment", payment_ref="tr_1", proven=False), Fetch(about="refund", refund_ref="re_1")),
        query="source=1&x=%00",
    )
    return Envelope(run=RUN, deliveries=(delivery,), void=(2, 3))


@given(st.lists(events(), max_size=3))
def test_an_envelope_comes_out_as_it_went_in(carried):
    envelope = an_envelope(*carried)
    assert unpack(pack(envelope)) == envelope


def test_what_a_delivery_does_not_have_takes_no_room_and_was_not_there_in_older_envelopes():
    [delivery] = an_envelope().deliveries
    plain = msgspec.structs.replace(delivery, fetches=(), query="")
    packed = pack(Envelope(run=RUN, deliveries=(plain,)))
    assert b"fetches" not in packed
    assert unpack(packed).deliveries == (plain,)


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


OLD, NEW, OTHER = (EnvelopeKeys([key * 32]) for key in "abc")


def test_what_one_of_the_keys_signed_comes_out():
    envelope = an_envelope()
    assert OLD.open(OLD.seal(envelope)) == envelope
    both = EnvelopeKeys(["b" * 32, "a" * 32])
    assert both.seal(envelope) == NEW.seal(envelope)  # the first signs
    assert both.open(OLD.seal(envelope)) == both.open(NEW.seal(envelope)) == envelope


def test_what_none_of_them_signed_does_not():
    envelope = an_envelope()
    forged = [pack(envelope), OTHER.seal(envelope), MARK + bytes(MAC_BYTES) + pack(envelope), MARK, b"", b"\xc1"]
    sealed = OLD.seal(envelope)
    forged += [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
    for message in forged:
        with pytest.raises(NotAuthentic):
            OLD.open(message)


def test_without_keys_all_is_believed_and_read():
    envelope = an_envelope()
    nobody = EnvelopeKeys()
    assert nobody.seal(envelope) == pack(envelope)
    assert nobody.open(pack(envelope)) == nobody.open(OLD.seal(envelope)) == envelope
    with pytest.raises(msgspec.MsgspecError):
        nobody.open(MARK + bytes(MAC_BYTES))


def test_what_is_signed_and_no_envelope_is_no_envelope():
    sealed = OLD.seal(an_envelope())
    with pytest.raises(msgspec.MsgspecError):
        EnvelopeKeys().open(sealed[:-1])


def test_a_message_can_be_shown_whoever_sent_it():
    envelope = an_envelope()
    assert unproven(OTHER.seal(envelope)) == unproven(pack(envelope)) == envelope


# --- sealed anew ------------------------------------------------------------------------------------------------------


def blanked(delivery):
    return msgspec.structs.replace(delivery, body=b"")


@pytest.mark.parametrize("keys", [OLD, EnvelopeKeys()])
def test_a_message_is_sealed_anew_with_its_deliveries_changed(keys):
    envelope = an_envelope()
    [*deliveries] = keys.open(keys.reseal(keys.seal(envelope), blanked)).deliveries
    assert deliveries == [blanked(each) for each in envelope.deliveries]


@pytest.mark.parametrize("keys", [OTHER, EnvelopeKeys()])
def test_nobody_seals_anew_what_they_cannot_prove(keys):
    with pytest.raises(NotAuthentic):
        keys.reseal(OLD.seal(an_envelope()), blanked)
