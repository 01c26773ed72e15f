"""Reads the ladders of a policy's file: in general, at an account, for a method there, and after closing."""

from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

from tillkeeper.domain.ladder import Action, ActionSteps, Anchor, Ladder, StepTime
from tillkeeper.domain.policy import AccountPolicy
from tillkeeper.domain.statuses import Status
from tillkeeper.policy.spans import BadSpan, parse_every, parse_time, written
from tillkeeper.policy.values import dotted, is_table, known_names, named_tables, read_name, read_table

TIMES_MAX: Final = 20  # of one action; for more, write "every 24h"
ByAction = dict[Action, ActionSteps]
# The actions that make sense in a status, and the reason given for refusing others.
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
# What must come at or before the first moment of an action, counted from the same anchor.  Closing needs no query
# before it, for it queries by itself: a query at the same moment would ask twice.
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
ONCE: Final = frozenset({Action.GRACE, Action.CASE})  # a second time would find it done
ENDLESS: Final = frozenset({Action.QUERY, Action.CLOSE})  # may repeat with "every 24h"; reminders must end


def read_by_status(
    tree: Mapping[str, Any], key: tuple[str, ...], beneath: Mapping[Status, ByAction], problems: list[str]
) -> dict[Status, ByAction]:
    """Reads the actions of each status, over those of the more general table."""
    found = dict[Status, ByAction]()
    for name, table in tree.items():
        status = read_name(Status, name, key, problems)
        if status is not None and is_table(table, (*key, name), problems):
            before = len(problems)
            own = dict(_read_actions(status, table, (*key, name), problems))
            found[status] = {**beneath.get(status, {}), **own}
            if len(problems) == before:  # else what is missing because of an error would be reported, too
                problems.extend(_out_of_order(found[status], (*key, name)))
    return found


def _read_actions(
    status: Status, table: dict[str, Any], key: tuple[str, ...], problems: list[str]
) -> Iterator[tuple[Action, ActionSteps]]:
    for name, value in table.items():
        at = (*key, name)
        if (action := read_name(Action, name, key, problems)) is None:
            continue
        if (texts := _texts(value, at, problems)) is None:
            continue
        where, why = SENSE[action]
        if texts and status not in where:
            problems.append(f"{dotted(at)}: makes no sense while an order is {status}: {why}")
        elif (steps := _read_moments(action, texts, at, problems)) is not None:
            yield action, steps


def _texts(value: Any, key: tuple[str, ...], problems: list[str]) -> list[str] | None:
    """Returns the moments as they are written; a single text stands for a list of one."""
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        problems.append(f'{dotted(key)}: is a list of moments in quotes, such as ["2m", "1h"]')
        return None
    if len(texts) > TIMES_MAX:
        problems.append(f'{dotted(key)}: has {len(texts)} moments, {TIMES_MAX} is the most; end it with "every 24h"')
        return None
    return texts


def _read_moments(action: Action, texts: list[str], key: tuple[str, ...], problems: list[str]) -> ActionSteps | None:
    times, every, before = list[StepTime](), None, len(problems)
    for at, text in enumerate(texts):
        try:
            rounds = parse_every(text)
            if rounds is None:
                times.append(parse_time(text))
                continue
        except BadSpan as error:
            problems.append(f"{dotted((*key, str(at)))}: {error}")
            continue
        every = rounds
        if at == 0 or at != len(texts) - 1:
            problems.append(f"{dotted(key)}: {text!r} goes on from the moment before it, so it comes last, never first")
        elif action not in ENDLESS:
            problems.append(f"{dotted(key)}: reminders must end; write the moments out instead of {text!r}")
    problems.extend(f"{dotted(key)}: {problem}" for problem in _not_rising(action, times))
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
    """Yields what would happen before an action that must come first."""
    for action, needed in BEFORE.items():
        for anchor in Anchor:
            late, early = _first(actions, action, anchor), _first(actions, needed, anchor)
            if late is None or (early is not None and early.offset <= late.offset):
                continue
            instead = f", but begins at {written(early)!r}" if early else ""
            yield (
                f"{dotted((*key, action))}: {WHY_BEFORE[needed]}: {needed} must name {written(late)!r} or a moment "
                f"before it{instead}"
            )


def _first(actions: ByAction, action: Action, anchor: Anchor) -> StepTime | None:
    times = actions[action].times if action in actions else ()
    return next((time for time in times if time.anchor is anchor), None)


def ladders_of(actions: Mapping[Status, ByAction]) -> dict[Status, Ladder]:
    """Returns the ladders in the order of statuses and actions, so that files of equal content give equal policies."""
    return {status: _ladder(actions[status]) for status in Status if status in actions}


def _ladder(steps: ByAction) -> Ladder:
    return Ladder(actions=tuple(steps[action] for action in Action if action in steps and steps[action].times))


def read_accounts(
    tree: Any, general: Mapping[Status, ByAction], known: Collection[str] | None, problems: list[str]
) -> dict[str, AccountPolicy]:
    """Reads the policies of accounts, over the general ladders."""
    found = dict[str, AccountPolicy]()
    for name, table in named_tables(tree, ("accounts",), problems):
        if known is not None and name not in known:
            problems.append(f"accounts.{name}: the settings have no such account; {known_names(name, sorted(known))}")
        statuses = {status: value for status, value in table.items() if status != "methods"}
        at_account = read_by_status(statuses, ("accounts", name), general, problems)
        found[name] = AccountPolicy(
            ladders=ladders_of(at_account),
            methods=_methods(table.get("methods", {}), name, {**general, **at_account}, problems),
        )
    return found


def _methods(
    tree: Any, account: str, beneath: Mapping[Status, ByAction], problems: list[str]
) -> dict[str, Mapping[Status, Ladder]]:
    key = ("accounts", account, "methods")
    return {
        name: ladders_of(read_by_status(table, (*key, name), beneath, problems))
        for name, table in named_tables(tree, key, problems)
    }


def read_closed(tree: dict[str, Any], problems: list[str]) -> Ladder:
    """Reads which queries are made after an order was closed: counted from closing, and limited in number."""
    key = ("closed", str(Action.QUERY))
    texts = _texts(read_table(tree, key[:1], key[1:], problems).get(key[1], []), key, problems)
    steps = _read_moments(Action.QUERY, texts, key, problems) if texts else None
    if steps is None:
        return Ladder()
    if steps.every is not None:
        problems.append(f"{dotted(key)}: nobody asks about closed orders without an end; write the moments out")
    problems.extend(
        f"{dotted(key)}: {written(time)!r} is no time after closing; write a span such as '1h'"
        for time in steps.times
        if time.anchor is not Anchor.START
    )
    return Ladder(actions=(steps,))
