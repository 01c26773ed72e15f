"""Words outside our lists are collected where somebody collects them, cut and cleaned, and never raise."""

from tillkeeper.gateways.kit.unknown_words import WORDS_MAX, UnknownWord, unknown_word, unknown_words


def test_words_are_collected_once_in_their_order():
    with unknown_words() as words:
        unknown_word("status", "brand_new")
        unknown_word("reason", "7")
        unknown_word("status", "brand_new")
    assert list(words) == [UnknownWord("status", "brand_new"), UnknownWord("reason", "7")]


def test_where_nobody_collects_nothing_happens():
    unknown_word("status", "brand_new")


def test_a_word_is_cut_and_made_printable():
    with unknown_words() as words:
        unknown_word("status", "ab\n\u4f60" + "x" * 100)
        unknown_word("code", 12)
    first, second = words
    assert first.word == "ab??" + "x" * 60
    assert second.word == "12"


def test_there_is_an_end_to_them():
    with unknown_words() as words:
        for number in range(WORDS_MAX + 5):
            unknown_word("status", str(number))
    assert len(words) == WORDS_MAX
