"""The page of an order as it was known at a moment, which each line of its history leads to."""

from aiohttp import web

from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import moment_in, query_of
from tillkeeper.desk.paths import order_ref_in
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show.money import written
from tillkeeper.store.reports.order_as_of import NotRegisteredYet, read_as_of


async def show(request: web.Request) -> web.Response:
    """Answers GET /orders/{ref}/as-of?at=."""
    desk, shower, order_ref = desk_of(request), shower_for(request), order_ref_in(request)
    at = moment_in(query_of(request).text("at"))
    try:
        found = await read_as_of(desk.pool, order_ref, at)
    except NotRegisteredYet as error:
        return page(
            request, "order_as_of.html", shower=shower, ref=order_ref, found=None, at=at, since=error.registered_at
        )
    if found is None:
        return page(request, "no_order.html", status=404, shower=shower, ref=order_ref)
    return page(
        request,
        "order_as_of.html",
        shower=shower,
        ref=order_ref,
        found=found,
        at=at,
        paid=written(found.paid, found.currency).plainly(),
        amount=written(found.amount, found.currency).plainly(),
        sums=[(name, getattr(found, name)) for name in ("discount", "refunding", "refunded", "charged_back")],
    )
