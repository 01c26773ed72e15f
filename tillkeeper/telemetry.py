"""Defines the metrics of what processes do; docs/metrics.md is printed from here and from database_metrics.py.

Every label has a bounded set of values: the words that stand here, or the names in the configuration.  Hot paths bind
their label children once.  Processes on one port share their metrics through files: their parent sets
PROMETHEUS_MULTIPROC_DIR for them (prometheus-client's multiprocess mode), and `exposition` adds the files up.
"""

import os
import platform
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from tillkeeper import __version__
from tillkeeper.domain.order.notice_outcomes import ChannelState
from tillkeeper.domain.order.notices import Audience
from tillkeeper.domain.order.receiving import Outcome
from tillkeeper.domain.retention import DataKind
from tillkeeper.metric_definitions import counter, gauge, histogram

MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
MULTIPROCESS: Final = MULTIPROCESS_VARIABLE in os.environ  # prometheus-client looks at it once, when imported
EXPOSITION_TYPE: Final = CONTENT_TYPE_LATEST

OTHER: Final = "other"  # the value for what stands in no list of ours
ACCOUNT: Final = "the accounts of the configuration"
LANES: Final = ("rabbitmq", "spool")

# --- the receiver -----------------------------------------------------------------------------------------------------

DELIVERIES: Final = counter(
    "tillkeeper_deliveries",
    "Requests of gateways.  `not_durable` was answered 503 because no lane took it; `no_key`, because the key that it "
    "names could not be fetched; `no_room`, because it is unsigned and more came than can be asked about",
    account=ACCOUNT,
    result=(
        "accepted",
        "bad_signature",
        "bad_payload",
        "too_large",
        "too_slow",
        "encoded",
        "incomplete",
        "upgrade",
        "refused",
        "not_durable",
        "no_key",
        "no_room",
    ),
)
KEYS_USED: Final = counter(
    "tillkeeper_keys_used",
    "Accepted deliveries by the key that verified them, to see when an old one is no longer used",
    account=ACCOUNT,
    key="the keys of the account, and those that its gateway published",
)
KEYS_FETCHED: Final = counter(
    "tillkeeper_keys_fetched",
    "Keys fetched because a delivery named one that is not at hand, or from time to time; `limited`: at most 20 a "
    "minute each of known, repeated and new addresses",
    account=ACCOUNT,
    result=("learnt", "failed", "refused", "limited"),
)
ACCEPT_SECONDS: Final = histogram(
    "tillkeeper_accept_seconds",
    "From the headers' arrival until every event of the delivery is durable; a 99th percentile over 0.1 s means that "
    "the broker or a disk is slow",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
CONNECTIONS_REFUSED: Final = counter(
    "tillkeeper_connections_refused",
    "Connections that we closed: `too_many` (everybody is being served: 503), `turned_out` (it waited longest without "
    "a whole request, and another came or memory was short), `too_slow`, `unread` (its answers were not read), "
    "`malformed`",
    reason=("too_many", "turned_out", "too_slow", "unread", "malformed"),
)
KEYS_VALID_UNTIL: Final = gauge(
    "tillkeeper_keys_valid_until_timestamp_seconds",
    "When the last certificate ends with which an account's deliveries can be verified (Alipay's certificate mode: the "
    "first of its chain or our own); +Inf where none ends",
    account=ACCOUNT,
)
EXAMINED: Final = counter(
    "tillkeeper_examined",
    "Refused deliveries by their diagnosis; `limited`: not examined, `not_kept`: the database was unavailable",
    account=ACCOUNT,
    finding=(
        "header_missing",
        "clock_skew",
        "key_unknown",
        "url_differs",
        "body_reencoded",
        "other_account",
        "old_secret",
        "wrong_mode",
        "wrong_secret",
        "unreadable",
        "limited",
        "not_kept",
    ),
)
HINTS: Final = counter(
    "tillkeeper_hints",
    "Webhooks with a wrong signature: `asked` (a query about what they name), `unknown` (no open order, or queried "
    "just now), `nothing` named, `limited`, `failed` because of the database",
    account=ACCOUNT,
    result=("asked", "unknown", "nothing", "limited", "failed"),
)

# --- the lanes --------------------------------------------------------------------------------------------------------

LANE_DELIVERIES: Final = counter(
    "tillkeeper_lane_deliveries",
    "Deliveries that receivers made durable; with a broker, a rising `spool` means that it fails",
    lane=LANES,
)
LANE_ENVELOPES: Final = counter(
    "tillkeeper_lane_envelopes",
    "Messages that carried them; deliveries divided by this is how well they travel together",
    lane=LANES,
)
LANE_FAILURES: Final = counter("tillkeeper_lane_failures", "Messages that a lane did not take", lane=LANES)
BREAKER_OPEN: Final = gauge("tillkeeper_breaker_open", "Receiver processes that bypass RabbitMQ at present", "livesum")
LANE_MESSAGES: Final = gauge(
    "tillkeeper_lane_messages",
    "Messages that wait for a worker: `spool` as a sweep counts its rows, up to 10,000; `rabbitmq` as a worker asks "
    "for its queues' lengths, with what it holds itself",
    lane=LANES,
)
LANE_OLDEST_SECONDS: Final = gauge(
    "tillkeeper_lane_oldest_seconds",
    "How long the oldest message waits: `spool` by the time in its row; `rabbitmq` by the delivery that a worker took "
    "last, for messages come in order; 0 while the lane is empty",
    lane=LANES,
)
LANE_CONSUMERS: Final = gauge(
    "tillkeeper_lane_consumers", "Workers' loops that take from a lane, and reach it at present", "livesum", lane=LANES
)

# --- the workers ------------------------------------------------------------------------------------------------------

APPLIED_EVENTS: Final = counter(
    "tillkeeper_applied_events",
    "Events by the outcome written in the inbox; one that waited counts again when it is settled",
    outcome=(*Outcome, "duplicate"),
)
APPLY_BATCH_EVENTS: Final = histogram(
    "tillkeeper_apply_batch_events",
    "Events in one transaction; full batches all the time mean a backlog",
    buckets=(1, 2, 5, 10, 25, 50, 100, 200, 500, 1000),
)
APPLY_LAG_SECONDS: Final = gauge(
    "tillkeeper_apply_lag_seconds",
    "Age of the oldest delivery that the worker has in hand, or applied last; 0 once its lanes are empty",
)
PARK_REASONS: Final = (
    "cannot_be_applied",
    "cannot_be_kept",
    "delivery_limit",
    "expired",
    "maxlen",
    "not_authentic",
    "unreadable",
    OTHER,
)
PARKED_EVENTS: Final = counter(
    "tillkeeper_parked_events",
    "Events and messages parked; `tillkeeper_parked_open` tells how many are still open",
    reason=PARK_REASONS,
)
HELD_DELIVERIES: Final = counter(
    "tillkeeper_held_deliveries",
    "Deliveries that were held because the guard has their account paused",
)
DATABASE_WAITS: Final = counter("tillkeeper_database_waits", "Pauses because the database was unavailable")

# --- queries to gateways ----------------------------------------------------------------------------------------------

GATEWAY_QUERIES: Final = counter(
    "tillkeeper_gateway_queries",
    "Queries to gateways: `found`, `not_found`, `listed` (a page of events), `signed_in` (a token fetched), `made` (a "
    "call whose answer is not read), or why there is no answer",
    account=ACCOUNT,
    result=(
        "found",
        "not_found",
        "listed",
        "signed_in",
        "made",
        "unreachable",
        "busy",
        "denied",
        "bad_answer",
        "breaker_open",
        "cannot_ask",
    ),
)
GATEWAY_BREAKER_OPEN: Final = gauge(
    "tillkeeper_gateway_breaker_open",
    "Processes that leave an account alone because its gateway does not answer",
    "livesum",
    account=ACCOUNT,
)
FETCHES: Final = counter(
    "tillkeeper_fetches",
    "Queries that deliveries caused: `found`, `not_found` (for good), `again` (tried later), `given_up` (there is a "
    "case), `dropped` (unsigned, and dropped for newer ones without an answer)",
    account=ACCOUNT,
    result=("found", "not_found", "again", "given_up", "dropped"),
)
FETCH_LAG_SECONDS: Final = gauge(
    "tillkeeper_fetch_lag_seconds",
    "How long the longest due query of the last batch had been due; 0 while nothing is due",
)

# --- what happens because time passed ---------------------------------------------------------------------------------

SWEPT_ORDERS: Final = counter(
    "tillkeeper_swept_orders",
    "Due orders that sweeps handled: `looked_at`, `asked` (queried), `unanswered`, `closed`, `postponed`; "
    "`answer_applied` and the like count the outcomes of answers",
    what=(
        "looked_at",
        "asked",
        "unanswered",
        "closed",
        "postponed",
        *(f"answer_{outcome}" for outcome in Outcome),
    ),
)
RETENTION_ROWS: Final = counter(
    "tillkeeper_retention_rows",
    "Rows that retention removed, or whose content it removed, by kind of data; those of weeks of bodies as PostgreSQL "
    "estimates them",
    kind=tuple(DataKind),
)
RETENTION_BYTES: Final = counter(
    "tillkeeper_retention_bytes",
    "Their bytes: given back to the disk for whole weeks of `bodies`, else room for new rows",
    kind=tuple(DataKind),
)
RETENTION_LAST_PASS: Final = gauge(
    "tillkeeper_retention_last_pass_timestamp_seconds",
    "When a sweep last left nothing that retention was to remove; older than a day means that something keeps it from "
    "that",
)
SILENCE: Final = gauge(
    "tillkeeper_silence",
    "1 while an account is `silent` although webhooks are expected, or its gateway is `unanswering`; ops got a notice",
    account=ACCOUNT,
    kind=("silent", "unanswering"),
)
ASKED_SOONER: Final = counter(
    "tillkeeper_asked_sooner", "Orders that are queried sooner because their account is silent", account=ACCOUNT
)
BACKFILLED: Final = counter(
    "tillkeeper_backfilled",
    "Events of gateways' lists that were `new`, `known` already or `failed` to be applied; `orders` that were queried "
    "where there is no list",
    account=ACCOUNT,
    what=("new", "known", "failed", "orders"),
)

# --- notices ----------------------------------------------------------------------------------------------------------

NOTICES: Final = counter(
    "tillkeeper_notices",
    "Attempts to send notices: `sent`, `failing` (retried), `dropped` (on purpose), `uncertain` (a mail that was sent "
    "without an answer), `dead` (given up: there is a case)",
    audience=tuple(Audience),
    channel="the channels of the configuration",
    outcome=tuple(ChannelState),
)
NOTICE_LAG_SECONDS: Final = gauge(
    "tillkeeper_notice_lag_seconds",
    "How long the longest due notice of the last batch had been due; 0 while nothing is due",
    audience=tuple(Audience),
)

# --- every process ----------------------------------------------------------------------------------------------------

BUILD_INFO: Final = gauge(
    "tillkeeper_build_info",
    "1, with what runs",
    version="the version that runs",
    python="its Python's version",
)
DATABASE_UNAVAILABLE: Final = gauge(
    "tillkeeper_database_unavailable", "Processes that cannot reach the database at present", "livesum"
)
SCHEMA_VERSION: Final = gauge("tillkeeper_schema_version", "The version of the database's schema, as it was seen last")
SCHEMA_UNFIT: Final = gauge(
    "tillkeeper_schema_unfit",
    "Processes that wait because they may not serve the schema: `schema_unfit` in the log says why",
    "livesum",
)
POLICY_REFUSED: Final = gauge(
    "tillkeeper_policy_refused",
    "Processes whose policy file is invalid, so that the policy of before stays in force: `policy_refused` in the log "
    "says why",
    "livesum",
)
ACCOUNTS_REFUSED: Final = gauge(
    "tillkeeper_accounts_refused",
    "Processes whose changed accounts are invalid, so that the accounts of before stay in force: `accounts_refused` in "
    "the log says why",
    "livesum",
)


def show_build() -> None:
    """Sets what runs."""
    BUILD_INFO.labels(__version__, platform.python_version()).set(1)


def exposition() -> bytes:
    """Returns all metrics in Prometheus' text format, of every process that shares this one's directory."""
    if not MULTIPROCESS:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
