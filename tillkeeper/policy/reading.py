"""A policy out of a TOML file: every key that the file leaves out stands as in the default policy, and whatever is
wrong is told in a line that names the key, what was wrong, and what would be right.

    default ──┐
              ├─ merge, key by key ──> read spans ──> check each ladder ──> Policy
    the file ─┘                                      (also as it is at an account, and for a method there)

Read by hand rather than through a model: keys are statuses, accounts and methods, values are a small language of
their own, and most of what can be wrong is wrong between keys.
"""

import difflib
import hashlib
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar, cast, get_args

import msgspec

from tillkeeper.domain.ladder import Action, ActionSteps, Anchor, Ladder, StepTime
from tillkeeper.domain.order.status import Status
from tillkeeper.domain.policy import AccountPolicy, CasePolicy, HintPolicy, Policy, SilencePolicy
from tillkeeper.policy.spans import BadSpan, parse_every, parse_span, parse_time, short, written

FILE_BYTES_MAX: Final = 256 * 1024  # the default policy, with all its explanations, is under 10 KB
TIMES_MAX: Final = 20  # of one action; what must go on for longer says "every 24h"
FOLLOW_UP_MIN: Final = timedelta(minutes=10)  # people who are told more often stop to read
LEVELS_MAX: Final = 9  # as the database has it
LEARNED: Final = "learned"  # in the place of a span: as each account's own history has it
SILENCE_MIN: Final = timedelta(minutes=1)  # as often as it is looked at, and a bit
LEARNING_MIN: Final = timedelta(days=3)  # less would take one odd day for the rule
LEARNING_MAX: Final = timedelta(days=21)  # under the days that are kept (domain/silence.py)
FALSE_ALARM_MIN: Final = 1e-12
FALSE_ALARM_MAX: Final = 0.01
HINTS_MAX: Final = 600  # a minute; more are no hints but load
NAME_CHARS_MAX: Final = 64  # of an account or method

ByAction = dict[Action, ActionSteps]
AfterClose = Literal["reopen", "case"]
_Named = TypeVar("_Named", bound=StrEnum)

# What makes sense while an order is in a status, and the reason that is told for what does not.
_MONEY_IS_AWAITED: Final = frozenset(
    {Status.UNPAID, Status.PROCESSING, Status.FAILED, Status.PARTIALLY_PAID, Status.REFUNDING}
)
SENSE: Final[Mapping[Action, tuple[frozenset[Status], str]]] = MappingProxyType(
    {
        Action.QUERY: (frozenset(Status), ""),
        Action.GRACE: (frozenset({Status.FAILED}), "only a failure is given time to turn into a success"),
        Action.REMIND: (_MONEY_IS_AWAITED, "the payer has nothing to do or to wait for"),
        Action.CASE: (_MONEY_IS_AWAITED, "nothing is stuck"),
        Action.ESCALATE: (_MONEY_IS_AWAITED, "nothing is stuck"),
        Action.CLOSE: (
            frozenset({Status.UNPAID, Status.FAILED}),
            "an order is closed only when no money came and none is under way; a case brings it to a person",
        ),
    }
)
# What must stand at or before the first moment of an action, counted from the same beginning.  Closing needs no query
# before it, for it asks by itself: one at the same moment would ask twice.
BEFORE: Final[Mapping[Action, Action]] = MappingProxyType(
    {
        Action.GRACE: Action.QUERY,
        Action.CASE: Action.QUERY,
        Action.ESCALATE: Action.CASE,
    }
)
WHY_BEFORE: Final[Mapping[Action, str]] = MappingProxyType(
    {
        Action.QUERY: "the gateway is asked before anything is concluded",
        Action.CASE: "a case is opened before it is escalated",
    }
)
ONCE: Final = frozenset({Action.GRACE, Action.CASE})  # the second time would find it done
ENDLESS: Final = frozenset({Action.QUERY, Action.CLOSE})  # may go on with "every 24h"; people are not told for ever

_OTHERS: Final = ("cases", "unmatched", "closing", "closed", "silence", "hints", "accounts")
_TABLES: Final = (*(str(status) for status in Status), *_OTHERS)


