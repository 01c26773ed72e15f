"""How each alert is provoked on a running Tillkeeper, and how its runbook ends it: inside and after each context."""

from tests.system.watching.provoking import gateways, lanes, people, processes, receiver, sweep
from tests.system.watching.provoking.house import Provoking

# By the alerts that it provokes.
PROVOKE: dict[str, Provoking] = {
    "NotDurable": receiver.not_durable,
    "BreakerOpen": receiver.breaker_open,
    "AcceptSlow": receiver.accept_slow,
    "SignaturesRefused": receiver.signatures_refused,
    "KeyNotFetched KeyMissing": receiver.key_missing,  # once: a key that was fetched stays
    "ApplyLag": lanes.apply_lag,
    "SpoolGrows": lanes.spool_grows,
    "LaneOld": lanes.lane_old,
    "NobodyConsumes": lanes.nobody_consumes,
    "ApplyStalled": lanes.apply_stalled,
    "Parked": lanes.parked,
    "SweepLate": sweep.sweep_late,
    "DatabaseGaugesStale": sweep.gauges_stale,
    "FetchesLate": sweep.fetches_late,
    "EventsWait": sweep.events_wait,
    "OrdersStuck": sweep.orders_stuck,
    "RetentionStopped": sweep.retention_stopped,
    "CaseEscalated": people.case_escalated,
    "CaseOverdue": people.case_overdue,
    "NoticesLate": people.notices_late,
    "NoticesFail": people.notices_fail,
    "NoticesDead": people.notices_dead,
    "AccountPaused": gateways.paused,
    "AccountSilent": gateways.silent,
    "GatewayUnanswering": gateways.unanswering,
    "GatewayDenies": gateways.denies,
    "KeysExpire": gateways.keys_expire,
    "ProcessDown": processes.process_down,
    "DatabaseUnavailable": processes.database_unavailable,
    "SchemaUnfit": processes.schema_unfit,
    "PolicyRefused": processes.policy_refused,
    "AccountsRefused": processes.accounts_refused,
    "VersionsDiffer": processes.versions_differ,
}
