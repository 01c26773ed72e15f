"""The chain of hashes: what is changed in it, or in its rows, is named."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.domain.books.chain import (
    START,
    BadHead,
    ChainedTable,
    Leaf,
    faults_in,
    fixed_leaf,
    hash_of,
    leaves_in,
    new_link,
    note_leaf,
    printed_head,
    read_head,
)
from tillkeeper.domain.books.chain_keys import BadPublicKey, public_key, signer, verifier

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEAVES = [Leaf(n, fixed_leaf([n]), note_leaf(b"salt", "x") if n == 3 else b"") for n in (1, 2, 3)]


def a_link(before=None, leaves=LEAVES):
    return new_link(before, ChainedTable.ACTS, first_id=1, last_id=3, leaves=leaves, now=NOON)


def faults(present, unsalted=()):
    return [(fault.id, fault.what) for fault in faults_in(a_link(), present, frozenset(unsalted))]


def test_a_link_follows_the_one_before_and_proves_itself():
    first = a_link()
    second = a_link(first)
    assert (first.number, first.previous) == (1, START)
    assert (second.number, second.previous) == (2, first.hash)
    assert hash_of(second) == second.hash != first.hash
    assert leaves_in(first) == LEAVES


@pytest.mark.parametrize(
    "change",
    [
        {"number": 9},
        {"subject": ChainedTable.EVENTS},
        {"first_id": 0},
        {"last_id": 4},
        {"leaves": b"\x90"},
        {"sealed_at": NOON + timedelta(seconds=1)},
        {"previous": b"\1" * 32},
    ],
)
def test_whatever_is_changed_in_a_link_its_hash_is_another(change):
    assert hash_of(msgspec.structs.replace(a_link(), **change)) != a_link().hash


def test_a_moment_is_the_same_in_every_zone():
    elsewhere = NOON.astimezone(timezone(timedelta(hours=8)))
    assert fixed_leaf([NOON, None, 1, "x"]) == fixed_leaf([elsewhere, None, 1, "x"])
    assert fixed_leaf(["a", "b"]) != fixed_leaf(["ab"])


def test_rows_that_are_as_they_were_have_no_fault():
    assert faults(LEAVES) == []


def test_what_was_altered_removed_and_added_is_named():
    altered, noted = Leaf(1, fixed_leaf(["other"])), Leaf(3, LEAVES[2].fixed, note_leaf(b"salt", "y"))
    assert faults([altered, noted, Leaf(4, fixed_leaf([4]))]) == [
        *((1, "altered"), (2, "removed"), (3, "note altered"), (4, "added"))
    ]


def test_a_note_that_was_erased_is_no_fault_and_the_rest_of_its_row_still_is():
    erased = Leaf(3, LEAVES[2].fixed, b"?" * 16)
    assert faults([*LEAVES[:2], erased], unsalted={3}) == []
    assert faults([*LEAVES[:2], Leaf(3, fixed_leaf(["other"]), b"?" * 16)], unsalted={3}) == [(3, "altered")]
    assert faults([*LEAVES[:2], Leaf(3, LEAVES[2].fixed)], unsalted={3}) == [(3, "altered")]


def test_a_head_is_printed_and_read_again_however_it_is_spaced():
    head = printed_head(a_link())
    assert [len(group) for group in head.split("-")] == [1, *[4] * 9]
    for typed in (head, head.lower(), head.replace("-", " "), f"  {head}  "):
        assert read_head(typed) == (1, a_link().hash[:20])


@given(st.integers(2, 40), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_a_mistyped_head_is_told_from_another_one(at, letter):
    head = printed_head(a_link())
    if head[at] in ("-", letter):
        return
    with pytest.raises(BadHead, match="mistyped"):
        read_head(head[:at] + letter + head[at + 1 :])


NO_HEADS = (
    *("", "1", "-", "x-AAAA", "1-AAAA-BBBB", "1" + "-0189" * 9),
    *("²" + "-AAAA" * 9, "9" * 5000 + "-AAAA" * 9),
)


@pytest.mark.parametrize("text", NO_HEADS)
def test_what_is_no_head_is_said(text):
    with pytest.raises(BadHead, match="nine groups"):
        read_head(text)


def test_what_one_key_signs_that_key_verifies_and_no_other():
    key, other = "1f" * 32, "2e" * 32
    digest = a_link().hash
    signature = signer(key)(digest)
    assert verifier(public_key(key))(digest, signature)
    assert not verifier(public_key(other))(digest, signature)
    assert not verifier(public_key(key))(START, signature)


@pytest.mark.parametrize("text", ["", "xyz", "1f" * 31])
def test_what_is_no_public_key_is_said(text):
    with pytest.raises(BadPublicKey, match="64 hexadecimal digits"):
        verifier(text)