class BadPolicy(Exception):
    """The policy cannot be used; one readable line per problem, naming the key."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def load_policy(path: Path | None = None, accounts: Collection[str] | None = None) -> Policy:
    """The policy in the file, or the default one; `accounts`, if given, are all that it may name.

    Raises BadPolicy.
    """
    return read_policy(_content(path) if path else b"", accounts)


def read_policy(content: bytes, accounts: Collection[str] | None = None) -> Policy:
    """The policy in the content of a file.  Raises BadPolicy."""
    default = tomllib.loads(default_path().read_text(encoding="utf-8"))
    problems = list[str]()
    policy = _policy(_merged(default, _parsed(content)), accounts, problems)
    if problems:
        raise BadPolicy(problems)
    return policy


def default_path() -> Path:
    """Where the default policy lies: in the package or, in a checkout, in deploy/."""
    packaged = Path(__file__).parents[1] / "policy.toml"
    return packaged if packaged.exists() else Path(__file__).parents[2] / "deploy" / "policy.toml"


def digest_of(policy: Policy) -> str:
    """Names what the policy says, however its file is laid out."""
    said = msgspec.json.encode(policy, enc_hook=dict, order="sorted")
    return hashlib.sha256(said).hexdigest()[:16]


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise BadPolicy([f"the policy {path} cannot be read: {error.strerror}"]) from None
    except ValueError:
        raise BadPolicy([f"the policy {str(path)!r} cannot be read: that is no name of a file"]) from None
    if len(content) > FILE_BYTES_MAX:
        raise BadPolicy([f"the policy {path} is greater than {FILE_BYTES_MAX} bytes"])
    return content


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError:
        raise BadPolicy(["the policy is not UTF-8 text"]) from None
    except tomllib.TOMLDecodeError as error:
        raise BadPolicy([f"the policy is not TOML: {error}"]) from None
    except (RecursionError, ValueError):  # brackets a thousand deep; a number of 5,000 digits
        raise BadPolicy(["the policy is not TOML that can be read"]) from None


def _merged(default: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Tables are merged key by key; what stands in both is as the file has it."""
    both = {
        name: _merged(default[name], value)
        if isinstance(value, dict) and isinstance(default.get(name), dict)
        else value
        for name, value in own.items()
    }
    return {**default, **both}


def _policy(tree: dict[str, Any], accounts: Collection[str] | None, problems: list[str]) -> Policy:
    problems.extend(
        f"{_shown((name,))}: is neither a status nor another table; {_known(name, _TABLES)}"
        for name in tree
        if name not in _TABLES
    )
    told = {name: value for name, value in tree.items() if name in set(Status)}
    general = _by_status(told, (), {}, problems)
    cases = _table(tree, ("cases",), ("follow_up", "levels"), problems)
    unmatched = _table(tree, ("unmatched",), ("case",), problems)
    closing = _table(tree, ("closing",), ("after",), problems)
    return Policy(
        ladders=_ladders(general),
        accounts=_accounts(tree["accounts"], general, accounts, problems) if "accounts" in tree else {},
        cases=CasePolicy(
            follow_up=_span(cases.get("follow_up"), ("cases", "follow_up"), problems, least=FOLLOW_UP_MIN),
            levels=_levels(cases.get("levels"), problems),
        ),
        unmatched_case=_span(unmatched.get("case"), ("unmatched", "case"), problems),
        after_close=_after_close(closing.get("after"), problems),
        closed=_closed(tree, problems),
        silence=_silence(tree, problems),
        hints=_hints(tree, problems),
    )


# --- ladders ----------------------------------------------------------------------------------------------------------


def _by_status(
    tree: Mapping[str, Any], key: tuple[str, ...], beneath: Mapping[Status, ByAction], problems: list[str]
) -> dict[Status, ByAction]:
    """What each of the statuses named says, above what stands beneath it."""
    found = dict[Status, ByAction]()
    for name, table in tree.items():
        status = _named(Status, name, key, problems)
        if status is not None and _is_table(table, (*key, name), problems):
            before = len(problems)
            own = dict(_all_steps(status, table, (*key, name), problems))
            found[status] = {**beneath.get(status, {}), **own}
            if len(problems) == before:  # else what is missing now would be told, too
                problems.extend(_out_of_order(found[status], (*key, name)))
    return found


def _all_steps(
    status: Status, table: dict[str, Any], key: tuple[str, ...], problems: list[str]
) -> Iterator[tuple[Action, ActionSteps]]:
    for name, value in table.items():
        at = (*key, name)
        if (action := _named(Action, name, key, problems)) is None:
            continue
        if (texts := _texts(value, at, problems)) is None:
            continue
        where, why = SENSE[action]
        if texts and status not in where:
            problems.append(f"{_shown(at)}: makes no sense while an order is {status}: {why}")
        elif (steps := _steps_of(action, texts, at, problems)) is not None:
            yield action, steps


def _texts(value: Any, key: tuple[str, ...], problems: list[str]) -> list[str] | None:
    """The moments as they are written; one may stand for a list of one."""
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        problems.append(f'{_shown(key)}: is a list of moments in quotes, such as ["2m", "1h"]')
        return None
    if len(texts) > TIMES_MAX:
        problems.append(f'{_shown(key)}: has {len(texts)} moments, {TIMES_MAX} is the most; end it with "every 24h"')
        return None
    return texts


