"""Prints docs/metrics.md from the definitions of the metrics: name, type, labels with their values, meaning.

Run it by `make docs`; a test fails when what it prints is not what is there.
"""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tillkeeper.database_metrics import COUNTED_MAX
from tillkeeper.metric_definitions import DEFINITIONS, Definition, Values
from tillkeeper.notices.settings import NotifySettings
from tillkeeper.settings import DeskSettings, IngestSettings, SweepSettings, WorkSettings
from tillkeeper.status_server import PORTS_EACH
from tillkeeper.workers.database_gauges import READ_EVERY_S

PAGE: Final = Path(__file__).parents[1] / "docs" / "metrics.md"
ROLES: Final = {
    "ingest": IngestSettings,
    "work": WorkSettings,
    "sweep": SweepSettings,
    "notify": NotifySettings,
    "desk": DeskSettings,
}

SERVED: Final = """
Printed by `make docs` from `tillkeeper/telemetry.py` and `database_metrics.py`. Each process serves `GET /metrics` for
Prometheus, with `/healthz` (it lives) and `/readyz` (it reached the database, and may serve its
schema), on a port of its own: metrics name accounts and count their deliveries, so the port that webhooks come to
never tells them. It listens on the loopback unless `metrics_host` says otherwise.
"""
PORTS: Final = f"""
Where the configuration names no port, a process takes the first free one of {PORTS_EACH} from there on, so that
several of a role on one machine do not collide; `status_server_listening` in the log says which, and
`metrics_not_served` that none was free. A port that it names is that one, or an error; 0 opens none. The processes of
one `work.processes` or `ingest.processes` share a port, and tell their sum, but for `process_cpu_seconds_total` and
the like: those are told by processes that run alone.
"""
DATABASE: Final = f"""
What is open in the database is read by sweeps, every {READ_EVERY_S:.0f} s, and never because somebody scrapes; each
count follows an index of what is open, and ends at {COUNTED_MAX:,}. Several sweeps tell the same of it, so read those
with `max by (...)`. While the database is away they stand still, and `tillkeeper_database_gauges_timestamp_seconds`
says since when. Alerts are in `deploy/prometheus/rules`, each with a section in [runbooks.md](runbooks.md);
dashboards are in `deploy/grafana`.
"""


def page() -> str:
    """Returns docs/metrics.md."""
    text = [textwrap.fill(" ".join(part.split()), 120) for part in (SERVED, PORTS, DATABASE)]
    return "\n".join(["# Metrics", "", text[0], "", *_ports(), "", text[1], "", text[2], "", *_table(), ""])


def _ports() -> Iterator[str]:
    yield "| role | port, unless `metrics_port` names one |"
    yield "| --- | --- |"
    for role, settings in ROLES.items():
        yield f"| `{role}` | {settings.model_fields['metrics_port'].default} |"


def _table() -> Iterator[str]:
    yield "| metric | type | labels | meaning |"
    yield "| --- | --- | --- | --- |"
    for metric in DEFINITIONS:
        yield f"| `{metric.name}` | {metric.type} | {_labels(metric)} | {' '.join(metric.meaning.split())} |"


def _labels(metric: Definition) -> str:
    return "<br>".join(f"`{name}`: {_values(values)}" for name, values in metric.labels.items())


def _values(values: Values) -> str:
    return values if isinstance(values, str) else ", ".join(f"`{value}`" for value in values)


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE}")
