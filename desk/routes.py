"""Lists every route of the desk with the role that it needs: what stands here is what there is."""

from typing import Final

from tillkeeper.desk.access.routes import ACCESS_ROUTES
from tillkeeper.desk.route import Route
from tillkeeper.desk.static_files import serve_static

ROUTES: Final[tuple[Route, ...]] = (
    Route(method="GET", path="/static/{name}", role="anyone", handler=serve_static),
    *ACCESS_ROUTES,
)