def _steps_of(action: Action, texts: list[str], key: tuple[str, ...], problems: list[str]) -> ActionSteps | None:
    times, every, before = list[StepTime](), None, len(problems)
    for at, text in enumerate(texts):
        try:
            rounds = parse_every(text)
            if rounds is None:
                times.append(parse_time(text))
                continue
        except BadSpan as error:
            problems.append(f"{_shown((*key, str(at)))}: {error}")
            continue
        every = rounds
        if at == 0 or at != len(texts) - 1:
            problems.append(f"{_shown(key)}: {text!r} goes on from the moment before it, so it comes last, never first")
        elif action not in ENDLESS:
            problems.append(f"{_shown(key)}: nobody is told without an end; write the moments out instead of {text!r}")
    problems.extend(f"{_shown(key)}: {problem}" for problem in _not_rising(action, times))
    return ActionSteps(action=action, times=tuple(times), every=every) if len(problems) == before else None


def _not_rising(action: Action, times: list[StepTime]) -> Iterator[str]:
    for anchor in Anchor:
        of_anchor = [time for time in times if time.anchor is anchor]
        for earlier, later in pairwise(of_anchor):
            if later.offset <= earlier.offset:
                yield f"{written(later)!r} is not after {written(earlier)!r}; write the earliest first"
            elif action in ONCE:
                yield f"happens once; {written(later)!r} after {written(earlier)!r} would do nothing: keep one of them"


def _out_of_order(actions: ByAction, key: tuple[str, ...]) -> Iterator[str]:
    """What would happen before that which must come first."""
    for action, needed in BEFORE.items():
        for anchor in Anchor:
            late, early = _first(actions, action, anchor), _first(actions, needed, anchor)
            if late is None or (early is not None and early.offset <= late.offset):
                continue
            instead = f", but begins at {written(early)!r}" if early else ""
            yield (
                f"{_shown((*key, action))}: {WHY_BEFORE[needed]}: {needed} must name {written(late)!r} or a moment "
                f"before it{instead}"
            )


def _first(actions: ByAction, action: Action, anchor: Anchor) -> StepTime | None:
    times = actions[action].times if action in actions else ()
    return next((time for time in times if time.anchor is anchor), None)


def _ladders(actions: Mapping[Status, ByAction]) -> dict[Status, Ladder]:
    """In the order of statuses and actions, so that what says the same is the same."""
    return {
        status: Ladder(
            actions=tuple(actions[status][it] for it in Action if it in actions[status] and actions[status][it].times)
        )
        for status in Status
        if status in actions
    }


# --- accounts ---------------------------------------------------------------------------------------------------------


def _accounts(
    tree: Any, general: Mapping[Status, ByAction], known: Collection[str] | None, problems: list[str]
) -> dict[str, AccountPolicy]:
    found = dict[str, AccountPolicy]()
    for name, table in _names(tree, ("accounts",), problems):
        if known is not None and name not in known:
            problems.append(f"accounts.{name}: the settings have no such account; {_known(name, sorted(known))}")
        statuses = {status: value for status, value in table.items() if status != "methods"}
        at_account = _by_status(statuses, ("accounts", name), general, problems)
        found[name] = AccountPolicy(
            ladders=_ladders(at_account),
            methods=_methods(table.get("methods", {}), name, {**general, **at_account}, problems),
        )
    return found


def _methods(
    tree: Any, account: str, beneath: Mapping[Status, ByAction], problems: list[str]
) -> dict[str, Mapping[Status, Ladder]]:
    key = ("accounts", account, "methods")
    return {
        name: _ladders(_by_status(table, (*key, name), beneath, problems))
        for name, table in _names(tree, key, problems)
    }


