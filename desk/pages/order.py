"""The page of an order: where it stands and why, its money, what happened, and what gateways sent."""

from typing import Any, Final
from uuid import UUID

from aiohttp import web

from tillkeeper.desk.access.identity import note_look
from tillkeeper.desk.access.roles import role_for
from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import Desk, desk_of
from tillkeeper.desk.pages.acting_on_orders.offers import acts_for
from tillkeeper.desk.pages.order_answer import OrderAnswer, answer_of
from tillkeeper.desk.pages.order_timeline import lines_of
from tillkeeper.desk.paths import order_ref_in
from tillkeeper.desk.person import Role, is_enough, person_of
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show.money import written
from tillkeeper.desk.show.shower import Shower
from tillkeeper.domain.order.advancing import what_comes_next
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.order.status import rule_that_holds
from tillkeeper.domain.order.sums import add_up
from tillkeeper.domain.personal_fields import without_personal_fields
from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.store.orders.closing_in_two import proposal_to_close
from tillkeeper.store.reports.whole_order import WholeOrder, read_delivery, read_whole_order

EVENTS: Final = 50  # of the history on one page
RAW_BYTES: Final = 64 * 1024  # of a body on a page: more nobody reads there


async def show(request: web.Request) -> web.Response:
    """Answers GET /orders/{ref}."""
    desk, shower, order_ref = desk_of(request), shower_for(request), order_ref_in(request)
    before = _number_in(request, "before")
    whole = await read_whole_order(desk.pool, order_ref, limit=EVENTS, before=before)
    if whole is None:
        return page(request, "no_order.html", status=404, shower=shower, ref=order_ref)
    state = whole.state
    rule = rule_that_holds(add_up(state.order, state.facts))
    answer = answer_of(whole.shown, rule, whole.timeline, now=shower.now)
    async with desk.pool.acquire() as conn:
        proposal = await proposal_to_close(conn, order_ref, now=shower.now)
    response = page(
        request,
        "order.html",
        shower=shower,
        order=whole.shown,
        title=_title(desk, shower, whole, answer),
        tone=answer.tone,
        open_kinds=sorted({case["kind"] for case in whole.shown["cases"] if case["closed_at"] is None}),
        rule=rule.name,
        sums=_sums(whole.shown),
        accounts=sorted(state.order.accounts),
        instalments=_instalments(state),
        lines=lines_of(whole.timeline),
        notices=whole.notices,
        older=whole.older,
        is_first_part=before is None,
        coming=what_comes_next(state, policy=desk.policy(), now=shower.now),
        gateway=lambda account: gateway_title(desk, shower, account),
        may_see_raw=_may(request, Role.SUPPORT),
        acts=acts_for(request, state, shower.now),
        is_asking=state.ask_at is not None,
        proposal=proposal,
        may_decide=_may(request, role_for("close_in_doubt")),
        name=actor(request).name,
    )
    if "HX-Request" in request.headers and state.ask_at is None:
        response.headers["HX-Refresh"] = "true"  # the answer has come
    return response


async def show_raw(request: web.Request) -> web.Response:
    """Answers GET /orders/{ref}/raw/{run}/{number}: one delivery, masked."""
    desk, order_ref = desk_of(request), order_ref_in(request)
    try:
        run, number = UUID(request.match_info["run"]), int(request.match_info["number"])
    except ValueError:
        raise web.HTTPNotFound from None
    delivery = await read_delivery(desk.pool, order_ref, run, number) if 0 < number < 2**63 else None
    if delivery is None:
        raise web.HTTPNotFound
    await note_look(request, "raw delivery", subject=order_ref)
    body = delivery["body"]
    return page(
        request,
        "order_raw.html",
        ref=order_ref,
        delivery=delivery,
        headers=[(name, without_personal_fields(value)) for name, value in delivery["headers"]],
        query=without_personal_fields(delivery["query"]),
        body=None if body is None else without_personal_fields(body[:RAW_BYTES].decode("utf-8", "replace")),
        is_cut=body is not None and len(body) > RAW_BYTES,
        cut_at=RAW_BYTES,
    )


def gateway_title(desk: Desk, shower: Shower, account: str) -> str:
    """Returns the name of an account's gateway, or the account's own where it is not configured any more."""
    settings = desk.settings.accounts.get(account)
    if settings is None:
        return account
    about = GATEWAYS[settings.gateway].about
    return about.title_zh if shower.locale == "zh" and about.title_zh else about.title


def _may(request: web.Request, role: Role) -> bool:
    person = person_of(request)
    return person is not None and is_enough(person.role, role)


def _number_in(request: web.Request, name: str) -> int | None:
    """Returns a number of the query, None where there is none.  Raises HTTPBadRequest for anything else."""
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(2**62)):
        raise web.HTTPBadRequest
    return int(text)


def _title(desk: Desk, shower: Shower, whole: WholeOrder, answer: OrderAnswer) -> str:
    shown, currency = whole.shown, whole.shown["currency"]
    amounts = {name: written(shown[name], currency) for name in ("amount", "paid", "refunding", "refunded")}
    missing = written(max(0, shown["amount"] - shown["discount"] - shown["paid"]), currency)
    accounts = [answer.account] if answer.account else sorted(whole.state.order.accounts)
    return shower.say(
        f"order.{answer.word}",
        **{name: amount.plainly() for name, amount in amounts.items()} | {"amount": _due(answer, amounts)},
        missing=missing.plainly(),
        account=", ".join(shower.cut(gateway_title(desk, shower, account)) for account in accounts),
        at=shower.at(answer.moved_at),
        span=shower.lasting(shower.now - shown["stands_since"]),
        reason=shower.word("failure", answer.failure or "unknown"),
        status=shower.word("status", shown["status"]),
    )


def _due(answer: OrderAnswer, amounts: dict[str, Any]) -> str:
    """Writes what is due; without its currency where the sentence has just named it."""
    due = amounts["amount"]
    return str(due.figure if answer.word == "title_paid" else due.plainly())


def _sums(shown: dict[str, Any]) -> list[tuple[str, int]]:
    """Returns the figures at the top: what is due, what came, and of the others those that are not zero."""
    kept = shown["paid"] - shown["refunded"] - shown["charged_back"]
    others = [(name, shown[name]) for name in ("discount", "refunding", "refunded", "charged_back") if shown[name]]
    has_gone_back = shown["refunded"] or shown["charged_back"]
    return [("due", shown["amount"]), ("paid", shown["paid"]), *others, *([("kept", kept)] if has_gone_back else [])]


def _instalments(state: OrderState) -> list[dict[str, Any]]:
    """Returns the parts of its plan by deadline, and of each whether what came in covers it."""
    covered, parts = state.covered, []
    for part in sorted(state.instalments, key=lambda part: part.due_at):
        parts.append({"amount": part.amount, "due_at": part.due_at, "is_covered": covered >= part.amount})
        covered = max(0, covered - part.amount)
    return parts
