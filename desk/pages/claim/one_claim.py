"""The page that answers "the customer says they paid": the answer, the evidence, what to say, and what can be done."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from tillkeeper.desk.access.roles import role_for
from tillkeeper.desk.acting import actor
from tillkeeper.desk.context import desk_of
from tillkeeper.desk.navigation import is_open_to
from tillkeeper.desk.pages.acting_on_orders.offers import acts_for
from tillkeeper.desk.pages.claim.binding import BINDING
from tillkeeper.desk.paths import order_ref_in
from tillkeeper.desk.person import is_enough
from tillkeeper.desk.render import page, shower_for
from tillkeeper.domain.claim_words import SIGN_WORDS, has_too_much, headline, say
from tillkeeper.domain.likely_orders import LIKENESS_WORDS, Likeness
from tillkeeper.domain.order.acts import What
from tillkeeper.domain.payment_claim import ClaimAct, ClaimKnowledge, ClaimVerdict, PossibleMoney, answer
from tillkeeper.gateways.askable import unaskable_by_order
from tillkeeper.store.people.approvals import Approval, open_approvals
from tillkeeper.store.search.claim import read_claim

OFFERED: Final = (What.CLAIM, What.REMIND, What.HOLD, What.RELEASE)  # beside asking and binding
APPROVALS_READ: Final = 200  # that are open at once: more are not waited for by anybody
TONES: Final = {
    ClaimVerdict.PAID_HERE: "calm",
    ClaimVerdict.TAKING_OVER: "look",
    ClaimVerdict.WAITS_ELSEWHERE: "act",
    ClaimVerdict.WRONG_MONEY: "act",
    ClaimVerdict.UNDER_WAY: "look",
    ClaimVerdict.NOT_KNOWN: "look",
    ClaimVerdict.NOT_PAID: "calm",
}


async def show(request: web.Request) -> web.Response:
    """Answers GET /orders/{ref}/claim."""
    return await show_claim(request, order_ref_in(request))


async def show_claim(
    request: web.Request, order_ref: str, *, message: str | None = None, status: int = 200
) -> web.Response:
    """Answers with what is so now; `message` is said of an act that was not done."""
    desk, shower, person = desk_of(request), shower_for(request), actor(request)
    known = await read_claim(desk.pool, order_ref, now=shower.now)
    if known is None:
        return page(request, "no_order.html", status=404, shower=shower, ref=order_ref)
    known = known.besides(unaskable_by_order(desk.settings.accounts, known.order.order, now=shower.now))
    found, proposals = answer(known), await _proposals(request, order_ref)
    may_bind = is_enough(person.role, role_for("bind"))
    response = page(
        request,
        "claim/one.html",
        status=status,
        shower=shower,
        ref=order_ref,
        order=known.order,
        found=found,
        tone="look" if has_too_much(found) else TONES[found.verdict],
        headline=headline(found),
        signs=SIGN_WORDS,
        likeness={str(likeness): LIKENESS_WORDS[likeness] for likeness in Likeness},
        words=say(known.order, found),
        told=lambda words: words.zh if shower.locale == "zh" else words.en,
        message=message,
        is_asking=is_asking(known),
        may_ask=ClaimAct.ASK in found.acts and is_enough(person.role, role_for("ask")),
        is_held=known.order.is_held(shower.now),
        possible=_bindable(known, proposals) if ClaimAct.BIND in found.acts and may_bind else (),
        proposals=proposals,
        may_bind=may_bind,
        name=person.name,
        others=acts_for(request, known.order, shower.now, only=OFFERED, suffix="?from=claim"),
        parked=known.parked if is_open_to(request.app, person, "/parked/{id}") else (),
    )
    if "HX-Request" in request.headers and not is_asking(known):
        response.headers["HX-Refresh"] = "true"  # the answer has come, and what can be done is another
    return response


def is_asking(known: ClaimKnowledge) -> bool:
    """Returns True from when a person had the gateways asked until the sweep has their answers."""
    return known.order.ask_at is not None


def _bindable(known: ClaimKnowledge, proposals: Sequence[Approval]) -> list[PossibleMoney]:
    """Returns the money that nobody has proposed to bind so far."""
    proposed = {(each.content["account"], each.content["payment_ref"]) for each in proposals}
    return [each for each in known.possible if (each.money.account, each.money.payment_ref) not in proposed]


async def _proposals(request: web.Request, order_ref: str) -> Sequence[Approval]:
    """Reads what somebody proposed to bind to this order."""
    desk = desk_of(request)
    async with desk.pool.acquire() as conn:
        found = await open_approvals(conn, now=desk.now(), limit=APPROVALS_READ)
    return [each for each in found if each.act == BINDING and each.content.get("order_ref") == order_ref]
