"""What every gateway must hold of deliveries that are authentic and make no sense."""

import gzip
import json
import re
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
import pytest
from hostile import HOSTILE_JSON, HOSTILE_VALUES, HOSTILE_XML, amounts_in, case, fuzz, json_values, layers_of
from hypothesis import assume, given
from hypothesis import strategies as st
from meaning import (
    WRONG_FIELDS,
    WRONG_LEAVES,
    is_narrow_question,
    is_refused,
    leaves,
    outcome,
    replaced,
)

from tillkeeper.domain.events import problem_with
from tillkeeper.domain.money import AMOUNT_MINOR_MAX, EXPONENTS
from tillkeeper.gateways.errors import BadPayload, Refused
from tillkeeper.gateways.messages import Query


@pytest.mark.where(lambda specimen: layers_of(specimen, "json"))
def test_authentic_nonsense_is_refused(specimen):
    for name, body in HOSTILE_JSON.items():
        with case(name):
            for layer in layers_of(specimen, "json"):
                assert isinstance(outcome(specimen, layer.seal(body)), BadPayload)


@pytest.mark.where(lambda specimen: layers_of(specimen, "json"))
def test_an_authentic_object_with_a_hostile_value_is_refused(specimen):
    for name, value in HOSTILE_VALUES.items():
        with case(name):
            for layer in layers_of(specimen, "json"):
                end = layer.plain.rindex(b"}")
                assert isinstance(
                    outcome(specimen, layer.seal(layer.plain[:end] + b',"more":' + value + b"}")), BadPayload
                )


@pytest.mark.where(lambda specimen: specimen.layers)
def test_authentic_gzip_is_refused(specimen):
    for layer in specimen.layers.values():
        assert isinstance(outcome(specimen, layer.seal(gzip.compress(layer.plain))), Refused)


@pytest.mark.where(lambda specimen: layers_of(specimen, "json"))
def test_a_repeated_key_is_refused_even_with_the_same_value(specimen):
    for layer in layers_of(specimen, "json"):
        for name, value in json.loads(layer.plain).items():
            again = f",{json.dumps(name)}:{json.dumps(value)}}}".encode()
            body = layer.plain[: layer.plain.rindex(b"}")] + again
            assert isinstance(outcome(specimen, layer.seal(body)), BadPayload)


def hold_to_the_valid(specimen, got, leaf, name):
    """Accepted is allowed only where the wrong leaf was none that money or meaning hangs on."""
    if isinstance(got, Refused):
        return
    (valid,) = outcome(specimen, specimen.valid)
    for event in got:
        if isinstance(event, Query):
            assert is_narrow_question(event)
            continue
        assert problem_with(event) is None
        assert event.account == specimen.gateway.account
        if name in specimen.deciding:
            continue
        assert event.kind is valid.kind
        assert event.currency == valid.currency
        assert event.currency is None or event.currency in EXPONENTS
        for told in ("amount", "total"):
            assert getattr(event, told) in (getattr(valid, told), *amounts_in(leaf, valid.currency))
            assert 0 <= (getattr(event, told) or 0) <= AMOUNT_MINOR_MAX


@pytest.mark.slow
@pytest.mark.where(lambda specimen: layers_of(specimen, "json"))
def test_a_wrong_type_at_any_leaf_is_refused_or_without_effect(specimen):
    for layer in layers_of(specimen, "json"):
        valid = json.loads(layer.plain)
        for path in leaves(valid):
            for leaf in WRONG_LEAVES:
                body = json.dumps(replaced(valid, path, leaf)).encode()
                hold_to_the_valid(specimen, outcome(specimen, layer.seal(body)), leaf, path[-1])


HOSTILE_FORMS = {
    "empty": b"",
    "JSON": b'{"trade_status":"TRADE_SUCCESS"}',
    "only separators": b"&&&===",
    "not percent-encoded right": b"a=%zz&b=%",
    "not UTF-8": b"a=%ff%fe",
    "surrogate bytes": b"a=%ed%a0%80",
    "10,000 fields": b"&".join(b"f%d=1" % n for n in range(10_000)),
    "a field of 100 kB": b"subject=" + b"x" * 100_000,
}


