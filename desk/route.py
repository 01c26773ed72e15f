"""Defines a route of the desk, and finds the one that a request is for."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

import msgspec
from aiohttp import web

from tillkeeper.desk.address import check_address
from tillkeeper.desk.json_problems import is_api_path
from tillkeeper.desk.person import Needs
from tillkeeper.domain.people import Scope

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A path with its method, the role that it needs, and what answers it."""

    method: str
    path: str
    role: Needs
    handler: Handler
    is_from_elsewhere: bool = False  # another server sends it, with a proof of its own, and no browser does
    is_stream: bool = False  # what it answers takes as long as somebody looks
    scope: Scope | None = None  # of the tokens that are for this alone


# By method and path, without patterns.
ROUTE_BY_PLACE: Final = web.AppKey("ROUTE_BY_PLACE", Mapping[tuple[str, str], Route])


def add_routes(app: web.Application, routes: tuple[Route, ...]) -> None:
    """Makes these the application's routes.  Whoever adds one by another way has one without a role."""
    placed = {}
    for route in routes:
        for method in methods_of(route):
            resource = app.router.add_route(method, route.path, _with_checked_address(route)).resource
            assert resource is not None
            placed[method, resource.canonical] = route
    app[ROUTE_BY_PLACE] = placed


def methods_of(route: Route) -> tuple[str, ...]:
    """Returns the methods that the route answers: HEAD, too, where it is read; a stream has no end to tell of."""
    return ("GET", "HEAD") if route.method == "GET" and not route.is_stream else (route.method,)


def _with_checked_address(route: Route) -> Handler:
    """Returns what answers the route: of a page that is looked at, only where its address holds what the page takes."""
    if route.method != "GET" or route.role == "anyone" or is_api_path(route.path):
        return route.handler

    async def answer(request: web.Request) -> web.StreamResponse:
        check_address(request, route.path)
        return await route.handler(request)

    return answer


def route_of(request: web.Request) -> Route | None:
    """Returns the route that the request is for, or None where its path or its method is not known."""
    resource = request.match_info.route.resource
    if resource is None:
        return None
    return request.app[ROUTE_BY_PLACE].get((request.method, resource.canonical))


def name_of_route(request: web.Request) -> str:
    """Returns the pattern of the request's route, for logs: a path itself may hold a one-time link's token."""
    route = route_of(request)
    return "none" if route is None else route.path
