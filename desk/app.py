"""Builds the desk's application: the routes of one table, behind headers and whoever decides who may use them."""

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from tillkeeper.desk.api.limits import LIMITER, Limiter
from tillkeeper.desk.api.reads.accounts import HEALTH_CACHE, HealthCache
from tillkeeper.desk.context import DESK, Desk
from tillkeeper.desk.headers import set_headers
from tillkeeper.desk.problems import show_problems
from tillkeeper.desk.route import add_routes
from tillkeeper.desk.routes import ROUTES

BODY_BYTES_MAX: Final = 64 * 1024  # a form holds a reason, no files


def build_app(desk: Desk, access: Middleware) -> web.Application:
    """Builds the application.  `access` refuses whoever the route's role forbids, and names the person in each request;
    there is no desk without it."""
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[show_problems, access])
    app[DESK] = desk
    app[HEALTH_CACHE] = HealthCache()
    app[LIMITER] = Limiter()
    app.on_response_prepare.append(set_headers)
    add_routes(app, ROUTES)
    return app
