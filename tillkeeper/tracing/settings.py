"""Defines the settings of traces: `[tracing]`."""

import importlib.util
import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

HEADERS_MAX: Final = 20
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,100}", re.ASCII)


def _check_endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError:
        port_is_number = False
    if not port_is_number or parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii():
        raise ValueError("must be an address such as http://127.0.0.1:4318/v1/traces")
    if parts.username is not None:
        raise ValueError("must not hold a login; name it in tracing.headers, as Authorization")
    if parts.path in ("", "/"):
        raise ValueError("has no path; collectors take traces at /v1/traces, so that it ends so")
    return url


def _check_header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("must be the name of a header, such as Authorization")
    return name


def _check_header_value(value: str) -> str:
    if not value or not value.isascii() or not value.isprintable():
        raise ValueError("must be one line of printable ASCII")
    return value


HeaderName = Annotated[str, AfterValidator(_check_header_name)]
HeaderValue = Annotated[str, AfterValidator(_check_header_value)]


class TracingSettings(BaseModel):
    """The settings of traces.  Without `endpoint` there are none, and they cost nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    endpoint: Annotated[str, AfterValidator(_check_endpoint)] | None = None
    headers: Annotated[dict[HeaderName, HeaderValue], Field(max_length=HEADERS_MAX, repr=False)] = {}
    ratio: Annotated[float, Field(ge=0, le=1)] = 1.0  # of the traces that begin here
    trust_webhook_parents: bool = False  # strangers post webhooks, and could have each of theirs recorded


class NotInstalled(Exception):
    """The settings name a collector, and OpenTelemetry is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "tracing.endpoint is set, but OpenTelemetry is not installed: pip install 'tillkeeper[otel]', or remove it"
        )


def refuse_missing(settings: TracingSettings) -> None:
    """Raises NotInstalled where the settings want traces that cannot be made."""
    if settings.endpoint is not None and importlib.util.find_spec("opentelemetry") is None:
        raise NotInstalled
