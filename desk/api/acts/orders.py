"""What programs do to orders, in a person's name: hold, release, close, and have their gateways asked."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from tillkeeper.desk.acting import Deed, by_of
from tillkeeper.desk.api.acting import act_once
from tillkeeper.desk.api.call import Call
from tillkeeper.desk.api.reads.converting import made
from tillkeeper.desk.api.reads.orders import no_such_order
from tillkeeper.desk.api.types.orders import OrderNow
from tillkeeper.desk.json_problems import Problem
from tillkeeper.domain.order.acts import ActRefused
from tillkeeper.store.orders import acts
from tillkeeper.store.orders.acts import NoSuchOrder
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.order import show_in


async def hold(call: Call) -> web.Response:
    """Answers POST /api/orders/{order_ref}/hold."""
    if call.body.until <= call.desk.now():
        raise Problem(400, "until: it is over", "Send a time that is to come.")
    return await _act(call, "hold an order", acts.hold, until=call.body.until)


async def release(call: Call) -> web.Response:
    """Answers POST /api/orders/{order_ref}/release."""
    return await _act(call, "release an order", acts.release)


async def close(call: Call) -> web.Response:
    """Answers POST /api/orders/{order_ref}/close."""
    return await _act(call, "close an order", acts.close, force=False)


async def ask(call: Call) -> web.Response:
    """Answers POST /api/orders/{order_ref}/ask."""
    return await _act(call, "ask the gateways", acts.ask_gateway)


async def remind(call: Call) -> web.Response:
    """Answers POST /api/orders/{order_ref}/remind."""
    return await _act(call, "remind a payer", acts.remind)


async def claim(call: Call) -> web.Response:
    """Answers POST /api/orders/{order_ref}/claim: opens the case that the customer says they paid."""
    return await _act(call, "open a case", acts.claim, policy=call.desk.policy().cases)


async def _act(call: Call, what: str, act: Callable[..., Awaitable[None]], **more: object) -> web.Response:
    by, why, now = by_of(call.request), call.body.reason, call.desk.now()

    async def work(conn: Conn) -> OrderNow:
        await act(conn, call.order_ref, by=by, note=why, now=now, **more)
        return made(OrderNow, await show_in(conn, call.order_ref))

    try:
        return await act_once(call, Deed(what=what, subject=f"order {call.order_ref}", why=why), work)
    except NoSuchOrder:
        raise no_such_order() from None
    except ActRefused as refused:
        raise Problem(
            409, str(refused), "Read the order again: /api/orders/{order_ref}/claim says what is known."
        ) from None
