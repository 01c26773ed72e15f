"""Lists the routes of acts on orders: each has a page that says what it would do, and the act itself."""

from typing import Final

from tillkeeper.desk.access.roles import role_for
from tillkeeper.desk.pages.acting_on_orders import doing
from tillkeeper.desk.pages.acting_on_orders.planning import RIGHTS, part_of, planned
from tillkeeper.desk.route import Route
from tillkeeper.domain.order.acts import What

ORDER: Final = "/orders/{ref:[^/]+}"
PROPOSAL: Final = f"{ORDER}/close/{{id:[0-9]+}}"
BY_TWO: Final = role_for("close_in_doubt")

ORDER_ACT_ROUTES: Final = (
    *(
        Route(method=method, path=f"{ORDER}/{part_of(what)}", role=role_for(RIGHTS[what]), handler=handler)
        for what in What
        for method, handler in (("GET", planned(what)), ("POST", doing.done(what)))
    ),
    Route(method="POST", path=f"{ORDER}/close/propose", role=BY_TWO, handler=doing.propose),
    Route(method="POST", path=f"{PROPOSAL}/confirm", role=BY_TWO, handler=doing.confirm),
    Route(method="POST", path=f"{PROPOSAL}/refuse", role=BY_TWO, handler=doing.refuse),
)
