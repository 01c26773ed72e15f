"""Draws the ladders of a policy for people, and renders a policy as JSON."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from tillkeeper.domain.ladder import Action, Anchor, Ladder, StepTime
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import STATUS_ZH, Status
from tillkeeper.policy.spans import short, written_all

WORDS: Final[Mapping[Action, str]] = MappingProxyType(
    {
        Action.QUERY: "ask the gateway",
        Action.GRACE: "tell the payer that it failed",
        Action.REMIND: "remind the payer",
        Action.CASE: "open a case",
        Action.ESCALATE: "escalate the case",
        Action.CLOSE: "ask and close, unless in doubt",
    }
)
AT: Final[Mapping[Anchor, str]] = MappingProxyType(
    {Anchor.START: "at once", Anchor.DUE: "when an instalment is due", Anchor.EXPIRY: "when the order expires"}
)
_FROM: Final[Mapping[Anchor, str]] = MappingProxyType({Anchor.DUE: "due", Anchor.EXPIRY: "expiry"})
_INDENT: Final = "  "


def draw_policy(policy: Policy, statuses: tuple[Status, ...], account: str | None, method: str | None) -> Iterator[str]:
    """Yields the lines of the ladders: in general, or at an account, or for a method there."""
    for status in statuses:
        yield from _headed(status, "", policy.ladder(status, account, method))
    if account is None:
        for name in policy.accounts:
            yield from _draw_account(policy, statuses, name)
    elif method is None:
        yield from _draw_methods(policy, statuses, account)


def policy_as_json(
    policy: Policy, statuses: tuple[Status, ...], account: str | None, method: str | None
) -> dict[str, Any]:
    """Renders the policy for programs: the moments of each action, by status."""
    return {str(status): ladder_as_json(policy.ladder(status, account, method)) for status in statuses}


def ladder_as_json(ladder: Ladder) -> dict[str, list[str]]:
    """Returns the moments of each action, as a policy writes them."""
    return {str(steps.action): list(written_all(steps)) for steps in ladder.actions}


def _draw_account(policy: Policy, statuses: tuple[Status, ...], account: str) -> Iterator[str]:
    for status in statuses:
        if status in policy.accounts[account].ladders:
            yield from _headed(status, f", at {account}", policy.ladder(status, account))
    yield from _draw_methods(policy, statuses, account)


def _draw_methods(policy: Policy, statuses: tuple[Status, ...], account: str) -> Iterator[str]:
    methods = policy.accounts[account].methods if account in policy.accounts else {}
    for method, ladders in methods.items():
        for status in statuses:
            if status in ladders:
                yield from _headed(status, f", at {account} by {method}", ladders[status])


def _headed(status: Status, where: str, ladder: Ladder) -> Iterator[str]:
    yield f"{status} {STATUS_ZH[status]}{where}"
    rows = list(_rows(ladder)) or [("", "nothing is done")]
    width = max(len(moment) for moment, _ in rows)
    yield from (f"{_INDENT}{moment:<{width}}  {acts}" if moment else f"{_INDENT}{acts}" for moment, acts in rows)
    yield ""


def _rows(ladder: Ladder) -> Iterator[tuple[str, str]]:
    """Yields each moment of the ladder and what is done then."""
    done: dict[tuple[int, timedelta], tuple[StepTime, list[str]]] = {}
    order = list(AT)
    for steps in ladder.actions:
        for time in steps.times:
            done.setdefault((order.index(time.anchor), time.offset), (time, []))[1].append(WORDS[steps.action])
    for _, (time, acts) in sorted(done.items()):
        yield _moment(time), ", ".join(acts)
    for steps in ladder.actions:
        if steps.every is not None:
            yield f"then every {short(steps.every)}", WORDS[steps.action]


def _moment(time: StepTime) -> str:
    if not time.offset:
        return AT[time.anchor]
    if time.anchor is Anchor.START:
        return f"after {short(time.offset)}"
    return f"{short(abs(time.offset))} {'before' if time.offset < timedelta() else 'after'} {_FROM[time.anchor]}"
