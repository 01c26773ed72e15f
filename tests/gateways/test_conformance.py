"""What every gateway in the registry must hold, whatever arrives."""

import gzip
import json
import re
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode, urlsplit

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from meaning import (
    NARROW,
    WRONG_FIELDS,
    WRONG_LEAVES,
    is_narrow_question,
    is_refused,
    leaves,
    money_of,
    outcome,
    replaced,
)
from pydantic import TypeAdapter
from specimen import NOW

from tillkeeper.domain.events import Evidence, problem_with
from tillkeeper.domain.money import AMOUNT_MINOR_MAX, EXPONENTS, BadMoney, minor_from_major
from tillkeeper.gateways.about import setup_guide
from tillkeeper.gateways.base import QUERYABLE_ALL
from tillkeeper.gateways.errors import AccessDenied, BadPayload, BadSignature, CannotQuery, Refused, Unavailable
from tillkeeper.gateways.messages import Answer, Query, Request, Response
from tillkeeper.gateways.registry import GATEWAYS, AccountSettings, build

HOSTILE_JSON = {
    "empty": b"",
    "white space": b" \n",
    "array at the top": b"[]",
    "number at the top": b"7",
    "null at the top": b"null",
    "text at the top": b'"paid"',
    "empty object": b"{}",
    "not JSON": b"paid",
    "two values": b"{}{}",
    "BOM": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "not UTF-8": b'{"id":"\xff"}',
    "raw NUL": b'{"id":"a\x00b"}',
    "100,000 arrays": b"[" * 100_000,
    "100,000 arrays, closed": b"[" * 100_000 + b"]" * 100_000,
    "100,000 objects": b'{"a":' * 100_000,
    "100,000 open quotes": b'"\\' * 100_000,
}
# Put inside an otherwise valid object, as the value of one more key.
HOSTILE_VALUES = {
    "1e400": b"1e400",
    "1e999999999999": b"1e999999999999",
    "5,000 digits": b"9" * 5000,
    "19 digits": b"9" * 19,
    "5,000 decimals": b"0." + b"9" * 5000,
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "-Infinity": b"-Infinity",
    "NUL": rb'"\u0000"',
    "NUL in a key": rb'{"\u0000":1}',
    "high surrogate": rb'"\ud800"',
    "low surrogate": rb'"\udfff"',
    "surrogates in the wrong order": rb'["\udc00\ud800"]',
    "surrogate bytes": b'"\xed\xa0\x80"',
    "65 deep": b"[" * 65 + b"]" * 65,
    "100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "a repeated key": b'{"a":1,"a":1}',
}


