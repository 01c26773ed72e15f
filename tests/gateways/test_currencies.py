"""Money in what ISO 4217 does not list is told by a genuine delivery or answer: noted, counted for nothing, and never
refused, or the gateway would repeat it for days."""

import importlib
import re

import pytest
from specimen import NOW, rsa_keys

from tillkeeper.domain.money import EXPONENTS
from tillkeeper.gateways.fetching import fetches_of
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.registry import GATEWAYS

LISTED = re.compile(rb'"(?:%b)"' % "|".join(EXPONENTS).encode(), re.IGNORECASE)


def with_another(plain):
    """The bytes with each currency replaced by one that nobody lists."""
    return LISTED.sub(b'"XBT"', plain)


@pytest.mark.parametrize("name", sorted(GATEWAYS))
def test_a_delivery_in_an_unlisted_currency_is_taken_and_counts_nothing(name):
    specimen = importlib.import_module(f"specimen_{name}").specimen(rsa_keys())
    for layer in specimen.layers.values():
        if layer.form != "json" or not LISTED.search(layer.plain):
            continue
        verified = specimen.gateway.verify(layer.seal(with_another(layer.plain)), NOW)
        with unknown_words() as words:
            events, _ = specimen.gateway.parse(verified), fetches_of(specimen.gateway, verified)
        assert events == ()
        assert "XBT" in {word.word for word in words}


@pytest.mark.parametrize("name", sorted(GATEWAYS))
def test_an_answer_in_an_unlisted_currency_is_found_and_counts_nothing(name):
    specimen = importlib.import_module(f"specimen_{name}").specimen(rsa_keys())
    for asked in specimen.asked.values():
        if asked.form != "json" or not LISTED.search(asked.plain):
            continue
        with unknown_words() as words:
            answer = specimen.gateway.read_response(asked.query, asked.seal(with_another(asked.plain)), now=NOW)
        assert (answer.found, answer.events) == (True, ())
        assert "XBT" in {word.word for word in words}
