"""For each alert: series with which it fires after its time and not before, and with which it stays quiet.

Series are in promtool's notation, a value a minute: `0+5x60` rises by 5 for 60 minutes, `1x60` stays.
"""

from typing import NamedTuple


class Case(NamedTuple):
    """An alert's case: when it fires, in minutes; `at` and `quiet` are series by name."""

    fires: int
    at: dict[str, str]
    quiet: dict[str, str]
    labels: dict[str, str]
    summary: str


def deliveries(result: str) -> str:
    return f'tillkeeper_deliveries_total{{account="shop",result="{result}"}}'


UP = 'up{job="tillkeeper",role="work",instance="127.0.0.1:9480"}'
SPOOL = 'tillkeeper_lane_messages{lane="spool"}'
OLDEST = 'tillkeeper_lane_oldest_seconds{lane="rabbitmq"}'
CONSUMERS = 'tillkeeper_lane_consumers{lane="spool"}'
APPLIED = 'tillkeeper_applied_events_total{outcome="applied"}'
READ_AT = "tillkeeper_database_gauges_timestamp_seconds"
CASE = 'tillkeeper_cases_open{kind="stuck",level="2"}'
NOTICE = 'tillkeeper_notices_total{audience="ops",channel="chat",outcome="%s"}'

CASES = {
    "NotDurable": Case(
        3,
        {deliveries("not_durable"): "0+6x30"},
        {deliveries("not_durable"): "0x30", deliveries("accepted"): "0+60x30"},
        {"account": "shop"},
        "Webhooks of shop are answered 503: no lane takes them",
    ),
    "BreakerOpen": Case(
        11,
        {'tillkeeper_breaker_open{instance="a"}': "1x30", 'tillkeeper_breaker_open{instance="b"}': "0x30"},
        {"tillkeeper_breaker_open": "0x30"},
        {},
        "1 receivers bypass RabbitMQ; the PostgreSQL lane takes everything",
    ),
    "AcceptSlow": Case(
        13,
        {
            'tillkeeper_accept_seconds_bucket{le="1"}': "0+50x30",
            'tillkeeper_accept_seconds_bucket{le="2.5"}': "0+100x30",
            'tillkeeper_accept_seconds_bucket{le="+Inf"}': "0+100x30",
        },
        {
            'tillkeeper_accept_seconds_bucket{le="1"}': "0+100x30",
            'tillkeeper_accept_seconds_bucket{le="2.5"}': "0+100x30",
            'tillkeeper_accept_seconds_bucket{le="+Inf"}': "0+100x30",
        },
        {},
        "Accepting takes 2.47s at the 99th percentile",
    ),
    "SignaturesRefused": Case(
        18,
        {deliveries("bad_signature"): "0+3x30", deliveries("accepted"): "0+7x30"},
        {deliveries("bad_signature"): "0+1x30", deliveries("accepted"): "0+9x30"},
        {"account": "shop"},
        "shop: more than a fifth of its webhooks have a wrong signature",
    ),
    "KeyNotFetched": Case(
        20,
        {'tillkeeper_keys_fetched_total{account="shop",result="failed"}': "0 0 1x60"},
        {'tillkeeper_keys_fetched_total{account="shop",result="learnt"}': "0+1x60"},
        {"account": "shop"},
        "shop: a key or certificate of its gateway could not be fetched",
    ),
    "KeyMissing": Case(
        7,
        {deliveries("no_key"): "0+1x30"},
        {deliveries("no_key"): "0x30"},
        {"account": "shop"},
        "shop: webhooks are answered 503, for the key that they name is not at hand",
    ),
    "ApplyLag": Case(
        6,
        {"tillkeeper_apply_lag_seconds": "90x30"},
        {"tillkeeper_apply_lag_seconds": "59x30"},
        {},
        "Events are applied 1m 30s after they came",
    ),
    "SpoolGrows": Case(
        13,
        {SPOOL: "200+10x30"},
        {SPOOL: "2000-10x30"},
        {"lane": "spool"},
        "The PostgreSQL lane holds 330 messages, and grows",
    ),
    "LaneOld": Case(
        6,
        {OLDEST: "400x30"},
        {OLDEST: "300x30"},
        {"lane": "rabbitmq"},
        "A message waits for 6m 40s in the lane rabbitmq",
    ),
    "NobodyConsumes": Case(
        3,
        {"up": "1x30"},
        {CONSUMERS: "3x30"},
        {"lane": "spool"},
        "No worker takes from the lane spool",
    ),
    "ApplyStalled": Case(
        6,
        {SPOOL: "7x30", APPLIED: "100x30"},
        {SPOOL: "7x30", APPLIED: "100+1x30"},
        {},
        "7 messages wait, and nothing is applied",
    ),
    "Parked": Case(
        6,
        {'tillkeeper_parked_open{reason="delivery_limit",instance="a"}': "2x30"},
        {'tillkeeper_parked_open{reason="delivery_limit"}': "0x30"},
        {},
        "2 events or messages are parked",
    ),
    "SweepLate": Case(
        6,
        {"tillkeeper_sweep_lag_seconds": "600x30"},
        {"tillkeeper_sweep_lag_seconds": "300x30"},
        {},
        "An order's next step is late by 10m 0s",
    ),
    "DatabaseGaugesStale": Case(
        6,
        {READ_AT: "0x30"},
        {READ_AT: "0+60x30"},
        {},
        "What is open in the database was not read for long, or never",
    ),
    "FetchesLate": Case(
        6,
        {"tillkeeper_fetches_overdue_seconds": "900x30"},
        {"tillkeeper_fetches_overdue_seconds": "600x30"},
        {},
        "A query that a webhook asked for is late by 15m 0s",
    ),
    "EventsWait": Case(
        6,
        {"tillkeeper_events_waiting_oldest_seconds": "7200x30"},
        {"tillkeeper_events_waiting_oldest_seconds": "3600x30"},
        {},
        "An event waits for its order for 2h 0m 0s",
    ),
    "OrdersStuck": Case(
        61,
        {'tillkeeper_orders_stuck{status="processing",age="3d"}': "4x70"},
        {'tillkeeper_orders_stuck{status="processing",age="1d"}': "4x70"},
        {"status": "processing"},
        "4 orders are processing for over three days",
    ),
    "RetentionStopped": Case(
        361,
        {"tillkeeper_retention_last_pass_timestamp_seconds": "-90000x400"},
        {"tillkeeper_retention_last_pass_timestamp_seconds": "0x400"},
        {},
        "Retention has left something for over a day: the disk fills",
    ),
    "CaseEscalated": Case(
        6,
        {CASE: "1x30"},
        {'tillkeeper_cases_open{kind="stuck",level="1"}': "9x30"},
        {"level": "2"},
        "1 cases went up to level 2",
    ),
    "CaseOverdue": Case(
        61,
        {'tillkeeper_cases_oldest_seconds{level="1"}': "345600x70"},
        {'tillkeeper_cases_oldest_seconds{level="1"}': "259200x70"},
        {"level": "1"},
        "A case of level 1 is open for 4d 0h 0m 0s",
    ),
    "NoticesLate": Case(
        6,
        {'tillkeeper_outbox_overdue_seconds{audience="payer"}': "360x30"},
        {'tillkeeper_outbox_overdue_seconds{audience="payer"}': "300x30"},
        {"audience": "payer"},
        "Notices to payer are late by 6m 0s",
    ),
    "NoticesFail": Case(
        17,
        {NOTICE % "failing": "0+1x30", NOTICE % "sent": "5x30"},
        {NOTICE % "failing": "0+1x30", NOTICE % "sent": "0+1x30"},
        {"audience": "ops", "channel": "chat"},
        "chat takes no notices to ops",
    ),
    "NoticesDead": Case(
        6,
        {'tillkeeper_outbox_dead{audience="merchant"}': "3x30"},
        {'tillkeeper_outbox_dead{audience="merchant"}': "0x30"},
        {"audience": "merchant"},
        "3 notices to merchant were given up",
    ),
    "AccountPaused": Case(
        2,
        {'tillkeeper_account_paused{account="shop"}': "1x30"},
        {'tillkeeper_account_paused{account="shop"}': "0x30"},
        {"account": "shop"},
        "shop is paused: its events changed far more orders than is usual",
    ),
    "AccountSilent": Case(
        6,
        {'tillkeeper_silence{account="shop",kind="silent"}': "1x30"},
        {'tillkeeper_silence{account="shop",kind="silent"}': "0x30"},
        {"account": "shop"},
        "shop is silent: no webhooks for longer than is usual",
    ),
    "GatewayUnanswering": Case(
        6,
        {'tillkeeper_silence{account="shop",kind="unanswering"}': "1x30"},
        {'tillkeeper_silence{account="shop",kind="silent"}': "1x30"},
        {"account": "shop"},
        "The gateway of shop answers no queries",
    ),
    "GatewayDenies": Case(
        17,
        {'tillkeeper_gateway_queries_total{account="shop",result="denied"}': "0+1x30"},
        {'tillkeeper_gateway_queries_total{account="shop",result="found"}': "0+1x30"},
        {"account": "shop"},
        "The gateway of shop refuses our queries",
    ),
    "KeysExpire": Case(
        61,
        {'tillkeeper_keys_valid_until_timestamp_seconds{account="shop",role="ingest"}': "90060x70"},
        {
            'tillkeeper_keys_valid_until_timestamp_seconds{account="shop",role="ingest"}': "1300000x70",
            'tillkeeper_keys_valid_until_timestamp_seconds{account="shop",role="work"}': "90060x70",
            'tillkeeper_keys_valid_until_timestamp_seconds{account="other"}': "9999999999x70",
        },
        {"account": "shop"},
        "shop: the certificate that its webhooks are verified with ends in 1d 0h 0m 0s",
    ),
    "ProcessDown": Case(
        2,
        {UP: "0x30"},
        {UP: "1x30"},
        {"job": "tillkeeper", "role": "work", "instance": "127.0.0.1:9480"},
        "work at 127.0.0.1:9480 does not answer",
    ),
    "DatabaseUnavailable": Case(
        2,
        {'tillkeeper_database_unavailable{instance="a"}': "1x30"},
        {"tillkeeper_database_unavailable": "0x30"},
        {},
        "1 processes cannot reach the database",
    ),
    "SchemaUnfit": Case(
        2,
        {"tillkeeper_schema_unfit": "1x30"},
        {"tillkeeper_schema_unfit": "0x30"},
        {},
        "1 processes wait, for they may not serve the database's schema",
    ),
    "PolicyRefused": Case(
        6,
        {"tillkeeper_policy_refused": "1x30"},
        {"tillkeeper_policy_refused": "0x30"},
        {},
        "The policy file is invalid; the policy of before stays in force",
    ),
    "AccountsRefused": Case(
        6,
        {"tillkeeper_accounts_refused": "1x30"},
        {"tillkeeper_accounts_refused": "0x30"},
        {},
        "The changed accounts or keys are invalid; those of before stay in force",
    ),
    "VersionsDiffer": Case(
        61,
        {
            'tillkeeper_build_info{version="0.1.0",python="3.12"}': "1x70",
            'tillkeeper_build_info{version="0.2.0",python="3.12"}': "1x70",
        },
        {
            'tillkeeper_build_info{version="0.1.0",python="3.12"}': "1x70",
            'tillkeeper_build_info{version="0.1.0",python="3.13"}': "1x70",
        },
        {},
        "Processes of 2 versions run side by side",
    ),
}
