"""Content that no reader may be taken in by, and what all conformance tests share."""

from contextlib import contextmanager
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from specimen import NOW

from tillkeeper.domain.events import Evidence, problem_with
from tillkeeper.domain.money import BadMoney, minor_from_major
from tillkeeper.gateways.errors import AccessDenied, BadPayload, BadSignature, Unavailable

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


@contextmanager
def case(*what):
    """Of a loop: names the case beside whatever fails in it."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"case: {', '.join(ascii(each)[:80] for each in what)}")
        raise


def layers_of(specimen, form):
    return [layer for layer in specimen.layers.values() if layer.form == form]


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


fuzz = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=10,
)


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
