"""The policy's file: the default one, and what is said of one that is wrong."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.system.policies import ACCOUNTS, ONE, ROOT, problems
from tillkeeper.domain.ladder import Action, Ladder
from tillkeeper.domain.policy import CasePolicy, HintPolicy, Policy, SilencePolicy
from tillkeeper.domain.statement_terms import BooksTerms, FeeTerms
from tillkeeper.domain.statuses import Status
from tillkeeper.policy import BadPolicy, digest_of, load_policy
from tillkeeper.policy.reading import read_policy
from tillkeeper.policy.spans import BadSpan, parse_span, short, written_all

DEFAULT = (ROOT / "deploy" / "policy.toml").read_text()


@pytest.fixture
def load(tmp_path):
    def load(text: str, accounts=ACCOUNTS) -> Policy:
        path = tmp_path / "policy.toml"
        path.write_text(text)
        return load_policy(path, accounts)

    return load


def moments_of(ladder) -> dict[str, tuple[str, ...]]:
    """The ladder as it would be written."""
    return {str(steps.action): written_all(steps) for steps in ladder.actions}


# --- the default policy -----------------------------------------------------------------------------------------------


def test_the_default_policy_has_a_ladder_for_every_status():
    policy = load_policy()
    assert set(policy.ladders) == set(Status)
    assert all(Action.QUERY in [steps.action for steps in policy.ladder(status).actions] for status in Status)


def test_the_default_policy_says_what_the_types_say_where_both_have_a_default():
    policy = load_policy()
    others = ("cases", "unmatched_case", "after_close", "silence", "hints", "books")
    assert [getattr(policy, name) for name in others] == [getattr(Policy(), name) for name in others]


def test_the_default_policy_read_as_a_file_is_itself():
    assert load_policy(ROOT / "deploy" / "policy.toml") == load_policy()


def test_an_empty_file_is_the_default_policy(load):
    assert load("") == load_policy()


def test_a_key_of_a_file_overrides_that_key_alone(load):
    processing = moments_of(load('[processing]\ncase = "1h"').ladder(Status.PROCESSING))
    default = moments_of(load_policy().ladder(Status.PROCESSING))
    assert processing == {**default, "case": ("1h",)}


def test_a_method_stands_above_its_account_and_the_account_above_the_rest(load):
    policy = load(
        '[processing]\ncase = "1h"\n'
        "[accounts.stripe-main.processing]\nremind = []\n"
        '[accounts.stripe-main.methods.sepa_debit.processing]\ncase = "10d"\nescalate = "12d"\n'
        '[accounts.stripe-main.methods.sepa_debit.refunding]\nremind = "5d"\n'
    )
    general = moments_of(policy.ladder(Status.PROCESSING))
    at_account = {action: moments for action, moments in general.items() if action != "remind"}
    assert general["case"] == ("1h",)
    assert moments_of(policy.ladder(Status.PROCESSING, "alipay-main", "sepa_debit")) == general
    assert moments_of(policy.ladder(Status.PROCESSING, "stripe-main", "card")) == at_account
    by_debit = moments_of(policy.ladder(Status.PROCESSING, "stripe-main", "sepa_debit"))
    assert by_debit == {**at_account, "case": ("10d",), "escalate": ("12d",)}
    assert moments_of(policy.ladder(Status.REFUNDING, "stripe-main", "sepa_debit"))["remind"] == ("5d",)


def test_an_empty_list_switches_an_action_off(load):
    assert load("[paid]\nquery = []").ladder(Status.PAID) == Ladder()


def test_the_other_tables_are_read(load):
    policy = load(
        '[cases]\nfollow_up = "8h"\nlevels = 2\n[unmatched]\ncase = "1h30m"\n[closing]\nafter = "reopen"\n[failed]\n'
    )
    assert policy.cases == CasePolicy(follow_up=timedelta(hours=8), levels=2)
    assert (policy.unmatched_case, policy.after_close) == (timedelta(minutes=90), "reopen")
    policy = load('[silence]\nafter = "45m"\nfalse_alarm = 1e-4\n[hints]\nper_minute = 3')
    assert policy.silence == SilencePolicy(after=timedelta(minutes=45), false_alarm=1e-4)
    assert policy.hints == HintPolicy(per_minute=3)


def test_terms_of_an_account_stand_over_those_of_all(load):
    text = (
        '[books]\nbuffer = "2d"\nfetch = true\n[books.accounts.stripe-main]\nfetch = false\norder_prefixes = ["A-"]\n'
    )
    fee = '[books.accounts.stripe-main.fees.USD]\npercent = "2.9"\nfixed = 30'
    books = load(text + fee).books
    assert books.of("alipay-main") == BooksTerms(fetch=True, buffer=timedelta(days=2))
    fees = {"USD": FeeTerms(millionths=29_000, fixed=30)}
    assert books.of("stripe-main") == BooksTerms(buffer=timedelta(days=2), order_prefixes=("A-",), fees=fees)


def test_the_examples_in_the_default_policy_are_right(load):
    live = re.sub(r"^#(?=[\[a-z])", "", DEFAULT, flags=re.MULTILINE)
    assert live != DEFAULT
    policy = load(live)
    assert set(policy.accounts["stripe-main"].methods) == {"sepa_debit", "bacs_debit", "us_bank_account"}
    assert list(policy.accounts["alipay-main"].ladders) == [Status.PROCESSING]


def test_the_digest_is_another_exactly_when_the_policy_is(load):
    same = load('# of another layout\n[cases]\nlevels = 3\n[unpaid]\nremind = "expiry-60m"')
    assert digest_of(same) == digest_of(load_policy())
    others = ['[paid]\nquery = "24h"', '[closing]\nafter = "reopen"', '[accounts.stripe-main.paid]\nquery = "24h"']
    assert len({digest_of(load(each)) for each in ("", *others)}) == 4


# --- spans ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("0s", timedelta()),
        ("90s", timedelta(seconds=90)),
        ("1h30m", timedelta(minutes=90)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("366d", timedelta(days=366)),
    ],
)
def test_spans_are_read(text, span):
    assert parse_span(text) == span


@given(st.integers(0, 366 * 86400).map(lambda seconds: timedelta(seconds=seconds)))
def test_a_span_is_written_as_it_is_read(span):
    assert parse_span(short(span)) == span


@pytest.mark.parametrize(
    "text", ["", "5", "m", "5 m", "30m1h", "1.5h", "٣m", "5M", "2w", "9" * 9 + "s", "367d", "1h\n"]
)
def test_what_is_no_span_is_told(text):
    with pytest.raises(BadSpan, match=r"write 90s|longest"):
        parse_span(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[procesing]", "procesing: is neither a status nor another table; did you mean processing?"),
        ("[zzz]", "zzz: is neither a status nor another table; known are unpaid, "),
        ("processing = 3", "processing: is a table: [processing]"),
        ('[paid]\nask = "1h"', "paid.ask: is no action; known are query, grace, "),
        ('[paid]\nqery = "1h"', "paid.qery: is no action; did you mean query?"),
        ("[paid]\nquery = 60", 'paid.query: is a list of moments in quotes, such as ["2m", "1h"]'),
        ('[paid]\nquery = ["1h", 2]', "paid.query: is a list of moments in quotes"),
        ('[paid]\nquery = ["1h", "2x"]', "paid.query.1: '2x' is no moment; write 5m, 1h30m, 10d, expiry-1h, due or"),
        ('[paid]\nquery = "expired+1h"', "paid.query.0: 'expired+1h' is no moment; "),
        ('[paid]\nquery = "expiry-x"', "paid.query.0: 'x' is no span of time; "),
        ('[paid]\nquery = "-1h"', "paid.query.0: '-1h' would be before the wait begins; only expiry and due have"),
        ('[paid]\nquery = "400d"', "paid.query.0: '400d' is longer than 366d, the longest span"),
        ('[paid]\nquery = ["2h", "1h"]', "paid.query: '1h' is not after '2h'; write the earliest first"),
        ('[paid]\nquery = ["60m", "1h"]', "paid.query: '1h' is not after '1h'; "),
        ('[unpaid]\nremind = ["due+1h", "2h", "due-1h"]', "unpaid.remind: 'due-1h' is not after 'due+1h'; "),
        ('[paid]\nquery = ["1h", "every 1h", "2h"]', "paid.query: 'every 1h' goes on from the moment before it, so it"),
        ('[paid]\nquery = "every 1h"', "paid.query: 'every 1h' goes on from the moment before it, so it comes last"),
        ('[paid]\nquery = ["1h", "every 1s"]', "paid.query.1: 'every 1s' is too often; every 1m is the most"),
        ('[unpaid]\nremind = ["1h", "every 1h"]', "unpaid.remind: reminders must end; write the moments"),
        (f"[paid]\nquery = {[f'{hours}h' for hours in range(1, 22)]}", "paid.query: has 21 moments, 20 is the most; "),
        ('[paid]\nclose = "1h"', "paid.close: makes no sense while an order is paid: an order is closed only when"),
        ('[processing]\nclose = "1h"', "processing.close: makes no sense while an order is processing: "),
        ('[processing]\ngrace = "1h"', "processing.grace: makes no sense while an order is processing: only a failure"),
        ('[refunded]\nremind = "1h"', "refunded.remind: makes no sense while an order is refunded: the payer has"),
        ('[processing]\ncase = "1m"', "processing.case: the gateway is asked before anything is concluded: query must"),
        (
            '[processing]\nquery = "1h"',
            "processing.case: the gateway is asked before anything is concluded: query must",
        ),
        ('[processing]\ncase = "due+1h"\nescalate = []', "processing.case: the gateway is asked before anything is "),
        ('[failed]\ngrace = "1m"', "failed.grace: the gateway is asked before anything is concluded: query must name"),
        ('[processing]\nescalate = "20m"', "processing.escalate: a case is opened before it is escalated: case must "),
        (
            "[processing]\ncase = []",
            "processing.escalate: a case is opened before it is escalated: case must name '1d'",
        ),
        ('[processing]\ncase = ["1h", "2h"]', "processing.case: happens once; '2h' after '1h' would do nothing: keep"),
        ("[cases]\nlevel = 3", "cases.level: is not a key here; did you mean levels?"),
        ("[cases]\nlevels = 0", "cases.levels: is a number from 1 to 9"),
        ("[cases]\nlevels = true", "cases.levels: is a number from 1 to 9"),
        ("cases = []", "cases: is a table: [cases]"),
        ('[cases]\nfollow_up = "1m"', "cases.follow_up: '1m' is too often; 10m is the least"),
        ('[cases]\nfollow_up = ["24h"]', 'cases.follow_up: is one span of time in quotes, such as "24h"'),
        ('[unmatched]\ncase = "due"', "unmatched.case: 'due' is no span of time; "),
        ('[closing]\nafter = "refund"', "closing.after: is 'reopen' or 'case'"),
        ('[closed]\nquery = "x"', "closed.query.0: 'x' is no moment"),
        (
            '[closed]\nquery = ["1h", "every 24h"]',
            "closed.query: nobody asks about closed orders without an end",
        ),
        ('[closed]\nquery = "due+1h"', "closed.query: 'due+1h' is no time after closing; write a span such as '1h'"),
        ('[closed]\nremind = "1h"', "closed.remind: is not a key here; known are query"),
        ("[closed]\nquery = 3", "closed.query: is a list of moments in quotes"),
        ("[closing]\nafter = []", "closing.after: is 'reopen' or 'case'"),
        ('[silence]\nafter = "soon"', "silence.after: 'soon' is no span of time; "),
        ('[silence]\nlearning = "1d"', "silence.learning: '1d' is too short; 3d is the least"),
        ('[silence]\nlearning = "30d"', "silence.learning: no more than 21d of an account's history are kept"),
        ("[silence]\nfalse_alarm = 0.5", "silence.false_alarm: is a number from 1e-12 to 0.01, such as 1e-6"),
        ("[silence]\nfalse_alarm = 0", "silence.false_alarm: is a number from 1e-12 to 0.01, such as 1e-6"),
        ("[hints]\nper_minute = -1", "hints.per_minute: is a number from 0 to 600"),
        ('[hints]\nagain_after = "0s"', "hints.again_after: '0s' is too short; 1m is the least"),
        ("[hints]\nper_hour = 3", "hints.per_hour: is not a key here; "),
        ("books = 3", "books: is a table: [books]"),
        ('[books]\nbuffer = "30d"', "books.buffer: 14d is the most"),
        ('[books]\nfetch = "daily"', "books.fetch: is true or false"),
        ("[books]\nbufer = 3", "books.bufer: is not a key here; did you mean buffer?"),
        ("[books]\norder_prefixes = 3", "books.order_prefixes: is a list of up to 20 texts"),
        ("[books]\naccounts = 3", "books.accounts: is a table: "),
        ("[books.accounts.alipay-mian]", "books.accounts.alipay-mian: the settings have no such account; did you mean"),
        ("[books.fees.cny]", "books.fees.cny: is a currency of three letters, such as CNY"),
        ("[books.fees.CNY]\npercent = 0.6", "books.fees.CNY.percent: is a part of a hundred in quotes"),
        ("[books.fees.CNY]\nfixed = 0.5", "books.fees.CNY.fixed: is a number of minor units, such as 30"),
        ("[books.fees.CNY]\nrate = 1", "books.fees.CNY.rate: is not a key here; "),
        ("accounts = 3", "accounts: is a table: [accounts]"),
        ("[accounts]\nstripe-main = 3", "accounts.stripe-main: is a table: [accounts.stripe-main]"),
        (
            "[accounts.alipay-mian]",
            "accounts.alipay-mian: the settings have no such account; did you mean alipay-main?",
        ),
        ("[accounts.stripe-main.paied]", "accounts.stripe-main.paied: is no status; did you mean paid?"),
        ("[accounts.stripe-main]\nmethods = 3", "accounts.stripe-main.methods: is a table: "),
        (f"[accounts.{'x' * 65}]", f"accounts.{'x' * 20}...: a name has 64 characters at most"),
        (
            '[accounts.stripe-main.processing]\ncase = "1m"',
            "accounts.stripe-main.processing.case: the gateway is asked",
        ),
        (
            '[accounts.stripe-main.methods.sepa_debit.processing]\nquery = "2d"',
            "accounts.stripe-main.methods.sepa_debit.processing.case: the gateway is asked before anything is ",
        ),
        ('["a\\nb"]', "a\\nb: is neither a status nor another table; "),
        ("[paid", "the policy is not TOML: "),
        (f"x = {'9' * 5000}", "the policy is not TOML that can be read"),
        (f"x = {'[' * 5000}", "the policy is not TOML that can be read"),
    ],
    ids=lambda each: each[:40],
)
def test_each_problem_is_a_line_that_names_the_key(load, text, problem):
    assert any(line.startswith(problem) for line in problems(load, text)), problems(load, text)


def test_all_problems_are_told_at_once(load):
    told = problems(load, '[paid]\nquery = ["1x", "2x"]\n[cases]\nlevels = 0\n[closing]\nafter = "x"')
    assert [line.split(":")[0] for line in told] == ["paid.query.0", "paid.query.1", "cases.levels", "closing.after"]


def test_accounts_are_not_checked_where_nobody_knows_them(load):
    assert "anything" in load('[accounts.anything.paid]\nquery = "1h"', None).accounts
    assert "known are none" in problems(load, '[accounts.anything.paid]\nquery = "1h"', ())[0]


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (binary := tmp_path / "binary").write_bytes(b"\xff\xfe")
    (endless := tmp_path / "endless").write_bytes(b"#" * (256 * 1024 + 1))
    for path, told in [
        (tmp_path / "absent", "cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (Path("\0"), "cannot be read: that is no name of a file"),
        (binary, "is not UTF-8 text"),
        (endless, "is greater than 262144 bytes"),
    ]:
        with pytest.raises(BadPolicy, match=told):
            load_policy(path)


KEYS = [*Status, *Action, "accounts", "methods", "cases", "levels", "follow_up", "closing", "after", "stripe-main", "x"]
VALUES = ["1h", "2m", "expiry-1h", "due", "every 1h", "every", "-1h", "case", "", "due+", "9999999d"]
leaves = st.sampled_from(VALUES) | st.text(max_size=5) | st.integers(-1, 9) | st.booleans() | st.dates() | st.floats()
trees = st.dictionaries(
    st.sampled_from(KEYS),
    st.recursive(
        leaves | st.lists(leaves, max_size=3),
        lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
        max_leaves=8,
    ),
    max_size=4,
)


def as_toml(value) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {as_toml(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(as_toml, value)) + "]"
        case bool() | str():
            return json.dumps(value).replace("\x7f", "\\u007f")
        case _:
            return str(value)


def told_of(content: bytes) -> tuple[str, ...]:
    """The problems, none where it is a policy."""
    try:
        assert set(read_policy(content, ACCOUNTS).ladders) == set(Status)
    except BadPolicy as error:
        return error.problems
    return ()


@given(trees)
def test_whatever_stands_in_a_file_it_is_a_policy_or_its_problems_are_told(tree):
    text = "\n".join(f"{json.dumps(key)} = {as_toml(value)}" for key, value in tree.items())
    assert all(problem.isprintable() for problem in told_of(text.encode(errors="surrogatepass")))


@given(st.binary(max_size=200))
def test_whatever_bytes_a_file_holds_they_are_a_policy_or_their_problems_are_told(content):
    assert all(problem.isprintable() for problem in told_of(content))


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(ONE)
    return path
