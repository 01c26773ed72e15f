"""What every gateway in the registry must hold of deliveries, whatever arrives."""

import re
from base64 import b64encode
from datetime import timedelta
from urllib.parse import unquote_to_bytes

import msgspec
import pytest
from hostile import case, layers_of
from meaning import (
    is_narrow_question,
    is_refused,
    money_of,
    outcome,
)
from pydantic import TypeAdapter
from specimen import NOW

from tillkeeper.domain.events import Evidence, problem_with
from tillkeeper.gateways.about import setup_guide
from tillkeeper.gateways.base import QUERYABLE_ALL
from tillkeeper.gateways.errors import BadSignature, CannotQuery, Refused
from tillkeeper.gateways.messages import Query, Request
from tillkeeper.gateways.registry import GATEWAYS, AccountSettings, build


def with_body(request, body):
    return msgspec.structs.replace(request, body=body)


def test_a_valid_delivery_becomes_an_event_or_a_query(specimen):
    verified = specimen.gateway.verify(specimen.valid, NOW)
    assert verified.key
    assert verified.proven is (specimen.foreign is not None)
    assert len(outcome(specimen, specimen.valid)) == 1
    assert all(is_narrow_question(each) for each in specimen.gateway.queries_for(verified))
    for event in specimen.gateway.parse(verified):
        assert specimen.covers != "nothing"
        assert problem_with(event) is None
        assert event.account == specimen.gateway.account
        assert event.evidence is Evidence.WEBHOOK
        assert event.occurred_at.utcoffset() == timedelta(0)
        assert event.occurred_at <= NOW


def test_the_registry_builds_what_it_lists(specimen):
    name = specimen.gateway.name
    settings = TypeAdapter(AccountSettings).validate_python(specimen.settings)
    assert type(settings) is GATEWAYS[name].settings
    gateway = build("elsewhere", settings)
    assert gateway.account == "elsewhere"
    assert all(each.account == "elsewhere" for each in gateway.parse(gateway.verify(specimen.valid, NOW)))


def test_it_asks_just_what_it_says(specimen):
    assert set(specimen.asked) == specimen.gateway.queryable
    for name in QUERYABLE_ALL - specimen.gateway.queryable:
        about = "refund" if name == "refund" else "payment"
        payment_ref = None if name == "order" else "pay-1"
        refund_ref = "refund-1" if name == "refund" else None
        query = Query(about=about, order_ref="ORDER-1", payment_ref=payment_ref, refund_ref=refund_ref)
        with pytest.raises(CannotQuery):
            specimen.gateway.query_request(query, now=NOW, nonce="n")


def test_the_key_that_fits_is_among_those_it_names(specimen):
    key = specimen.gateway.verify(specimen.valid, NOW).key
    labels = specimen.gateway.key_labels()
    assert key in labels if specimen.foreign is not None else labels in ((), (key,))
    assert len(set(labels)) == len(labels)


def test_people_are_told_all_about_it(specimen):
    about = specimen.gateway.about
    steps = re.findall(r"^(\d+)\. ", setup_guide(specimen.gateway.name), re.MULTILINE)
    assert steps == [str(number) for number in range(1, len(steps) + 1)]
    assert 8 <= len(steps) <= 12
    assert (specimen.covers == "body") is (about.uncovered == "" or not specimen.unsigned)
    assert bool(about.queries) is bool(specimen.gateway.queryable)
    for name, field in specimen.gateway.settings.model_fields.items():
        assert field.description or name == "gateway", name


def test_settings_refuse_a_key_that_is_not_theirs(specimen):
    with pytest.raises(ValueError, match="colour"):
        GATEWAYS[specimen.gateway.name].settings.model_validate({**specimen.settings, "colour": "red"})


def test_settings_never_show_a_secret(specimen):
    shown = repr(GATEWAYS[specimen.gateway.name].settings.model_validate(specimen.settings))
    assert "PRIVATE KEY" not in shown
    assert "whsec_" not in shown


def test_kept_headers_are_lower_case(specimen):
    assert all(name == name.lower() for name in specimen.gateway.kept_headers)


def test_it_answers_yes_and_no_in_its_own_words(specimen):
    assert 200 <= specimen.gateway.acknowledge().status < 300
    for status in (400, 401, 413, 503):
        assert specimen.gateway.refuse(status).status == status


def test_another_key_is_refused(specimen):
    if specimen.foreign is not None:
        assert isinstance(outcome(specimen, specimen.foreign), BadSignature)
    else:
        assert specimen.covers == "nothing"


