"""The catalogue has both languages for each key, each key is used, and templates have no words of their own."""

import re
from pathlib import Path
from string import Formatter
from typing import get_args

from tillkeeper.api_client.account_client import Reason
from tillkeeper.desk.pages.parked.all_parked import OTHER, REASONS
from tillkeeper.desk.pages.stuck import WAITS_FOR
from tillkeeper.desk.person import Role
from tillkeeper.desk.problems import EXPLAINED
from tillkeeper.desk.show.log_texts import KEYS, word_key
from tillkeeper.desk.words import catalogue, say, say_plainly
from tillkeeper.diagnostics.findings import Finding
from tillkeeper.diagnostics.refusals import WRITTEN
from tillkeeper.domain import guard
from tillkeeper.domain.books.bank import PayoutVerdict
from tillkeeper.domain.books.matching import DIFFERENCES
from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.guard import GuardSign
from tillkeeper.domain.key_rotation import KeyVerdict
from tillkeeper.domain.ladder import Action
from tillkeeper.domain.monthly.advice import AdviceKind
from tillkeeper.domain.monthly.figures import BANDS
from tillkeeper.domain.monthly.tables import TABLES
from tillkeeper.domain.order.acts import Refusal, What
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.changes import ActKind
from tillkeeper.domain.order.doubts import DoubtKind
from tillkeeper.domain.order.explaining import NoChange
from tillkeeper.domain.order.facts import ObjectStatus
from tillkeeper.domain.order.mismatch import Mismatch
from tillkeeper.domain.order.notices import Audience
from tillkeeper.domain.order.status import STATUS_TABLE
from tillkeeper.domain.search.hits import HitKind
from tillkeeper.domain.statuses import STATUS_ZH, Status
from tillkeeper.domain.till import Concern, Truth
from tillkeeper.domain.topics import CaseTopic, MerchantTopic, Topic
from tillkeeper.gateways.errors import VerificationStep
from tillkeeper.recovery.refused import RetryObstacle

DESK = Path(__file__).parents[3] / "desk"
TEMPLATES = sorted((DESK / "templates").rglob("*.html"))
SOURCES = TEMPLATES + sorted(DESK.rglob("*.py"))

