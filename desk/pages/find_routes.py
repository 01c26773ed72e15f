"""Lists the routes of finding, and of answering a customer who says they paid."""

from typing import Final

from tillkeeper.desk.access.roles import role_for
from tillkeeper.desk.pages import find
from tillkeeper.desk.pages.claim import acts, one_claim
from tillkeeper.desk.person import Role
from tillkeeper.desk.route import Route

CLAIM: Final = "/orders/{ref:[^/]+}/claim"

FIND_ROUTES: Final = (
    Route(method="GET", path="/find", role=Role.VIEWER, handler=find.show),
    Route(method="POST", path="/find", role=Role.VIEWER, handler=find.show_sent),
    Route(method="GET", path=CLAIM, role=Role.VIEWER, handler=one_claim.show),
    Route(method="POST", path=f"{CLAIM}/ask", role=role_for("ask"), handler=acts.ask),
    Route(method="POST", path=f"{CLAIM}/bind", role=role_for("bind"), handler=acts.propose_binding),
    Route(
        method="POST", path=f"{CLAIM}/bind/{{id:[0-9]+}}/confirm", role=role_for("bind"), handler=acts.confirm_binding
    ),
    Route(method="POST", path=f"{CLAIM}/bind/{{id:[0-9]+}}/refuse", role=role_for("bind"), handler=acts.refuse_binding),
)
