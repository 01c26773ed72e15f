"""Lists every route of the desk with the role that it needs: what stands here is what there is."""

from typing import Final

from tillkeeper.desk.access.routes import ACCESS_ROUTES
from tillkeeper.desk.api.routes import API_ROUTES
from tillkeeper.desk.pages import books, now, order, order_as_of, proposals, reports, stuck
from tillkeeper.desk.pages.acting_on_orders.routes import ORDER_ACT_ROUTES
from tillkeeper.desk.pages.find_routes import FIND_ROUTES
from tillkeeper.desk.pages.queue_routes import QUEUE_ROUTES
from tillkeeper.desk.person import Role
from tillkeeper.desk.route import Route
from tillkeeper.desk.static_files import serve_static

ROUTES: Final[tuple[Route, ...]] = (
    Route(method="GET", path="/static/{name}", role="anyone", handler=serve_static),
    *ACCESS_ROUTES,
    Route(method="GET", path="/", role=Role.VIEWER, handler=now.show),
    Route(method="GET", path="/now/stream", role=Role.VIEWER, handler=now.stream, is_stream=True),
    Route(method="GET", path="/stuck", role=Role.VIEWER, handler=stuck.show),
    Route(method="GET", path="/orders", role=Role.VIEWER, handler=order.show),  # ?ref=, for what no path can hold
    Route(method="GET", path="/orders/{ref:[^/]+}", role=Role.VIEWER, handler=order.show),
    Route(method="GET", path="/orders/{ref:[^/]+}/as-of", role=Role.VIEWER, handler=order_as_of.show),
    Route(method="GET", path="/orders/{ref:[^/]+}/raw/{run}/{number}", role=Role.SUPPORT, handler=order.show_raw),
    Route(method="GET", path="/books", role=Role.VIEWER, handler=books.show),
    Route(method="GET", path="/reports", role=Role.VIEWER, handler=reports.show),
    Route(method="GET", path="/proposals", role=Role.VIEWER, handler=proposals.show),
    *ORDER_ACT_ROUTES,
    *FIND_ROUTES,
    *QUEUE_ROUTES,
    *API_ROUTES,
)
