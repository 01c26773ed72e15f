"""Prints the dashboards of deploy/grafana from the tables here: a row of panels for each part of Tillkeeper.

Run it by `make docs`; a test fails when what it prints is not what is there, and another has a Prometheus run every
query against running processes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

FOLDER: Final = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboards"
WIDTH: Final = 24  # Grafana's own
HEIGHT: Final = 6
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
# Of what is open, none is calm; where there is a limit, it is the one of the alert.
CALM: Final = ((None, "green"),)


class Panel(NamedTuple):
    """A panel: its queries by legend, and from which values on it is yellow or red."""

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    steps: Sequence[tuple[float | None, str]] = CALM
    stacked: bool = False
    about: str = ""


def number(title: str, query: str, unit: str = "short", red: float | None = None, about: str = "") -> Panel:
    """Returns a panel of one number, red from `red` on."""
    steps = CALM if red is None else (*CALM, (red, "red"))
    return Panel(title, {"": query}, unit, "stat", 3, steps, about=about)


OVERVIEW: Final[Mapping[str, Sequence[Panel]]] = {
    "Now": (
        number("Webhooks a second", 'sum(tillkeeper:deliveries:rate5m{result="accepted"})', "reqps"),
        number("Not durable", 'sum(increase(tillkeeper_deliveries_total{result="not_durable"}[1h]))', red=1),
        number("Apply lag", "tillkeeper:apply_lag_seconds:max", "s", 60),
        number("Sweep lag", "tillkeeper:sweep_lag_seconds:max", "s", 300),
        number("Open cases", "sum(tillkeeper:cases_open:max)", about="What a person must look at: tillkeeper cases"),
        number("Escalated cases", 'sum(tillkeeper:cases_open:max{level!="1"}) or vector(0)', red=1),
        number("Parked", "sum(tillkeeper:parked_open:max)", red=1),
        number("Age of these figures", "tillkeeper:database_gauges_age_seconds", "s", 120),
    ),
    "Receiver": (
        Panel(
            "Accepted, by account",
            {"{{account}}": 'sum by (account) (tillkeeper:deliveries:rate5m{result="accepted"})'},
            "reqps",
        ),
        Panel(
            "Refused, by result",
            {"{{result}}": 'sum by (result) (tillkeeper:deliveries:rate5m{result!="accepted"})'},
            "reqps",
        ),
        Panel(
            "From headers to durable",
            {"p50": "tillkeeper:accept_seconds:p50", "p99": "tillkeeper:accept_seconds:p99"},
            "s",
        ),
        Panel(
            "Made durable, by lane", {"{{lane}}": "sum by (lane) (rate(tillkeeper_lane_deliveries_total[5m]))"}, "reqps"
        ),
        Panel(
            "Webhooks in one message",
            {
                "{{lane}}": "sum by (lane) (rate(tillkeeper_lane_deliveries_total[5m]))"
                " / sum by (lane) (rate(tillkeeper_lane_envelopes_total[5m]))"
            },
        ),
        Panel(
            "Breaker open; messages that a lane did not take",
            {
                "breakers open": "sum(tillkeeper_breaker_open)",
                "{{lane}} refused": "sum by (lane) (rate(tillkeeper_lane_failures_total[5m]))",
            },
        ),
    ),
    "Lanes": (
        Panel("Messages waiting", {"{{lane}}": "tillkeeper:lane_messages:max"}),
        Panel("Oldest message", {"{{lane}}": "tillkeeper:lane_oldest_seconds:max"}, "s"),
        Panel("Loops that take", {"{{lane}}": "tillkeeper:lane_consumers:sum"}),
    ),
    "Workers": (
        Panel("Events, by outcome", {"{{outcome}}": "tillkeeper:applied_events:rate5m"}, "ops", stacked=True),
        Panel("Apply lag", {"{{instance}}": "max by (instance) (tillkeeper_apply_lag_seconds)"}, "s"),
        Panel(
            "Events in one transaction",
            {
                "mean": "sum(rate(tillkeeper_apply_batch_events_sum[5m]))"
                " / sum(rate(tillkeeper_apply_batch_events_count[5m]))",
                "p99": "histogram_quantile(0.99, sum by (le) (rate(tillkeeper_apply_batch_events_bucket[5m])))",
            },
        ),
        Panel("Parked, and open", {"{{reason}}": "tillkeeper:parked_open:max"}, stacked=True),
        Panel(
            "Events that wait for their order",
            {"waiting": "max(tillkeeper_events_waiting)"},
            about="Of orders that are not registered, or not yet",
        ),
        Panel("Longest wait for an order", {"oldest": "max(tillkeeper_events_waiting_oldest_seconds)"}, "s"),
    ),
    "Sweep": (
        Panel(
            "Orders whose money does not move, by age",
            {"{{status}} {{age}}": "tillkeeper:orders_stuck:max"},
            stacked=True,
            about="Since it moved last; a payment began, and none is over",
        ),
        Panel(
            "Due and late",
            {"orders due": "max(tillkeeper_orders_due)", "longest, s": "tillkeeper:sweep_lag_seconds:max"},
        ),
        Panel("Orders handled", {"{{what}}": "sum by (what) (rate(tillkeeper_swept_orders_total[5m]))"}, "ops"),
    ),
    "Gateways": (
        Panel(
            "Queries, by account",
            {"{{account}} {{result}}": "sum by (account, result) (rate(tillkeeper_gateway_queries_total[5m]))"},
            "reqps",
        ),
        Panel(
            "Silent or unanswering",
            {"{{account}} {{kind}}": "max by (account, kind) (tillkeeper_silence)"},
            about="1 while it lasts; ops got a notice",
        ),
        Panel(
            "Queries that webhooks ask for",
            {
                "{{account}} open": "max by (account) (tillkeeper_fetches_open)",
                "longest overdue, s": "max(tillkeeper_fetches_overdue_seconds)",
            },
        ),
    ),
    "Cases": (
        Panel("Open, by kind", {"{{kind}} {{level}}": "tillkeeper:cases_open:max > 0 or vector(0)"}, stacked=True),
        Panel("Oldest, by level", {"level {{level}}": "max by (level) (tillkeeper_cases_oldest_seconds)"}, "s"),
        Panel(
            "Money that counts for nothing",
            {"{{reason}}": "max by (reason) (tillkeeper_events_mismatched)"},
            about="Events of the wrong account or currency, while their case is open",
        ),
    ),
    "Notices": (
        Panel("Not sent yet", {"{{audience}}": "tillkeeper:outbox_pending:max"}),
        Panel("Overdue", {"{{audience}}": "max by (audience) (tillkeeper_outbox_overdue_seconds)"}, "s"),
        Panel(
            "Attempts, by outcome",
            {
                "{{audience}} {{channel}} {{outcome}}": "sum by (audience, channel, outcome)"
                " (rate(tillkeeper_notices_total[5m]))",
                "{{audience}} given up in a day": "max by (audience) (tillkeeper_outbox_dead)",
            },
            "ops",
        ),
    ),
    "Processes": (
        Panel("Up", {"{{role}} {{instance}}": 'up{job="tillkeeper"}'}),
        Panel(
            "Waiting for the database, for its schema; files refused",
            {
                "database": "sum(tillkeeper_database_unavailable)",
                "schema": "sum(tillkeeper_schema_unfit)",
                "policy": "sum(tillkeeper_policy_refused)",
                "accounts": "sum(tillkeeper_accounts_refused)",
            },
        ),
        Panel(
            "What runs",
            {
                "version {{version}}": "count by (version) (tillkeeper_build_info)",
                "schema": "max(tillkeeper_schema_version)",
            },
        ),
        Panel("CPU", {"{{role}} {{instance}}": 'rate(process_cpu_seconds_total{job="tillkeeper"}[5m])'}, "percentunit"),
        Panel("Memory", {"{{role}} {{instance}}": 'process_resident_memory_bytes{job="tillkeeper"}'}, "bytes"),
        Panel("Open files", {"{{role}} {{instance}}": 'process_open_fds{job="tillkeeper"}'}),
    ),
}
OF_ACCOUNT: Final = '{account=~"$account"}'


def in_an_hour(counter: str, label: str) -> dict[str, str]:
    """Returns the query of how much a counter of the chosen accounts grew, by one more label."""
    grown = f"sum by (account, {label}) (increase({counter}{OF_ACCOUNT}[1h]))"
    return {f"{{{{account}}}} {{{{{label}}}}}": grown}


ACCOUNTS: Final[Mapping[str, Sequence[Panel]]] = {
    "Webhooks": (
        Panel(
            "Requests, by result",
            {"{{account}} {{result}}": f"tillkeeper:deliveries:rate5m{OF_ACCOUNT} > 0 or vector(0)"},
            "reqps",
        ),
        Panel("Keys in use", in_an_hour("tillkeeper_keys_used_total", "key"), about="Compare with tillkeeper keys"),
        Panel("Keys fetched", in_an_hour("tillkeeper_keys_fetched_total", "result")),
        Panel(
            "Why refused",
            in_an_hour("tillkeeper_examined_total", "finding"),
            about="tillkeeper refused list says what to do",
        ),
        Panel("Asked because of a webhook with a wrong signature", in_an_hour("tillkeeper_hints_total", "result")),
        Panel(
            "Silent or unanswering",
            {"{{account}} {{kind}}": f"max by (account, kind) (tillkeeper_silence{OF_ACCOUNT})"},
        ),
    ),
    "Queries": (
        Panel("Queries, by result", in_an_hour("tillkeeper_gateway_queries_total", "result")),
        Panel(
            "Breakers open",
            {"{{account}}": f"sum by (account) (tillkeeper_gateway_breaker_open{OF_ACCOUNT})"},
            about="Processes that leave the account alone for a while",
        ),
        Panel(
            "Queries that webhooks ask for",
            {"{{account}}": f"max by (account) (tillkeeper_fetches_open{OF_ACCOUNT})"},
        ),
        Panel("What became of them", in_an_hour("tillkeeper_fetches_total", "result")),
        Panel("Taken in after a gap", in_an_hour("tillkeeper_backfilled_total", "what")),
        Panel(
            "Orders asked about sooner",
            {"{{account}}": f"sum by (account) (increase(tillkeeper_asked_sooner_total{OF_ACCOUNT}[1h]))"},
        ),
    ),
}


def pages() -> dict[Path, str]:
    """Returns each file with its content."""
    return {
        FOLDER / "tillkeeper.json": _dashboard("tillkeeper", "Tillkeeper", OVERVIEW, ()),
        FOLDER / "tillkeeper-accounts.json": _dashboard(
            "tillkeeper-accounts", "Tillkeeper by account", ACCOUNTS, (_account_variable(),)
        ),
    }


def _dashboard(uid: str, title: str, rows: Mapping[str, Sequence[Panel]], variables: Iterable[dict[str, Any]]) -> str:
    told = {
        "uid": uid,
        "title": title,
        "tags": ["tillkeeper"],
        "schemaVersion": 38,
        "editable": False,
        "graphTooltip": 1,  # one cross-hair over all panels
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "tags": ["tillkeeper"], "title": "Tillkeeper", "asDropdown": False}],
        "templating": {"list": [_source_variable(), *variables]},
        "panels": list(_panels(rows)),
    }
    return json.dumps(told, indent=2) + "\n"


def _source_variable() -> dict[str, Any]:
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}}


def _account_variable() -> dict[str, Any]:
    return {
        "name": "account",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": "label_values(tillkeeper_deliveries_total, account)", "refId": "account"},
        "includeAll": True,
        "multi": True,
        "refresh": 2,
        "current": {"text": "All", "value": "$__all"},
    }


def _panels(rows: Mapping[str, Sequence[Panel]]) -> Iterator[dict[str, Any]]:
    top, next_id = 0, 1
    for title, panels in rows.items():
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        yield {"id": next_id, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        top, next_id, left = top + 1, next_id + 1, 0
        for panel in panels:
            height = HEIGHT if panel.kind == "timeseries" else HEIGHT // 2
            yield _panel(panel, next_id, {"x": left, "y": top, "w": panel.width, "h": height})
            next_id, left = next_id + 1, left + panel.width
            if left >= WIDTH:
                left, top = 0, top + height
        top += HEIGHT if left else 0


def _panel(panel: Panel, panel_id: int, place: dict[str, int]) -> dict[str, Any]:
    steps = [{"value": value, "color": color} for value, color in panel.steps]
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        fill = 30 if panel.stacked else 5
        stacking = {"mode": "normal" if panel.stacked else "none"}
        defaults["custom"] = {"lineWidth": 1, "fillOpacity": fill, "showPoints": "never", "stacking": stacking}
        options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    else:
        options = {"graphMode": "area", "colorMode": "value", "reduceOptions": {"calcs": ["lastNotNull"]}}
    return {
        "id": panel_id,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": SOURCE, "expr": expr, "legendFormat": legend or "__auto"}
            for at, (legend, expr) in enumerate(panel.queries.items())
        ],
    }


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, content in pages().items():
        path.write_text(content)
        print(f"wrote {path}")