PARKED_REASONS = {*REASONS, OTHER}
# How signing in with the company's account ends.
COMPANY = {
    *("again", "misfit", "away"),
    *("no_role", "disabled", "name_taken", "not_added", "unverified", "no_name", "no_subject"),
}
KINDS = {*EXPLAINED.values(), "database", "ours"}
# Keys that are put together: what begins so ends with a word of ours, and of these each must be there.
FAMILIES = {
    "status.": set(Status),
    "problem.": KINDS | {f"{kind}_do" for kind in KINDS},
    "log.": KEYS,
    "log_how.": {"in_utf_8", "with_other_line_ends", "with_a_line_end_behind_it", "without_white_space_at_its_end"}
    | {"without_a_byte_order_mark"}
    | {word_key(how) for how in WRITTEN},
    "log_rule.": {word_key(says) for says in guard._SAYS.values()},
    "log_why.": set(get_args(Reason)),
    "address.": {"twice", "text", "number", "month", "moment", "one_of", "place"},
    "company.": COMPANY | {f"{kind}_do" for kind in COMPANY},
    "frame.role_": set(Role),
    "time.": {"seconds", "minutes", "hours", "days"},
    "tone.": {"calm", "look", "act"},
    "rule.": {rule.name for rule in STATUS_TABLE},
    "why.": set(NoChange),
    "kind.": {kind.replace(".", "_") for kind in Kind},
    "outcome.": {"applied", "no_change", "waiting", "mismatched", "duplicate"},
    "mismatch.": set(Mismatch),
    "evidence.": set(Evidence),
    "answer.": {"nothing_new", "not_found", "no_answer", "cannot_be_applied", "cannot_ask"},
    "own.": {
        *("its_cause_is_gone", "it_can_be_asked", "its_order_is_known", "its_names_agree", "the_gateway_has_said_it"),
        *("no_channel", "until"),
    },
    "step.": set(Action),
    "next.": {*Action, "query_again", "close_again", "hold_ends", "asked_for", "nothing"},
    "act.": {*ActKind, "bind", "erase"},
    "payment.": {"created", "pending", "authorized", "failed", "cancelled", "succeeded", "reversed"},
    "refund.": {"pending", "succeeded", "failed"},
    "dispute.": {"opened", "won", "lost"},
    "audience.": set(Audience),
    "notice.": {"pending", "sent", "uncertain", "dropped", "dead"},
    "topic.": {topic.replace(".", "_") for topic in (*Topic, *MerchantTopic, *CaseTopic)},
    "case.": set(CaseKind),
    "failure.": set(FailureClass),
    "case_means.": set(CaseKind),
    "case_do.": set(CaseKind),
    "case_entry.": {
        *("opened", "reopened", "escalated", "followed_up", "assigned", "noted", "resolved", "closed"),
        *("proposed", "confirmed", "refused"),
    },
    "detail.": {
        *("amount", "due", "paid", "captured", "refunding", "refunded", "proposed_refund", "status", "state"),
        *("payment_ref", "refund_ref", "order_ref", "failure", "failure_code", "currencies", "expected", "says"),
        *(
            "occurred_at",
            "since",
            "why",
            "first",
            "names_orders",
            "counts_for",
            "answers",
            "channel",
            "topic",
            "notice",
        ),
        *("delivery", "about"),
        *(
            "listed",
            "known_here",
            "listed_fee",
            "agreed_fee",
            "listed_currency",
            "form",
            "statement",
            "line",
            "verdict",
        ),
    },
    "verdict.": DIFFERENCES,
    "payout_verdict.": set(PayoutVerdict),
    "report_title.": {table.key for table in TABLES} | {column.key for table in TABLES for column in table.columns},
    "report_note.": {"totals", "hours", "failures", "rescued", "bands", "knowing", "refunds"},
    "report_advice.": set(AdviceKind),
    "weekday.": {str(day) for day in range(1, 8)},
    "band.": {str(band) for band in range(len(BANDS))},
    "parked_reason.": PARKED_REASONS,
    "parked_title.": PARKED_REASONS,
    "parked_means.": PARKED_REASONS,
    "parked_do.": PARKED_REASONS,
    "parked_outcome.": {"replayed", "superseded", "discarded"},
    "finding.": set(Finding),
    "finding_do.": set(Finding),
    "refused_step.": set(VerificationStep),
    "outbox.tab_": {"dead", "pending"},
    "key_verdict.": set(KeyVerdict),
    "cases.tab_": {"all", "yours", "due", "nobodys", "closed"},
    "find.kind_": set(HitKind),
    "cases.sum_": {"amount", "paid", "refunded"},
    "cases.will_": {f"{act}{ending}" for act in ("take", "escalate", "resolve") for ending in ("", "_means")},
    "cases.do_": {"take", "escalate", "resolve"},
    "cases.did_": {"take", "escalate", "resolve"},
    "order.title_": {*Status, "unpaid_closed", "failed_closed", "unseen", "of_later_version"},
    "order.": {
        *("due", "paid", "discount", "refunding", "refunded", "charged_back", "kept"),
        *("refund", "refunds", "dispute", "disputes"),
    },
    "doing.title_": set(What),
    "doing.means_": set(What),
    "doing.short_": set(What),
    "doing.do_": set(What),
    "doing.refused_": set(Refusal) - {Refusal.IN_DOUBT},
    "doubt.": set(DoubtKind),
    "guard.why_": {*GuardSign, "other"},
    "proposal.act_": {"bind", "close", "resolve", "guard"},
    "subject.": {*("payment", "refund", "dispute", "event", "order", "account", "fetch", "notice", "pause", "payout")},
    "object.": {*ObjectStatus, "payout_missing", "payout_differs"},
    "refused.why_": set(RetryObstacle),
    "waiting.tab_": {"all", "came", "on_its_way", "mismatched"},
    "stuck.": {*WAITS_FOR.values(), "for_person", "for_hold"},
    "now.": {*Truth, *Concern, *(f"{concern}_do" for concern in Concern), "received", "lane", "applied", "told"},
}
# Families of which the page writes the key through what is decided in Python.
DECIDED = {"band.", "report_note.", "weekday.", "order.title_", "own.", "log_how.", "log_rule.", "log_why."}
# What stands in templates as it is: the names of programs, and the keys of a keyboard.
NO_WORDS = {"e", "Tillkeeper", "RabbitMQ", "PostgreSQL", "g", "j", "k"}


