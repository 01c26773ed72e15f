"""Lists the routes of the pages on which people work off what waits for them: who may look, and who may do what."""

from typing import Final

from tillkeeper.desk.access.roles import role_for
from tillkeeper.desk.pages import handover
from tillkeeper.desk.pages.accounts import all_accounts, deciding, one_account, one_pause
from tillkeeper.desk.pages.cases import acts as case_acts
from tillkeeper.desk.pages.cases import all_cases, in_two, many, one_case
from tillkeeper.desk.pages.outbox import retrying as notice_retrying
from tillkeeper.desk.pages.outbox import unsent
from tillkeeper.desk.pages.parked import all_parked, one_parked
from tillkeeper.desk.pages.parked import many as many_parked
from tillkeeper.desk.pages.refused import all_refused, one_refused, retrying
from tillkeeper.desk.pages.waiting import all_waiting, one_waiting
from tillkeeper.desk.route import Route

CASE: Final = "/cases/{id:[0-9]+}"
PAUSE: Final = "/accounts/{name}/pause"
RESOLVING: Final = f"{CASE}/resolve/{{proposal:[0-9]+}}"

CASE_ROUTES: Final = (
    Route(method="GET", path="/cases", role=role_for("look"), handler=all_cases.show),
    Route(method="GET", path=CASE, role=role_for("look"), handler=one_case.show),
    Route(method="POST", path=f"{CASE}/take", role=role_for("case"), handler=case_acts.take),
    Route(method="POST", path=f"{CASE}/note", role=role_for("case"), handler=case_acts.note),
    Route(method="POST", path=f"{CASE}/follow-up", role=role_for("case"), handler=case_acts.follow_up),
    Route(method="POST", path=f"{CASE}/escalate", role=role_for("escalate"), handler=case_acts.escalate),
    Route(method="POST", path=f"{CASE}/resolve", role=role_for("case"), handler=case_acts.resolve),
    Route(method="POST", path=f"{CASE}/resolve/propose", role=role_for("resolve_mismatch"), handler=in_two.propose),
    Route(method="POST", path=f"{RESOLVING}/confirm", role=role_for("resolve_mismatch"), handler=in_two.confirm),
    Route(method="POST", path=f"{RESOLVING}/refuse", role=role_for("resolve_mismatch"), handler=in_two.refuse),
    Route(method="GET", path="/cases/many", role=role_for("case"), handler=many.show),
    Route(method="POST", path="/cases/many/take", role=role_for("case"), handler=many.take),
    Route(method="POST", path="/cases/many/escalate", role=role_for("escalate"), handler=many.escalate),
    Route(method="POST", path="/cases/many/resolve", role=role_for("case"), handler=many.resolve),
)

PARKED_ROUTES: Final = (
    Route(method="GET", path="/parked", role=role_for("look"), handler=all_parked.show),
    Route(method="GET", path="/parked/{id:[0-9]+}", role=role_for("look"), handler=one_parked.show),
    Route(method="GET", path="/parked/many", role=role_for("replay"), handler=many_parked.show),
    Route(method="POST", path="/parked/many/replay", role=role_for("replay"), handler=many_parked.do_replay),
    Route(method="POST", path="/parked/many/discard", role=role_for("replay"), handler=many_parked.do_discard),
)
WAITING_ROUTES: Final = (
    Route(method="GET", path="/waiting", role=role_for("look"), handler=all_waiting.show),
    Route(method="GET", path="/waiting/payment", role=role_for("look"), handler=one_waiting.show),
    Route(method="POST", path="/waiting/bind", role=role_for("bind"), handler=one_waiting.propose),
)
REFUSED_ROUTES: Final = (
    Route(method="GET", path="/refused", role=role_for("look"), handler=all_refused.show),
    Route(method="GET", path="/refused/{id:[0-9]+}", role=role_for("look"), handler=one_refused.show),
    Route(method="GET", path="/refused/retry", role=role_for("replay"), handler=retrying.show),
    Route(method="POST", path="/refused/retry", role=role_for("replay"), handler=retrying.do_retry),
    Route(method="GET", path="/refused/retried", role=role_for("replay"), handler=retrying.show_done),
)
OUTBOX_ROUTES: Final = (
    Route(method="GET", path="/outbox", role=role_for("look"), handler=unsent.show),
    Route(method="GET", path="/outbox/retry", role=role_for("retry"), handler=notice_retrying.show),
    Route(method="POST", path="/outbox/retry", role=role_for("retry"), handler=notice_retrying.do_retry),
    Route(method="GET", path="/outbox/retried", role=role_for("retry"), handler=notice_retrying.show_done),
)
HANDOVER_ROUTES: Final = (
    Route(method="GET", path="/handover", role=role_for("look"), handler=handover.show),
    Route(method="POST", path="/handover", role=role_for("handover"), handler=handover.do_hand_over),
)
ACCOUNT_ROUTES: Final = (
    Route(method="GET", path="/accounts", role=role_for("look"), handler=all_accounts.show),
    Route(method="GET", path="/accounts/{name}", role=role_for("look"), handler=one_account.show),
    Route(method="GET", path=PAUSE, role=role_for("look"), handler=one_pause.show),
    Route(method="POST", path=f"{PAUSE}/go", role=role_for("guard_go"), handler=deciding.propose_to_go),
    Route(method="POST", path=f"{PAUSE}/park", role=role_for("guard_go"), handler=deciding.propose_to_park),
    Route(method="POST", path=f"{PAUSE}/{{id:[0-9]+}}/confirm", role=role_for("guard_go"), handler=deciding.confirm),
    Route(method="POST", path=f"{PAUSE}/{{id:[0-9]+}}/refuse", role=role_for("guard_go"), handler=deciding.refuse),
)

QUEUE_ROUTES: Final = (
    *CASE_ROUTES,
    *PARKED_ROUTES,
    *WAITING_ROUTES,
    *REFUSED_ROUTES,
    *OUTBOX_ROUTES,
    *ACCOUNT_ROUTES,
    *HANDOVER_ROUTES,
)
