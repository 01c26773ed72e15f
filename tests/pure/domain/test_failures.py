"""What payers are told of a failure: every class, both languages, and no word of suspicion."""

import re
from pathlib import Path

import pytest

from tillkeeper.domain.failures import (
    GUIDANCE,
    METHOD_WORDS,
    RETRY_WORDS,
    FailureClass,
    Guidance,
    Method,
    RetryAdvice,
    guidance_for,
)

DOC = (Path(__file__).parents[3] / "docs" / "failures.md").read_text()
SUSPICION = re.compile(
    r"fraud|suspect|suspicious|risk|stolen|theft|thief|police|blacklist|security reason"
    r"|欺诈|诈骗|嫌疑|可疑|风险|风控|盗|黑名单|报警|异常",
    re.IGNORECASE,
)


def words_of(guidance: Guidance):
    return (guidance.reason, *guidance.steps)


def test_every_class_has_its_row():
    assert set(GUIDANCE) == set(FailureClass)
    assert set(RETRY_WORDS) == set(RetryAdvice)
    assert set(METHOD_WORDS) == set(Method)


@pytest.mark.parametrize("failure", FailureClass)
def test_both_languages_say_something_and_each_in_its_own(failure):
    guidance = GUIDANCE[failure]
    assert guidance.steps
    assert guidance.alternatives
    assert len(set(guidance.alternatives)) == len(guidance.alternatives)
    for words in words_of(guidance):
        assert re.search(r"[\u4e00-\u9fff]", words.zh)
        assert words.zh.endswith("。")
        assert words.en.isascii()
        assert words.en.endswith(".")


def test_fraud_is_told_in_the_very_words_of_what_nobody_knows():
    assert GUIDANCE[FailureClass.SUSPECTED_FRAUD] == GUIDANCE[FailureClass.UNKNOWN]


@pytest.mark.parametrize("failure", FailureClass)
def test_no_payer_reads_a_word_of_suspicion(failure):
    for words in words_of(GUIDANCE[failure]):
        assert not SUSPICION.search(words.zh + words.en)


@pytest.mark.parametrize("failure", [None, "", "no_such_class", "suspected_fraud", "unknown"])
def test_a_class_that_nobody_knows_gets_the_advice_of_unknown(failure):
    assert guidance_for(failure) == GUIDANCE[FailureClass.UNKNOWN]


def test_a_class_gets_its_own_advice():
    assert guidance_for("limit_exceeded") is GUIDANCE[FailureClass.LIMIT_EXCEEDED]


@pytest.mark.parametrize("failure", FailureClass)
def test_the_docs_tell_what_the_table_says(failure):
    section = DOC.split(f"\n### `{failure}`", 1)[1].split("\n### ", 1)[0]
    assert f"\n{told(GUIDANCE[failure])}\n" in f"{section}\n"


def told(guidance: Guidance) -> str:
    """The part of a class's section in docs/failures.md that is taken from the table."""
    lines = [f"Retry 重试: **{guidance.retry}**. {_both(RETRY_WORDS[guidance.retry])}"]
    lines += ["", f"> {_both(guidance.reason)}", ""]
    lines += [f"{at}. {_both(step)}" for at, step in enumerate(guidance.steps, start=1)]
    ways = "; ".join(_both(METHOD_WORDS[method]) for method in guidance.alternatives)
    return "\n".join([*lines, "", f"Other ways 其他方式: {ways}"])


def _both(words) -> str:
    return f"{words.en} · {words.zh}"