def text_of_sources() -> str:
    return "\n".join(path.read_text() for path in SOURCES)


def test_every_key_has_both_languages_and_the_same_blanks():
    for key, word in catalogue().items():
        blanks = {name for _, name, _, _ in Formatter().parse(word.en) if name}
        for other in (word.zh, word.en_one):
            if other is not None:
                assert other.strip(), key
                assert {name for _, name, _, _ in Formatter().parse(other) if name} <= blanks | {"count"}, key
        assert re.search(r"[\u4e00-\u9fff]", word.zh) or not re.search(r"[A-Za-z]{3}", word.zh), key


def test_what_is_counted_has_words_for_one_alone():
    """More than 50 are always several."""
    counted = re.compile(r"(?<!than )\{count\} (\w+s|are|were|have|wait|would)\b", re.IGNORECASE)
    several = {key for key, word in catalogue().items() if counted.search(word.en) and "Over {count}" not in word.en}
    assert {key for key in several if catalogue()[key].en_one is None} == set()


def test_every_key_is_used_and_every_used_key_is_there():
    text = text_of_sources()
    named = set(re.findall(r"""['"]([a-z_]+\.[a-z0-9_]+)['"]""", text))
    in_families = {f"{prefix}{ending}" for prefix, endings in FAMILIES.items() for ending in endings}
    assert {key for key in catalogue() if key not in named and key not in in_families} == set()
    assert in_families <= set(catalogue())
    spoken = set(re.findall(r"""say(?:_plainly)?\(\s*['"]([a-z_]+\.[a-z0-9_]+)['"]\s*[,)]""", text))
    assert spoken <= set(catalogue())


def test_keys_are_put_together_for_known_families_alone():
    text = text_of_sources()
    begun = set(re.findall(r"""say\(\s*['"]([a-z_]+\.[a-z0-9_]*)['"]\s*~""", text))
    begun |= set(re.findall(r"""say(?:_plainly)?\(\s*f['"]([a-z_]+\.[a-z0-9_]*)\{""", text))
    begun |= {f"{subject}." for subject in re.findall(r"""\bword\(\s*['"]([a-z_]+)['"]""", text)}
    assert begun == set(FAMILIES) - DECIDED


def test_templates_have_no_words_of_their_own():
    for path in TEMPLATES:
        text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", path.read_text(), flags=re.DOTALL)
        attributes = re.findall(r"""(?:aria-label|placeholder|title|alt)="([^"]*)\"""", text)
        texts = re.sub(r"<[^>]*>|&[a-z]+;", " ", text)
        assert set(re.findall(r"[^\W\d_]+", f"{texts} {' '.join(attributes)}")) <= NO_WORDS, path.name


def test_status_words_are_those_of_the_design():
    assert {status: say_plainly(f"status.{status}", "zh") for status in Status} == STATUS_ZH


def test_what_is_filled_in_is_escaped():
    assert "&lt;b&gt;" in say("time.ago", "en", span="<b>")
