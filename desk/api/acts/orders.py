"""What programs do to orders, in a person's name: hold, release, close, and have their gateways asked."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from tillkeeper.desk.acting import Deed, by_of
from tillkeeper.desk.api.acting import act_once, told_of_proposals
from tillkeeper.desk.api.call import CheckedCall
from tillkeeper.desk.api.reads.converting import made
from tillkeeper.desk.api.reads.orders import no_such_order
from tillkeeper.desk.api.types.orders import OrderNow
from tillkeeper.desk.api.types.queues import Approval
from tillkeeper.desk.json_problems import ApiProblem
from tillkeeper.desk.pages.acting_on_orders.planning import HOLD_MAX
from tillkeeper.domain.order.acts import ActRefused, Refusal, WantedAct, What
from tillkeeper.store.orders import acts, closing_in_two
from tillkeeper.store.orders.acts import NoSuchOrder, OrderMovedOn, plan
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.order import show_in

REMEDY: Final = "Read the order again: /api/orders/{order_ref}/claim says what is known."


async def hold(call: CheckedCall) -> web.Response:
    """Answers POST /api/orders/{order_ref}/hold."""
    if not call.desk.now() < call.body.until <= call.desk.now() + HOLD_MAX:
        raise ApiProblem(
            400, "until: it is over, or so late that the order would be forgotten", "Send one within 90 days."
        )
    return await _act(call, "hold an order", acts.hold, until=call.body.until)


async def release(call: CheckedCall) -> web.Response:
    """Answers POST /api/orders/{order_ref}/release."""
    return await _act(call, "release an order", acts.release)


async def close(call: CheckedCall) -> web.Response:
    """Answers POST /api/orders/{order_ref}/close."""
    return await _act(call, "close an order", acts.close, force=False)


async def ask(call: CheckedCall) -> web.Response:
    """Answers POST /api/orders/{order_ref}/ask."""
    return await _act(call, "ask the gateways", acts.ask_gateway)


async def remind(call: CheckedCall) -> web.Response:
    """Answers POST /api/orders/{order_ref}/remind."""
    return await _act(call, "remind a payer", acts.remind)


async def claim(call: CheckedCall) -> web.Response:
    """Answers POST /api/orders/{order_ref}/claim: opens the case that the customer says they paid."""
    return await _act(call, "open a case", acts.claim, policy=call.desk.policy().cases)


async def propose_closing(call: CheckedCall) -> web.Response:
    """Answers POST /api/orders/{order_ref}/propose-closing: nothing is closed until another person confirms it."""
    by, why, now = call.person.name, call.body.reason, call.desk.now()

    async def work(conn: Conn) -> Approval:
        seen = (await plan(conn, call.order_ref, WantedAct(what=What.CLOSE), by=by, now=now)).seen
        return made(
            Approval,
            await closing_in_two.propose_closing(conn, call.order_ref, by=by, note=why, now=now, seen=seen),
        )

    deed = Deed(what="propose to close an order", subject=closing_in_two.subject_of(call.order_ref), why=why)
    with told(), told_of_proposals():
        return await act_once(call, deed, work, status=202)


@contextmanager
def told() -> Iterator[None]:
    """Says why an act on an order was not done."""
    try:
        yield
    except NoSuchOrder:
        raise no_such_order() from None
    except OrderMovedOn:
        raise ApiProblem(
            409, "nothing stands against closing it", "Close it: POST /api/orders/{order_ref}/close."
        ) from None
    except ActRefused as refused:
        doubt = refused.why is Refusal.IN_DOUBT
        remedy = "Two people may close it: POST /api/orders/{order_ref}/propose-closing." if doubt else REMEDY
        raise ApiProblem(409, str(refused), remedy) from None


async def _act(call: CheckedCall, what: str, act: Callable[..., Awaitable[None]], **more: object) -> web.Response:
    by, why, now = by_of(call.request), call.body.reason, call.desk.now()

    async def work(conn: Conn) -> OrderNow:
        await act(conn, call.order_ref, by=by, note=why, now=now, **more)
        return made(OrderNow, await show_in(conn, call.order_ref))

    with told():
        return await act_once(call, Deed(what=what, subject=f"order {call.order_ref}", why=why), work)