@pytest.mark.where(lambda specimen: layers_of(specimen, "form"))
def test_an_authentic_form_of_nonsense_is_refused(specimen):
    for name, form in HOSTILE_FORMS.items():
        with case(name):
            for layer in layers_of(specimen, "form"):
                assert isinstance(outcome(specimen, layer.seal(form)), Refused)


@pytest.mark.where(lambda specimen: layers_of(specimen, "form"))
def test_an_authentic_form_with_a_hostile_value_is_refused(specimen):
    for tail in (b"&more=%00", b"&more=a%00b", b"&more=%ed%a0%80", b"&more=\xff"):
        for layer in layers_of(specimen, "form"):
            with case(tail):
                assert isinstance(outcome(specimen, layer.seal(layer.plain + tail)), Refused)


@pytest.mark.where(lambda specimen: layers_of(specimen, "form"))
def test_a_repeated_field_is_refused(specimen):
    for layer in layers_of(specimen, "form"):
        for field in layer.plain.split(b"&"):
            assert isinstance(outcome(specimen, layer.seal(layer.plain + b"&" + field)), Refused)


@pytest.mark.where(lambda specimen: layers_of(specimen, "form"))
def test_a_wrong_value_in_any_field_is_refused_or_without_effect(specimen):
    for layer in layers_of(specimen, "form"):
        pairs = parse_qsl(layer.plain.decode(), keep_blank_values=True, strict_parsing=True)
        for at, (name, _) in enumerate(pairs):
            for wrong in WRONG_FIELDS:
                form = urlencode([*pairs[:at], (name, wrong), *pairs[at + 1 :]], quote_via=quote).encode()
                hold_to_the_valid(specimen, outcome(specimen, layer.seal(form)), wrong, name)


@pytest.mark.slow
@fuzz
@given(body=st.binary(max_size=300), value=st.text(max_size=100))
def test_random_requests_are_refused(specimen, body, value):
    for name in specimen.valid.headers:
        headers = {**specimen.valid.headers, name: [value]}
        got = outcome(specimen, msgspec.structs.replace(specimen.valid, headers=headers, body=body))
        assert is_refused(specimen, got)


@pytest.mark.slow
@pytest.mark.where(lambda specimen: specimen.layers)
@fuzz
@given(body=st.binary(max_size=300))
def test_random_authentic_bytes_are_refused(specimen, body):
    assume(not body.startswith(b"{"))  # hypothesis knows the constants of our code, some of which are whole objects
    for layer in specimen.layers.values():
        assert is_refused(specimen, outcome(specimen, layer.seal(body)))


@pytest.mark.where(lambda specimen: layers_of(specimen, "xml"))
def test_authentic_xml_of_nonsense_is_refused(specimen):
    for name, body in HOSTILE_XML.items():
        with case(name):
            for layer in layers_of(specimen, "xml"):
                assert isinstance(outcome(specimen, layer.seal(body)), Refused)


@pytest.mark.where(lambda specimen: layers_of(specimen, "xml"))
def test_a_repeated_element_is_refused(specimen):
    for layer in layers_of(specimen, "xml"):
        text = layer.plain.decode()
        for name in {found[1] for found in re.finditer(r"<([A-Za-z_0-9-]+)>[^<]*(?:<!\[CDATA\[[^<]*)?</\1>", text)}:
            again = text.replace(f"<{name}>", f"<{name}>1</{name}><{name}>", 1)
            assert isinstance(outcome(specimen, layer.seal(again.encode())), Refused), name


@pytest.mark.slow
@pytest.mark.where(lambda specimen: layers_of(specimen, "json"))
@fuzz
@given(data=st.data())
def test_random_values_in_an_authentic_object_never_escape(specimen, data):
    for layer in layers_of(specimen, "json"):
        valid = json.loads(layer.plain)
        path = data.draw(st.sampled_from(list(leaves(valid))))
        leaf = data.draw(json_values)
        body = json.dumps(replaced(valid, path, leaf)).encode()
        hold_to_the_valid(specimen, outcome(specimen, layer.seal(body)), leaf, path[-1])
