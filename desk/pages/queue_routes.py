"""Lists the routes of the pages on which people work off what waits for them: who may look, and who may do what."""

from typing import Final

from tillkeeper.desk.pages import handover
from tillkeeper.desk.pages.accounts import all_accounts, one_account
from tillkeeper.desk.pages.cases import acts as case_acts
from tillkeeper.desk.pages.cases import all_cases, many, one_case
from tillkeeper.desk.pages.outbox import retrying as notice_retrying
from tillkeeper.desk.pages.outbox import unsent
from tillkeeper.desk.pages.parked import all_parked, one_parked
from tillkeeper.desk.pages.parked import many as many_parked
from tillkeeper.desk.pages.refused import all_refused, one_refused, retrying
from tillkeeper.desk.person import Role
from tillkeeper.desk.route import Route

CASE: Final = "/cases/{id:[0-9]+}"

CASE_ROUTES: Final = (
    Route(method="GET", path="/cases", role=Role.VIEWER, handler=all_cases.show),
    Route(method="GET", path=CASE, role=Role.VIEWER, handler=one_case.show),
    Route(method="POST", path=f"{CASE}/take", role=Role.SUPPORT, handler=case_acts.take),
    Route(method="POST", path=f"{CASE}/note", role=Role.SUPPORT, handler=case_acts.note),
    Route(method="POST", path=f"{CASE}/follow-up", role=Role.SUPPORT, handler=case_acts.follow_up),
    Route(method="POST", path=f"{CASE}/escalate", role=Role.OPERATOR, handler=case_acts.escalate),
    Route(method="POST", path=f"{CASE}/resolve", role=Role.SUPPORT, handler=case_acts.resolve),
    Route(method="GET", path="/cases/many", role=Role.SUPPORT, handler=many.show),
    Route(method="POST", path="/cases/many/take", role=Role.SUPPORT, handler=many.take),
    Route(method="POST", path="/cases/many/escalate", role=Role.OPERATOR, handler=many.escalate),
    Route(method="POST", path="/cases/many/resolve", role=Role.SUPPORT, handler=many.resolve),
)

PARKED_ROUTES: Final = (
    Route(method="GET", path="/parked", role=Role.VIEWER, handler=all_parked.show),
    Route(method="GET", path="/parked/{id:[0-9]+}", role=Role.VIEWER, handler=one_parked.show),
    Route(method="GET", path="/parked/many", role=Role.OPERATOR, handler=many_parked.show),
    Route(method="POST", path="/parked/many/replay", role=Role.OPERATOR, handler=many_parked.do_replay),
    Route(method="POST", path="/parked/many/discard", role=Role.OPERATOR, handler=many_parked.do_discard),
)
REFUSED_ROUTES: Final = (
    Route(method="GET", path="/refused", role=Role.VIEWER, handler=all_refused.show),
    Route(method="GET", path="/refused/{id:[0-9]+}", role=Role.VIEWER, handler=one_refused.show),
    Route(method="GET", path="/refused/retry", role=Role.OPERATOR, handler=retrying.show),
    Route(method="POST", path="/refused/retry", role=Role.OPERATOR, handler=retrying.do_retry),
    Route(method="GET", path="/refused/retried", role=Role.OPERATOR, handler=retrying.show_done),
)
OUTBOX_ROUTES: Final = (
    Route(method="GET", path="/outbox", role=Role.VIEWER, handler=unsent.show),
    Route(method="GET", path="/outbox/retry", role=Role.OPERATOR, handler=notice_retrying.show),
    Route(method="POST", path="/outbox/retry", role=Role.OPERATOR, handler=notice_retrying.do_retry),
    Route(method="GET", path="/outbox/retried", role=Role.OPERATOR, handler=notice_retrying.show_done),
)
HANDOVER_ROUTES: Final = (
    Route(method="GET", path="/handover", role=Role.VIEWER, handler=handover.show),
    Route(method="POST", path="/handover", role=Role.SUPPORT, handler=handover.do_hand_over),
)
ACCOUNT_ROUTES: Final = (
    Route(method="GET", path="/accounts", role=Role.VIEWER, handler=all_accounts.show),
    Route(method="GET", path="/accounts/{name}", role=Role.VIEWER, handler=one_account.show),
)

QUEUE_ROUTES: Final = (
    *CASE_ROUTES,
    *PARKED_ROUTES,
    *REFUSED_ROUTES,
    *OUTBOX_ROUTES,
    *ACCOUNT_ROUTES,
    *HANDOVER_ROUTES,
)