def test_another_time_of_verifying_gives_the_same_events(specimen):
    assert outcome(specimen, specimen.valid, NOW + timedelta(seconds=299)) == outcome(specimen, specimen.valid)


@pytest.mark.slow
def test_each_byte_flipped_is_refused(specimen):
    body = specimen.valid.body
    events = outcome(specimen, specimen.valid)
    pieces = [found.span() for piece in specimen.unsigned for found in re.finditer(re.escape(piece), body)]
    spare = {at for span in pieces for at in range(*span)}
    for at, byte in enumerate(body):
        for bit in (0x01, 0x20, 0x80):
            flipped = body[:at] + bytes([byte ^ bit]) + body[at + 1 :]
            got = outcome(specimen, with_body(specimen.valid, flipped))
            if is_refused(specimen, got) or is_same_form(specimen, flipped):
                continue
            assert at in spare, f"byte {at} is not covered by the signature"
            assert got == events or (specimen.covers == "fields" and money_of(got) == money_of(events))


def is_same_form(specimen, body):
    """A form signs its decoded fields, and %3a spells what %3A spells."""
    return bool(layers_of(specimen, "form")) and unquote_to_bytes(body) == unquote_to_bytes(specimen.valid.body)


def test_each_truncation_is_refused(specimen):
    body = specimen.valid.body
    for length in range(len(body)):
        assert is_refused(specimen, outcome(specimen, with_body(specimen.valid, body[:length]))), length


def test_anything_appended_is_refused(specimen):
    white = (b"\n", b" ") if specimen.covers == "body" else ()  # JSON means the same with it
    for tail in (*white, b"\x00", b"&a=b", specimen.valid.body):
        assert is_refused(specimen, outcome(specimen, with_body(specimen.valid, specimen.valid.body + tail)))


ODD_SIGNATURES = [
    [],
    [""],
    [" "],
    ["é"],
    ["\udc80"],
    ["签名"],
    ["=" * 5],
    ["a" * 5_000],
    ["A" * 344],
    ["AAAA=AAAA"],
    ["t=1"],
    [",,,"],
    [b64encode(bytes(256)).decode()],
    ["0" * 64],
]


@pytest.mark.where(lambda specimen: specimen.with_signature is not None)
def test_an_odd_signature_is_refused(specimen):
    for signatures in ODD_SIGNATURES:
        with case(signatures):
            assert isinstance(outcome(specimen, specimen.with_signature(specimen.valid, signatures)), Refused)


def test_no_header_at_all_is_no_crash(specimen):
    got = outcome(specimen, Request(headers={}, body=specimen.valid.body, query=specimen.valid.query))
    assert isinstance(got, Refused) or got == outcome(specimen, specimen.valid)


ODD_QUERIES = ["", "?", "=", "&&", "%zz", "a=%00", "id=..%2F..", "id=1&id=2", "é", "x" * 5_000]


def test_an_odd_query_is_never_taken_for_something_else(specimen):
    events = outcome(specimen, specimen.valid)
    for query in ODD_QUERIES:
        with case(query):
            got = outcome(specimen, msgspec.structs.replace(specimen.valid, query=query))
            assert is_refused(specimen, got) or got == events


def test_each_header_repeated_emptied_or_gone_is_never_taken_for_something_else(specimen):
    events = outcome(specimen, specimen.valid)
    for name, values in specimen.valid.headers.items():
        for changed in ([], [""], ["x"], ["\udc80"], [*values, *values], ["1" * 5_000], [values[0] + "\n"]):
            headers = {**specimen.valid.headers, name: changed}
            got = outcome(specimen, msgspec.structs.replace(specimen.valid, headers=headers))
            assert isinstance(got, Refused) or got == events


def test_a_stale_or_future_time_is_refused(specimen):
    for shift_s in (-301, 301, -86_400, 86_400):
        at = NOW + timedelta(seconds=shift_s)
        with case(shift_s):
            if specimen.at is None:
                assert outcome(specimen, specimen.valid, at) == outcome(specimen, specimen.valid)
            else:
                assert isinstance(outcome(specimen, specimen.at(at)), BadSignature)


def test_a_time_on_the_edge_is_taken(specimen):
    for shift_s in (-300, 300):
        request = specimen.valid if specimen.at is None else specimen.at(NOW + timedelta(seconds=shift_s))
        with case(shift_s):
            assert outcome(specimen, request) == outcome(specimen, specimen.valid)


@pytest.mark.where(lambda specimen: specimen.layers)
def test_every_layer_seals_its_own_plain_bytes(specimen):
    for layer in specimen.layers.values():
        assert outcome(specimen, layer.seal(layer.plain)) == outcome(specimen, specimen.valid)
