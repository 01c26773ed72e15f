"""Looks at traces: whether they can be made, and whether the collector takes them."""

from typing import Final

import aiohttp

from tillkeeper.cli.readiness.finding import ReadinessFinding, off, ok, wrong
from tillkeeper.tracing.settings import NotInstalled, TracingSettings, refuse_missing

ANSWER_S: Final = 5.0  # as long as a process that sends spans waits
WHAT: Final = "traces"
TAKEN: Final = range(200, 300)
NOTHING: Final = b""  # a request without spans, in OpenTelemetry's protocol


async def tracing(settings: TracingSettings) -> ReadinessFinding:
    """Returns the line about traces, for which a request without spans is sent to the collector."""
    if settings.endpoint is None:
        return off(WHAT, "not made", "set tracing.endpoint to have them sent to a collector")
    try:
        refuse_missing(settings)
    except NotInstalled as error:
        return wrong(WHAT, str(error), "install the extra `otel`, or remove tracing.endpoint")
    headers = {**settings.headers, "Content-Type": "application/x-protobuf"}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S), trust_env=True) as session,
            session.post(settings.endpoint, data=NOTHING, headers=headers, allow_redirects=False) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        why = f"{settings.endpoint}: nobody answers ({type(error).__name__})"
        return wrong(
            WHAT, why, "start the collector, or change tracing.endpoint; without it nothing but traces is lost"
        )
    if status in TAKEN:
        return ok(WHAT, f"{settings.endpoint} takes them")
    return wrong(
        WHAT,
        f"{settings.endpoint} answered {status}",
        "see tracing.endpoint and tracing.headers in deploy/tillkeeper.toml",
    )
