"""What strict JSON takes, and what typed access says of the rest."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.gateways.errors import BadPayload, BadSignature
from tillkeeper.gateways.kit.fields import (
    at,
    integer,
    moment_from_rfc3339,
    moment_from_unix,
    text,
    text_or_none,
)
from tillkeeper.gateways.kit.freshness import check_fresh
from tillkeeper.gateways.kit.strictjson import DEPTH_MAX, UNSIGNED_MARKS_MAX, loads, loads_unsigned, members

NOW = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)


def indented(value):
    return json.dumps(value, indent=2).encode()


def nested(depth):
    return {"a": nested(depth - 1) if depth > 1 else 1}


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"{}", {}),
        (b' {"a" : [1, -2, true, null]} \n', {"a": [1, -2, True, None]}),
        (b"999999999999999999", 10**18 - 1),
        (b"-999999999999999999", 1 - 10**18),
        (b"0.10", Decimal("0.10")),
        (b"1e3", Decimal(1000)),
        (b"1E-300", Decimal("1E-300")),
        ('"王😀"'.encode(), "王😀"),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\\u0000 \\ud800"', r"\u0000 \ud800"),
        (rb'["\\u0000"]', [r"\u0000"]),
        (rb'{"\\u0000":[{"a":1}]}', {r"\u0000": [{"a": 1}]}),
        (b"[" * DEPTH_MAX + b"]" * DEPTH_MAX, None),
        (b"[" + b"{}," * 100 + b"[]]", [{}] * 100 + [[]]),
        (b'"' + b"[" * 1000 + b'"', "[" * 1000),
        (b'"' + rb"\"[" * 1000 + b'"', '"[' * 1000),
        (indented(nested(DEPTH_MAX)), nested(DEPTH_MAX)),
        (indented({"a": " " * 200}), {"a": " " * 200}),
        (indented({"a": 10**17, "b": "1" * 30}), {"a": 10**17, "b": "1" * 30}),
    ],
)
def test_plain_json_is_read(body, value):
    assert loads(body) == value if value is not None else loads(body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"{}{}", "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b"[1,]", "not JSON"),
        (b"01", "not JSON"),
        (b'"\x00"', "not JSON"),
        (b"\x00{}", "not JSON"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"1000000000000000000", "18 digits"),
        (b"1e400", "greater"),
        (b"1e-400", "greater"),
        (b"1e99999999999999999999", "greater"),
        (b"1e" + b"9" * 5000, "longer"),
        (b"0." + b"1" * 100, "longer"),
        (b'{"a":1,"a":1}', "repeats"),
        (b'[{"a":{"b":1,"b":2}}]', "repeats"),
        (rb'{"a":1,"\u0061":2}', "repeats"),
        (rb'"\u0000"', "character"),
        (rb'{"a":["\uD800"]}', "character"),
        (rb'{"\udfff":1}', "character"),
        (rb'"\ude00\ud83d"', "character"),
        (b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), "deeper"),
        (b'{"a":' * 100_000, "deeper"),
        (b'"' + rb"\"" * 200_000 + b"[" * 100, "not JSON"),
        (b'"\\' + b"[" * 100, "not JSON"),
        (indented(nested(DEPTH_MAX + 1)), "deeper"),
        (b'{\n  "a": ' + b"[" * 100_000, "deeper"),
        (indented({"a": 10**18}), "18 digits"),
        (indented({"a": "\x00"}), "character"),
        (b'{\n  "a": 1,\n  "a": 1\n}', "repeats"),
    ],
)
def test_everything_else_is_refused_and_says_why(body, reason):
    with pytest.raises(BadPayload) as caught:
        loads(body)
    assert reason in caught.value.reason


@given(st.binary(max_size=200))
def test_whatever_arrives_only_bad_payload_comes_out(body):
    try:
        loads(body)
    except BadPayload:
        return


keepable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | keepable,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keepable, inner, max_size=5),
    max_leaves=30,
)


@given(value=plain, ensure_ascii=st.booleans(), indent=st.sampled_from([None, 2]))
def test_plain_values_come_back_as_they_were(value, ensure_ascii, indent):
    assert loads(json.dumps(value, ensure_ascii=ensure_ascii, indent=indent).encode()) == value


def test_a_path_leads_to_its_value():
    content = {"a": {"b": "text", "n": 7, "empty": "", "null": None}}
    assert at(content, ["a", "n"]) == 7
    assert at(content, ["a", "null", "deeper"]) is None
    assert text(content, "a", "b") == "text"
    assert text_or_none(content, "a", "empty") is None
    assert text_or_none(content, "nowhere", "at all") is None
    assert integer(content, "a", "n") == 7


@pytest.mark.parametrize("path", [("a", "t"), ("a", "missing"), ("a", "flag"), ("a", "d")])
def test_what_is_no_whole_number_names_its_path(path):
    with pytest.raises(BadPayload, match=r"a\."):
        integer({"a": {"t": "1", "flag": True, "d": Decimal("1.0")}}, *path)


def test_text_must_be_text_and_be_there():
    with pytest.raises(BadPayload, match=r"a\.b is not text"):
        text({"a": {"b": 7}}, "a", "b")
    with pytest.raises(BadPayload, match=r"a\.b is missing"):
        text({"a": {"b": ""}}, "a", "b")
    with pytest.raises(BadPayload, match=r"a\.b\.c leads through"):
        text({"a": {"b": "x"}}, "a", "b", "c")


def test_times_come_out_in_utc_and_whole_seconds():
    assert moment_from_unix(0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert moment_from_unix(253_402_300_799).year == 9999
    assert moment_from_rfc3339("2026-10-05T20:00:00+08:00") == NOW
    assert moment_from_rfc3339("2026-10-05T12:00:00.999Z") == NOW


@pytest.mark.parametrize("seconds", [-1, 253_402_300_800, 10**17])
def test_a_time_beyond_the_calendar_is_refused(seconds):
    with pytest.raises(BadPayload):
        moment_from_unix(seconds)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "2026-10-05",
        "2026-10-05 12:00:00Z",
        "2026-10-05T12:00:00",
        "2026-10-05T12:00:00Z\n",
        "2026-13-05T12:00:00Z",
        "2026-02-30T12:00:00Z",
        "2026-10-05T25:00:00Z",
        "2026-10-05T12:00:00+99:00",
        "0001-01-01T00:00:00+08:00",
        "9999-12-31T23:59:59-08:00",
        "\uff12026-10-05T12:00:00Z",
    ],
)
def test_a_time_not_as_rfc_3339_says_is_refused(written):
    with pytest.raises(BadPayload):
        moment_from_rfc3339(written)


@pytest.mark.parametrize("timestamp", ["", "x", "-1", "1.0", " 1", "\u0661", "9" * 13, "1e9", "0x1"])
def test_a_signed_time_is_digits_alone(timestamp):
    with pytest.raises(BadSignature):
        check_fresh(timestamp, NOW)


@pytest.mark.parametrize("shift_s", [-301, 301])
def test_a_signed_time_out_of_the_window_is_refused(shift_s):
    with pytest.raises(BadSignature, match="301 s"):
        check_fresh(str(int(NOW.timestamp()) + shift_s), NOW)


@pytest.mark.parametrize("shift_s", [-300, 0, 300])
def test_a_signed_time_in_the_window_is_believed(shift_s):
    check_fresh(str(int(NOW.timestamp()) + shift_s), NOW)


def test_what_is_long_to_read_is_refused_before_it_is_read_where_nobody_signed_it():
    taken = b"[" + b"1," * (UNSIGNED_MARKS_MAX - 1) + b"1]"
    assert len(loads_unsigned(taken)) == UNSIGNED_MARKS_MAX
    for part in (b"1,", b"[]", b"{}"):
        with pytest.raises(BadPayload, match="commas and brackets"):
            loads_unsigned(part * UNSIGNED_MARKS_MAX + part)


def test_members_are_found_past_any_white_space():
    assert members(b' {\n"a" :\t1 ,"b": [1, 2]\r} ') == {"a": b"1", "b": b"[1, 2]"}
