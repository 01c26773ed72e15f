"""What a raw delivery shows to people: each field of each gateway was judged, and what tells who paid is masked."""

import re
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote_plus

import pytest

from tests.signers import signer_at
from tillkeeper.domain.decoding import decoded_base64
from tillkeeper.domain.personal_fields import _NAME, MASK, without_personal_fields
from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.sandbox.capture import _by_word, _genuine

NOW = datetime(2026, 12, 1, 6, tzinfo=UTC)
# Fields of deliveries that say nothing of who paid: of the payment, the merchant, the gateway, or the message itself.
JUDGED = set((Path(__file__).parent / "judged_fields.txt").read_text().split())
# What simulators put into fields about payers.
PERSONAL = ("payer@shop.example", "Ada", "138****0000", "oUpF8u", "102.89.0.1", "+919000000000", "10115")
PERSONAL += ('"4242"', '"4081"', "2088491", "9A2CE6A3FA1AFB3302F643D3")
_NAMES = re.compile(_NAME, re.IGNORECASE)


def bodies_at(gateway):
    signer = signer_at(gateway)
    told = list(_by_word(signer, seed=1, now=NOW))
    return [capture.signed[1].decode() for capture in _genuine(signer, told, NOW)]


def decoded(body):
    """The text with what is packed into it; of what is shown, that stands there already."""
    for packed in re.findall(r"bt_payload=([^&<]+)", body):
        body += b64decode(unquote_plus(packed) + "==").decode()
    return unquote_plus(body) if re.match(r"[\w.]+=", body) else body


def names_in(body):
    text = decoded(body)
    in_form = re.findall(r"(?:^|&)([\w.-]+)=", body) if re.match(r"[\w.]+=", body) else []
    return {*re.findall(r'\\*"([\w.-]+)\\*"\s*:', text), *re.findall(r"<([\w-]+)(?:\s[^<>]*)?>", text), *in_form}


@pytest.mark.parametrize("gateway", sorted(GATEWAYS))
def test_each_field_that_a_gateway_sends_was_judged(gateway):
    bodies = bodies_at(gateway)
    names = {name for body in bodies for name in names_in(body)}
    assert names, gateway
    assert {name for name in names if not _NAMES.fullmatch(name)} - JUDGED == set()


@pytest.mark.parametrize("gateway", sorted(GATEWAYS))
def test_what_tells_who_paid_is_masked_and_what_tells_of_the_payment_stays(gateway):
    for body in bodies_at(gateway):
        shown = without_personal_fields(body)
        for word in PERSONAL:
            assert word not in shown, word
            assert word not in decoded(shown), word
            assert not any(word in text for text in decoded_base64(shown)), word
        kept = {name for name in names_in(body) if name in JUDGED} - {"bt_payload", "bt_signature"}
        assert kept <= names_in(shown) | {"bt_payload"}, kept - names_in(shown)


def test_the_fields_of_payers_are_there_to_be_masked():
    seen = " ".join(without_personal_fields(body) for gateway in GATEWAYS for body in bodies_at(gateway))
    assert seen.count(MASK) > 20