@contextmanager
def case(*what):
    """Of a loop: names the case beside whatever fails in it."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"case: {', '.join(ascii(it)[:80] for it in what)}")
        raise


def with_body(request, body):
    return msgspec.structs.replace(request, body=body)


def test_a_valid_delivery_becomes_an_event_or_a_question(specimen):
    verified = specimen.gateway.verify(specimen.valid, NOW)
    assert verified.key
    assert verified.proven is (specimen.foreign is not None)
    assert len(outcome(specimen, specimen.valid)) == 1
    assert all(is_narrow_question(it) for it in specimen.gateway.queries_for(verified))
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
    assert all(it.account == "elsewhere" for it in gateway.parse(gateway.verify(specimen.valid, NOW)))


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


def layers_of(specimen, form):
    return [layer for layer in specimen.layers.values() if layer.form == form]


@pytest.mark.where(lambda specimen: specimen.layers)
def test_every_layer_seals_its_own_plain_bytes(specimen):
    for layer in specimen.layers.values():
        assert outcome(specimen, layer.seal(layer.plain)) == outcome(specimen, specimen.valid)


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


def amounts_in(leaf, currency):
    """What a value could mean as an amount: of minor units, or of major ones."""
    if isinstance(leaf, bool) or not isinstance(leaf, int | float | str) or currency is None:
        return []
    try:
        minor = [int(leaf)] if type(leaf) is int or leaf.isdigit() else []
    except AttributeError:
        minor = []
    try:
        return [*minor, minor_from_major(str(leaf), currency)]
    except BadMoney:
        return minor


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


fuzz = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
fuzz_answers = settings(fuzz, max_examples=50)  # a gateway is asked in up to three ways that share their reading


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


HOSTILE_XML = {
    "empty": b"",
    "text": b"paid",
    "JSON": b"{}",
    "not closed": b"<xml><a>",
    "two roots": b"<xml/><xml/>",
    "a doctype": b'<!DOCTYPE xml [<!ENTITY a "b">]><xml><return_code>&a;</return_code></xml>',
    "an external entity": b'<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><return_code>&a;</return_code></xml>',
    "an entity bomb": b'<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]><l>&c;</l>',
    "100,000 deep": b"<a>" * 100_000 + b"</a>" * 100_000,
    "100,000 elements": b"<xml>" + b"<a>1</a>" * 100_000 + b"</xml>",
    "not UTF-8": b"<xml><a>\xff</a></xml>",
    "UTF-16": "<xml><a>1</a></xml>".encode("utf-16"),
    "NUL": b"<xml><a>\x00</a></xml>",
    "an escaped NUL": b"<xml><a>&#0;</a></xml>",
    "a processing instruction": b'<?xml-stylesheet href="http://127.0.0.1/"?><xml/>',
}


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


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=10,
)


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


# What it is asked.


def told(specimen, asked, response):
    """The answer, or which of the named errors.  Whatever else is raised fails the test."""
    try:
        answer = specimen.gateway.read_response(asked.query, response, now=NOW)
    except (Unavailable, AccessDenied, BadSignature, BadPayload) as refused:
        return refused
    for event in answer.events:
        assert problem_with(event) is None
        assert event.evidence is Evidence.QUERY
        assert event.account == specimen.gateway.account
        assert event.occurred_at.utcoffset() == timedelta(0)
        assert event.event_id.startswith("query:")
    return answer


def with_heard(response, **changes):
    return msgspec.structs.replace(response, **changes)


def test_a_question_is_one_call_to_the_gateways_own_address(specimen, asked):
    call = specimen.gateway.query_request(asked.query, now=NOW, nonce="0123456789abcdef")
    settings = specimen.settings
    base = settings.get("api_base") or specimen.gateway.settings.model_fields["api_base"].default
    assert call.url.startswith(base)
    assert call.url.isascii()
    assert all(name.isascii() and value.isascii() and "\n" not in value for name, value in call.headers.items())


def test_an_answer_makes_events_with_names_of_their_own(specimen, asked):
    answer = told(specimen, asked, asked.answer)
    assert answer.found
    assert answer.events
    assert len({event.event_id for event in answer.events}) == len(answer.events)
    assert all(event.order_ref == "ORDER-1" for event in answer.events)
    assert all(event.occurred_at <= NOW for event in answer.events)


def test_the_same_answer_later_makes_the_same_events(specimen, asked):
    later = specimen.gateway.read_response(asked.query, asked.answer, now=NOW + timedelta(seconds=299))
    assert later == told(specimen, asked, asked.answer)


@pytest.mark.where(lambda asked: asked.foreign is not None)
def test_an_answer_signed_by_another_is_refused(specimen, asked):
    assert isinstance(told(specimen, asked, asked.foreign), BadSignature)


def test_an_answer_to_another_question_is_refused(specimen, asked):
    changes = {"order_ref": "ORDER-2"}
    for name in ("payment_ref", "refund_ref"):
        if getattr(asked.query, name) is not None:
            changes[name] = getattr(asked.query, name)[:-1] + "7"
    other = replace(asked, query=msgspec.structs.replace(asked.query, **changes))
    got = told(specimen, other, asked.answer)
    assert isinstance(got, BadPayload) or not got.found


@pytest.mark.slow
def test_each_byte_of_an_answer_flipped_is_refused_or_without_effect(specimen, asked):
    response = asked.answer
    answer = told(specimen, asked, response)
    for at, byte in enumerate(response.body):
        for bit in (0x01, 0x20, 0x80):
            flipped = response.body[:at] + bytes([byte ^ bit]) + response.body[at + 1 :]
            got = told(specimen, asked, with_heard(response, body=flipped))
            if asked.foreign is not None:
                assert isinstance(got, Exception) or got == answer


@pytest.mark.slow
def test_each_truncation_of_an_answer_is_refused(specimen, asked):
    response = asked.answer
    for length in range(len(response.body)):
        assert isinstance(told(specimen, asked, with_heard(response, body=response.body[:length])), Refused), length


def test_an_answer_with_anything_behind_it_is_refused(specimen, asked):
    response = asked.answer
    for tail in (b"\x00", b"{}", b",", response.body):
        assert isinstance(told(specimen, asked, with_heard(response, body=response.body + tail)), Refused)


def test_an_answer_of_nonsense_is_refused(specimen, asked):
    for name, body in HOSTILE_JSON.items():
        with case(name):
            for response in (asked.seal(body), with_heard(asked.answer, body=body)):
                assert isinstance(told(specimen, asked, response), Refused)


@pytest.mark.where(lambda asked: asked.form == "json")
def test_an_answer_with_a_hostile_value_is_refused(specimen, asked):
    end = asked.plain.rindex(b"}")
    for name, value in HOSTILE_VALUES.items():
        with case(name):
            hostile = asked.seal(asked.plain[:end] + b',"more":' + value + b"}")
            assert isinstance(told(specimen, asked, hostile), BadPayload)


@pytest.mark.where(lambda asked: asked.form == "json")
def test_a_repeated_key_in_an_answer_is_refused(specimen, asked):
    for name, value in json.loads(asked.plain).items():
        again = f",{json.dumps(name)}:{json.dumps(value)}}}".encode()
        response = asked.seal(asked.plain[: asked.plain.rindex(b"}")] + again)
        assert isinstance(told(specimen, asked, response), BadPayload)


@pytest.mark.slow
@pytest.mark.where(lambda asked: asked.form == "json")
def test_a_wrong_type_at_any_leaf_of_an_answer_is_refused_or_harmless(specimen, asked):
    valid = json.loads(asked.plain)
    answer = told(specimen, asked, asked.answer)
    known = {(event.kind, event.total is None): event for event in answer.events}
    for path in leaves(valid):
        for leaf in WRONG_LEAVES:
            got = told(specimen, asked, asked.seal(json.dumps(replaced(valid, path, leaf)).encode()))
            if isinstance(got, Exception):
                continue
            for event in got.events:
                if event.kind in known:  # none is told a wrong amount that was not written there
                    for amount in ("amount", "total"):
                        allowed = (getattr(known[event.kind], amount), *amounts_in(leaf, event.currency), None)
                        assert getattr(event, amount) in allowed


@pytest.mark.slow
@pytest.mark.where(lambda asked: asked.form == "json")
@fuzz_answers
@given(data=st.data())
def test_random_values_in_an_answer_never_escape(specimen, asked, data):
    valid = json.loads(asked.plain)
    path = data.draw(st.sampled_from(list(leaves(valid))))
    told(specimen, asked, asked.seal(json.dumps(replaced(valid, path, data.draw(json_values))).encode()))


@pytest.mark.slow
@fuzz_answers
@given(body=st.binary(max_size=300), status=st.integers(100, 599))
def test_random_answers_are_refused(specimen, asked, body, status):
    response = with_heard(asked.seal(body), status=status)
    got = told(specimen, asked, response)
    assert isinstance(got, Exception) or got == Answer(found=False)


NO_ANSWERS = (100, 201, 202, 204, 301, 302, 307, 400, 401, 402, 403, 404, 409, 410, 418, 429)


def test_an_answer_under_another_status_is_none(specimen, asked):
    for status in NO_ANSWERS:
        with case(status):
            assert isinstance(told(specimen, asked, with_heard(asked.answer, status=status)), Exception)


def test_a_gateway_that_is_busy_or_broken_is_asked_again(specimen, asked):
    for status in (429, 500, 502, 503, 504, 599):
        for body in (b"", b"<html>", b"{}", b"\xff"):
            with case(status, body):
                answer = told(specimen, asked, Response(status=status, headers={}, body=body))
                assert isinstance(answer, Unavailable)


def test_each_header_of_an_answer_repeated_emptied_or_gone_changes_nothing_but_the_time(specimen, asked):
    response = asked.answer
    kinds = [(event.kind, event.amount, event.total) for event in told(specimen, asked, response).events]
    for name, values in response.headers.items():
        for changed in ([], [""], ["x"], ["\udc80"], [*values, *values], ["1" * 5_000], [values[0] + "\n"]):
            got = told(specimen, asked, with_heard(response, headers={**response.headers, name: changed}))
            assert (
                isinstance(got, Exception) or [(event.kind, event.amount, event.total) for event in got.events] == kinds
            )


ODD_REFERENCES = ("", " ", "../../refunds", "a/b", "a?b", "a#b", "é", "\n", "x" * 300, "%2e%2e")


@pytest.mark.where(lambda specimen: specimen.asked)
def test_a_reference_never_leads_to_another_place(specimen):
    base = specimen.gateway.query_request(next(iter(specimen.asked.values())).query, now=NOW, nonce="n").url
    for ref in ODD_REFERENCES:
        for query in (
            Query(about="payment", order_ref="ORDER-1", payment_ref=ref),
            Query(about="payment", order_ref=ref),
            Query(about="refund", order_ref="ORDER-1", payment_ref="pi_1", refund_ref=ref),
        ):
            with case(query):
                hold_to_its_place(specimen, query, base)


def hold_to_its_place(specimen, query, base):
    try:
        call = specimen.gateway.query_request(query, now=NOW, nonce="n")
    except CannotQuery:
        return
    assert urlsplit(call.url).netloc == urlsplit(base).netloc
    path = urlsplit(call.url).path
    assert path.isascii()
    assert not {"..", "."} & set(path.split("/"))
    assert "%2e" not in path.lower()


def test_a_refund_without_a_reference_cannot_be_asked_about(specimen):
    with pytest.raises(CannotQuery):
        specimen.gateway.query_request(Query(about="refund", order_ref="ORDER-1"), now=NOW, nonce="n")


def test_a_list_of_events_is_asked_for_or_there_is_none(specimen):
    try:
        call = specimen.gateway.events_request(since=NOW - timedelta(hours=6), until=NOW, after=None)
    except CannotQuery:
        with pytest.raises(BadPayload):
            specimen.gateway.read_events(Response(status=200, headers={}, body=b"{}"))
        return
    assert call.method == "GET"
    for body in [*HOSTILE_JSON.values(), b'{"data":{}}', b'{"data":[7]}', b'{"data":[{}],"has_more":true}']:
        try:
            page = specimen.gateway.read_events(Response(status=200, headers={}, body=body))
        except BadPayload:
            continue
        assert page.events == ()
        assert page.unread == 1


# --- what an unproven delivery names ----------------------------------------------------------------------------------


@pytest.mark.where(lambda specimen: specimen.with_signature is not None)
def test_what_a_forged_delivery_names_does_not_hang_on_its_signature(specimen):
    for signatures in ([], ["forged"]):
        forged = specimen.with_signature(specimen.valid, signatures)
        with case(signatures):
            assert specimen.gateway.claimed_references(forged) == specimen.gateway.claimed_references(specimen.valid)


def test_what_a_delivery_names_is_narrow_or_nothing(specimen):
    body = specimen.valid.body
    bodies = [*HOSTILE_JSON.values(), *(body[:end] for end in range(0, len(body), 3))]
    bodies += [body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] for at in range(0, len(body), 3)]
    for each in bodies:
        named = specimen.gateway.claimed_references(msgspec.structs.replace(specimen.valid, body=each))
        refs = [] if named is None else [ref for ref in (named.order_ref, named.payment_ref) if ref is not None]
        assert named is None or refs
        assert all(NARROW.fullmatch(ref) for ref in refs)


@pytest.mark.slow
@fuzz
@given(body=st.binary(max_size=300))
def test_random_bytes_name_nothing(specimen, body):
    assert specimen.gateway.claimed_references(Request(headers={}, body=body)) is None
