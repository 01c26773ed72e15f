"""Each kind of event that a gateway can be made to say is read as that kind, from keys that were kept in a file."""

import msgspec
import pytest

from tillkeeper import clock
from tillkeeper.gateways.errors import Refused
from tillkeeper.gateways.messages import Request
from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.sandbox.accounts import AlreadyThere, account_of, new_signers
from tillkeeper.sandbox.simulators.registry import simulator_of
from tillkeeper.sandbox.trigger.keyring import (
    ACCOUNTS,
    KEYRING,
    NoKeyring,
    read_keyring,
    write_keyring,
)
from tillkeeper.sandbox.trigger.words import (
    NoSuchWord,
    WantedDelivery,
    delivery_of,
    sent_words,
    word_for,
    words_by_kind,
)
from tillkeeper.settings import build_gateways, load_accounts

WANTED = WantedDelivery(order_ref="A-1001", amount=12900, currency="CNY")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where accounts of every gateway are kept."""
    directory = tmp_path_factory.mktemp("play") / "of-all"
    write_keyring(directory, new_signers(sorted(GATEWAYS)))
    return directory


@pytest.fixture(scope="module")
def signers(kept):
    return read_keyring(kept)


@pytest.fixture(scope="module")
def receivers(kept):
    return build_gateways(load_accounts(kept / ACCOUNTS, {}))


@pytest.mark.parametrize("gateway", sorted(GATEWAYS))
def test_what_is_triggered_is_genuine_and_of_that_kind(gateway, signers, receivers):
    account, simulator = account_of(gateway), simulator_of(gateway)
    currency = "CNY" if "CNY" in simulator.currencies else simulator.currencies[0]
    wanted = msgspec.structs.replace(WANTED, currency=currency)
    kinds = words_by_kind(gateway)
    assert "payment.succeeded" in kinds
    for kind, word in kinds.items():
        (headers, body), query = delivery_of(signers[account], word, wanted, event_id="evt_1", now=clock.now())
        request = Request({name.lower(): (value,) for name, value in headers.items()}, body, query)
        events = receivers[account].parse(receivers[account].verify(request, clock.now()))
        if simulator.carries_event(word):
            assert kind in [event.kind for event in events], word
            if kind == "payment.succeeded":
                assert {event.order_ref for event in events} <= {"A-1001", None}


@pytest.mark.parametrize("gateway", sorted(GATEWAYS))
def test_every_word_that_is_listed_can_be_said(gateway, signers):
    currency = simulator_of(gateway).currencies[0]
    for word in sent_words(simulator_of(gateway)):
        wanted = msgspec.structs.replace(WANTED, currency=currency)
        (_, body), query = delivery_of(signers[account_of(gateway)], word, wanted, event_id="evt_1", now=clock.now())
        assert body or query


def test_a_word_of_the_gateways_own_is_taken_and_another_is_refused():
    assert word_for("stripe", "charge.dispute.created") == "charge.dispute.created"
    assert word_for("stripe", "payment.succeeded") == "payment_intent.succeeded"
    with pytest.raises(NoSuchWord, match=r"there are: payment\.pending, payment\.authorized"):
        word_for("stripe", "payment.nope")


def test_keys_are_for_their_owner_alone_and_never_written_over(kept, tmp_path):
    assert (kept / KEYRING).stat().st_mode & 0o077 == 0
    with pytest.raises(AlreadyThere):
        write_keyring(kept, new_signers(["stripe"]))
    with pytest.raises(NoKeyring, match="sandbox accounts"):
        read_keyring(tmp_path)
    (tmp_path / KEYRING).write_text("[]")
    with pytest.raises(NoKeyring, match="no keyring"):
        read_keyring(tmp_path)


def test_another_accounts_key_verifies_nothing(signers, receivers):
    [stranger] = new_signers(["stripe"]).values()
    (headers, body), _ = delivery_of(stranger, "payment_intent.succeeded", WANTED, event_id="evt_1", now=clock.now())
    request = Request({name.lower(): (value,) for name, value in headers.items()}, body)
    with pytest.raises(Refused):
        receivers["stripe-main"].verify(request, clock.now())
