"""Lists the routes by which people sign in, and see to their own sessions."""

from typing import Final

from tillkeeper.desk.access import company, me, sign_in
from tillkeeper.desk.access.middleware import SIGN_IN_PATH
from tillkeeper.desk.person import Role
from tillkeeper.desk.route import Route
from tillkeeper.domain.people import LINK_PATH
from tillkeeper.oidc.paths import BACK_PATH, BEGIN_PATH, OUT_PATH

LINK: Final = f"{LINK_PATH}/{{token}}"

ACCESS_ROUTES: Final = (
    Route(method="GET", path=SIGN_IN_PATH, role="anyone", handler=sign_in.show_sign_in),
    Route(method="POST", path=SIGN_IN_PATH, role="anyone", handler=sign_in.sign_in),
    Route(method="GET", path=BEGIN_PATH, role="anyone", handler=company.begin),
    Route(method="GET", path=BACK_PATH, role="anyone", handler=company.come_back),
    Route(method="POST", path=OUT_PATH, role="anyone", handler=company.sign_out, is_from_elsewhere=True),
    Route(method="GET", path=LINK, role="anyone", handler=sign_in.show_link),
    Route(method="POST", path=LINK, role="anyone", handler=sign_in.use_the_link),
    Route(method="POST", path="/sign-out", role=Role.VIEWER, handler=sign_in.sign_out),
    Route(method="GET", path=me.ME_PATH, role=Role.VIEWER, handler=me.show_me),
    Route(method="POST", path="/me/sessions/{id}/end", role=Role.VIEWER, handler=me.end_one),
    Route(method="POST", path="/me/language", role=Role.VIEWER, handler=me.choose_language),
    Route(method="POST", path="/me/password", role=Role.VIEWER, handler=me.change_password),
)
