"""Writes log lines as JSON to standard error, and defines all metrics for Prometheus.

All metrics are defined here, so that one page lists what can be watched.  Hot paths bind their label children once.
Processes on one port share their metrics through files: their parent sets PROMETHEUS_MULTIPROC_DIR for them
(prometheus-client's multiprocess mode), and `exposition` adds the files up.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, Final

import orjson
import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from structlog.typing import EventDict, WrappedLogger

from tillkeeper.domain.masking import without_contacts

MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
MULTIPROCESS: Final = MULTIPROCESS_VARIABLE in os.environ  # prometheus-client looks at it once, when imported
EXPOSITION_TYPE: Final = CONTENT_TYPE_LATEST

# --- metrics ----------------------------------------------------------------------------------------------------------

# The receiver.
DELIVERIES: Final = Counter(
    "tillkeeper_deliveries",
    "Requests of gateways by account and result: accepted, why they were refused, or not_durable",
    ("account", "result"),
)
KEYS_USED: Final = Counter(
    "tillkeeper_keys_used",
    "Accepted deliveries by the key that verified them, to see when an old one is no longer used",
    ("account", "key"),
)
KEYS_FETCHED: Final = Counter(
    "tillkeeper_keys_fetched",
    "Keys fetched because a delivery named one not at hand, or from time to time, by account and result",
    ("account", "result"),
)
ACCEPT_SECONDS: Final = Histogram(
    "tillkeeper_accept_seconds",
    "From the headers' arrival until every event of the delivery is durable",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
CONNECTIONS_REFUSED: Final = Counter(
    "tillkeeper_connections_refused",
    "Connections that we closed: too many, closed in favour of another, too slow, answers unread, or malformed",
    ("reason",),
)

# The lanes, as the receiver sees them.
LANE_DELIVERIES: Final = Counter("tillkeeper_lane_deliveries", "Deliveries made durable, by lane", ("lane",))
LANE_ENVELOPES: Final = Counter("tillkeeper_lane_envelopes", "Messages that carried them, by lane", ("lane",))
LANE_FAILURES: Final = Counter("tillkeeper_lane_failures", "Messages that a lane did not take, by lane", ("lane",))
BREAKER_OPEN: Final = Gauge(
    "tillkeeper_breaker_open", "Receiver processes that bypass RabbitMQ", multiprocess_mode="livesum"
)

# The workers.
APPLIED_EVENTS: Final = Counter("tillkeeper_applied_events", "Events by the outcome written in the inbox", ("outcome",))
APPLY_BATCH_EVENTS: Final = Histogram(
    "tillkeeper_apply_batch_events", "Events in one transaction", buckets=(1, 2, 5, 10, 25, 50, 100, 200, 500, 1000)
)
APPLY_LAG_SECONDS: Final = Gauge(
    "tillkeeper_apply_lag_seconds",
    "Age of the oldest delivery in the last batch, when it was committed",
    multiprocess_mode="livemax",
)
PARKED_EVENTS: Final = Counter("tillkeeper_parked_events", "Events and messages parked, by reason", ("reason",))
DATABASE_WAITS: Final = Counter("tillkeeper_database_waits", "Pauses because the database was unavailable")

# Queries to gateways.
GATEWAY_QUERIES: Final = Counter(
    "tillkeeper_gateway_queries",
    "Queries to gateways by account and result: found, not_found, listed, or why there is no answer",
    ("account", "result"),
)
GATEWAY_BREAKER_OPEN: Final = Gauge(
    "tillkeeper_gateway_breaker_open",
    "Processes that leave an account alone because its gateway does not answer",
    ("account",),
    multiprocess_mode="livesum",
)

# Queries that deliveries caused.
FETCHES: Final = Counter(
    "tillkeeper_fetches",
    "Queries that deliveries caused, by account and result: found, not_found, again, given_up, dropped",
    ("account", "result"),
)
FETCH_LAG_SECONDS: Final = Gauge(
    "tillkeeper_fetch_lag_seconds",
    "How long the longest due query of the last batch had been due",
    multiprocess_mode="livemax",
)

# What happens because time passed.
SWEPT_ORDERS: Final = Counter("tillkeeper_swept_orders", "Due orders that sweeps handled, by what was done", ("what",))

# Gaps in webhooks.
SILENCE: Final = Gauge(
    "tillkeeper_silence",
    "1 while an account is silent although webhooks are expected, or its gateway does not answer queries",
    ("account", "kind"),
    multiprocess_mode="livemax",
)
ASKED_SOONER: Final = Counter(
    "tillkeeper_asked_sooner", "Orders that are queried sooner because their account is silent", ("account",)
)
BACKFILLED: Final = Counter(
    "tillkeeper_backfilled",
    "Events of gateways' lists by account: new, known, failed; and orders queried where there is no list",
    ("account", "what"),
)
HINTS: Final = Counter(
    "tillkeeper_hints",
    "Deliveries that failed verification, by account and what came of the payment that they named",
    ("account", "result"),
)

# The schema, in every process.
SCHEMA_VERSION: Final = Gauge(
    "tillkeeper_schema_version", "The version of the database's schema as last seen", multiprocess_mode="livemax"
)
SCHEMA_UNFIT: Final = Gauge(
    "tillkeeper_schema_unfit",
    "Processes that wait because the database's schema is not one that they may serve",
    multiprocess_mode="livesum",
)

# The policy, in every process that has one.
POLICY_REFUSED: Final = Gauge(
    "tillkeeper_policy_refused",
    "Processes whose policy file is invalid, so that the policy of before stays in force",
    multiprocess_mode="livesum",
)

# The accounts, in every process that has some.
ACCOUNTS_REFUSED: Final = Gauge(
    "tillkeeper_accounts_refused",
    "Processes whose changed accounts are invalid, so that the accounts of before stay in force",
    multiprocess_mode="livesum",
)
EXAMINED: Final = Counter(
    "tillkeeper_examined",
    "Refused deliveries by account and diagnosis; limited: not examined; not_kept: the database was unavailable",
    ("account", "finding"),
)

# Notices.
NOTICES: Final = Counter(
    "tillkeeper_notices",
    "Attempts to send notices, by audience, channel and outcome",
    ("audience", "channel", "outcome"),
)
NOTICE_LAG_SECONDS: Final = Gauge(
    "tillkeeper_notice_lag_seconds",
    "How long the longest due notice of the last batch had been due",
    ("audience",),
    multiprocess_mode="livemax",
)


def exposition() -> bytes:
    """Returns all metrics in Prometheus' text format, of every process that shares this one's directory."""
    if not MULTIPROCESS:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


# --- logs -------------------------------------------------------------------------------------------------------------

# user:password@ of any URL.  A password may hold @ and / though it should not, so the last @ before a space counts.
_URL_PASSWORD: Final = re.compile(r"(://[^\s:/@\"']*:)[^\s\"']*@")
_QUERY_PASSWORD: Final = re.compile(r"(?i)(\b(?:password|passwd|sslpassword)=)[^\s&\"']+")


def mask(text: str) -> str:
    """Masks the passwords of URLs and connection strings."""
    if "://" in text or "=" in text:
        return _QUERY_PASSWORD.sub(r"\1***", _URL_PASSWORD.sub(r"\1***@", text))
    return text


def _mask_any(value: Any) -> Any:
    if isinstance(value, str):
        return without_contacts(mask(value))
    if isinstance(value, Mapping):
        return {name: _mask_any(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mask_any(inner) for inner in value]
    if value is None or isinstance(value, (int, float)):
        return value
    return without_contacts(mask(str(value)))


def _mask_event(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    return {name: _mask_any(value) for name, value in event_dict.items()}


def _to_json(event_dict: EventDict, **_options: object) -> str:
    try:
        return orjson.dumps(event_dict, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # half a surrogate pair, or an integer past 64 bits
        return json.dumps(event_dict, default=str)


# They log each failed reconnect as an error with a traceback; lanes and pools log once that something is unavailable.
CHATTY: Final = ("aiormq", "aio_pika", "asyncpg.pool", "apprise")


def set_up_logging(role: str, *, level: str = "INFO") -> None:
    """Sends structlog's and the standard library's records to stderr, one JSON object a line."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _add_role(role),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _mask_event,
    ]
    renderer = structlog.processors.JSONRenderer(serializer=_to_json)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # one write for each line: processes share stderr
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for library in CHATTY:
        logging.getLogger(library).setLevel(logging.CRITICAL)
    logging.captureWarnings(capture=True)


def _add_role(role: str) -> structlog.typing.Processor:
    def add(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
        event_dict["role"] = role
        return event_dict

    return add
