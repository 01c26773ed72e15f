"""Writes log lines as JSON to standard error, without passwords and contacts."""

import json
import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Final

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from tillkeeper.domain.masking import without_contacts

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


def one_line(error: BaseException) -> str:
    """Returns an error's text on one line and without passwords; its name where it has no text."""
    return mask(" ".join(str(error).split())) or type(error).__name__