def _names(tree: Any, key: tuple[str, ...], problems: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tables in a table whose keys are the user's own names."""
    if not _is_table(tree, key, problems):
        return
    for name, table in tree.items():
        if len(name) > NAME_CHARS_MAX:
            problems.append(f"{_shown((*key, name[:20]))}...: a name has {NAME_CHARS_MAX} characters at most")
        elif _is_table(table, (*key, name), problems):
            yield name, table


# --- the rest ---------------------------------------------------------------------------------------------------------


def _closed(tree: dict[str, Any], problems: list[str]) -> Ladder:
    """Questions alone, counted from closing, and with an end."""
    key = ("closed", str(Action.QUERY))
    texts = _texts(_table(tree, key[:1], key[1:], problems).get(key[1], []), key, problems)
    steps = _steps_of(Action.QUERY, texts, key, problems) if texts else None
    if steps is None:
        return Ladder()
    if steps.every is not None:
        problems.append(f"{_shown(key)}: nobody asks about closed orders without an end; write the moments out")
    problems.extend(
        f"{_shown(key)}: {written(time)!r} is no time after closing; write a span such as '1h'"
        for time in steps.times
        if time.anchor is not Anchor.START
    )
    return Ladder(actions=(steps,))


def _silence(tree: dict[str, Any], problems: list[str]) -> SilencePolicy:
    names = ("after", "learning", "false_alarm", "least", "ask_every", "unanswering")
    table = _table(tree, ("silence",), names, problems)

    def span(name: str, least: timedelta = SILENCE_MIN) -> timedelta:
        return _span(table.get(name), ("silence", name), problems, least=least, less="too short")

    learning = span("learning", LEARNING_MIN)
    if learning > LEARNING_MAX:
        problems.append(f"silence.learning: no more than {short(LEARNING_MAX)} of an account's history are kept")
    return SilencePolicy(
        after=None if table.get("after") == LEARNED else span("after"),
        learning=learning,
        false_alarm=_chance(table.get("false_alarm"), problems),
        least=span("least"),
        ask_every=span("ask_every"),
        unanswering=span("unanswering"),
    )


def _chance(value: Any, problems: list[str]) -> float:
    if type(value) is float and FALSE_ALARM_MIN <= value <= FALSE_ALARM_MAX:
        return value
    problems.append(f"silence.false_alarm: is a number from {FALSE_ALARM_MIN:g} to {FALSE_ALARM_MAX:g}, such as 1e-6")
    return FALSE_ALARM_MAX


def _hints(tree: dict[str, Any], problems: list[str]) -> HintPolicy:
    table = _table(tree, ("hints",), ("per_minute", "again_after"), problems)
    per_minute = table.get("per_minute")
    if type(per_minute) is not int or not 0 <= per_minute <= HINTS_MAX:
        problems.append(f"hints.per_minute: is a number from 0 to {HINTS_MAX}")
        per_minute = 0
    again_after = _span(
        table.get("again_after"), ("hints", "again_after"), problems, least=SILENCE_MIN, less="too short"
    )
    return HintPolicy(per_minute=per_minute, again_after=again_after)


def _table(tree: dict[str, Any], key: tuple[str], names: tuple[str, ...], problems: list[str]) -> dict[str, Any]:
    table = tree[key[0]]  # the default policy has it
    if not _is_table(table, key, problems):
        return {}
    problems.extend(f"{_shown((*key, it))}: is not a key here; {_known(it, names)}" for it in table if it not in names)
    return cast("dict[str, Any]", table)


def _is_table(value: Any, key: tuple[str, ...], problems: list[str]) -> bool:
    if isinstance(value, dict):
        return True
    problems.append(f"{_shown(key)}: is a table: [{_shown(key)}]")
    return False


def _span(
    value: Any, key: tuple[str, ...], problems: list[str], *, least: timedelta = timedelta(), less: str = "too often"
) -> timedelta:
    if not isinstance(value, str):
        problems.append(f'{_shown(key)}: is one span of time in quotes, such as "24h"')
        return least
    try:
        span = parse_span(value)
    except BadSpan as error:
        problems.append(f"{_shown(key)}: {error}")
        return least
    if span < least:
        problems.append(f"{_shown(key)}: {value!r} is {less}; {short(least)} is the least")
    return span


def _levels(value: Any, problems: list[str]) -> int:
    if type(value) is not int or not 1 <= value <= LEVELS_MAX:
        problems.append(f"cases.levels: is a number from 1 to {LEVELS_MAX}")
        return 1
    return value


def _after_close(value: Any, problems: list[str]) -> AfterClose:
    known = get_args(AfterClose)
    if value not in known:
        problems.append(f"closing.after: is {' or '.join(map(repr, known))}")
        return "case"
    return cast("AfterClose", value)


def _named(kind: type[_Named], name: str, key: tuple[str, ...], problems: list[str]) -> _Named | None:
    if name in set(kind):
        return kind(name)
    known = [str(it) for it in kind]
    problems.append(f"{_shown((*key, name))}: is no {kind.__name__.lower()}; {_known(name, known)}")
    return None


def _known(name: str, known: Collection[str]) -> str:
    """What it may have meant, or all that there is."""
    if near := difflib.get_close_matches(name, known, n=1):
        return f"did you mean {near[0]}?"
    return f"known are {', '.join(known) or 'none'}"


def _shown(key: tuple[str, ...]) -> str:
    """The key with dots, safe on a terminal and in one line."""
    return ".".join(name if name.isprintable() else ascii(name)[1:-1] for name in key)
