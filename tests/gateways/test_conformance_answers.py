"""What every gateway must hold of the answers to its queries, whatever is answered."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import cycle
from urllib.parse import urlsplit

import msgspec
import pytest
from hostile import HOSTILE_JSON, HOSTILE_VALUES, amounts_in, case, fuzz, json_values, told
from hypothesis import given, settings
from hypothesis import strategies as st
from meaning import (
    NARROW,
    WRONG_LEAVES,
    leaves,
    replaced,
)
from specimen import NOW

from tillkeeper.gateways.errors import BadPayload, BadSignature, CannotQuery, Refused, Unavailable
from tillkeeper.gateways.messages import Answer, Query, Request, Response

fuzz_answers = settings(fuzz, max_examples=50)  # a gateway is asked in up to three ways that share their reading


def with_heard(response, **changes):
    return msgspec.structs.replace(response, **changes)


def test_a_query_is_one_call_to_the_gateways_own_address(specimen, asked):
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


def test_an_answer_to_another_query_is_refused(specimen, asked):
    changes = {"order_ref": "ORDER-2"}
    for name in ("payment_ref", "refund_ref"):
        if getattr(asked.query, name) is not None:
            changes[name] = getattr(asked.query, name)[:-1] + "7"
    other = replace(asked, query=msgspec.structs.replace(asked.query, **changes))
    got = told(specimen, other, asked.answer)
    assert isinstance(got, BadPayload) or not got.found


@pytest.mark.slow
def test_each_byte_of_an_answer_flipped_is_refused_or_without_effect(specimen, asked):
    """One bit of each; `make fuzz` flips any."""
    response = asked.answer
    answer = told(specimen, asked, response)
    for (at, byte), bit in zip(enumerate(response.body), cycle((0x01, 0x20, 0x80)), strict=False):
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
