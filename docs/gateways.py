"""Prints docs/gateways.md and deploy/accounts.toml from the registry of gateways.

Run it by `make docs`; a test fails when what it prints is not what is there.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Final, get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tillkeeper.domain.money import exponent
from tillkeeper.gateways.about import setup_guide
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.kit import times, units
from tillkeeper.gateways.registry import GATEWAYS

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "gateways.md"
ACCOUNTS: Final = ROOT / "deploy" / "accounts.toml"
COMMENT_CHARS: Final = 118

BEGINNING: Final = """\
# Gateways · 支付网关

Printed from the registry by `make docs`: what stands here is what the code says of itself. Every gateway passes one
suite (`tests/gateways/test_conformance.py`): each byte of a valid delivery flipped, each truncation, wrong keys, stale
times, repeated fields, hostile JSON, forms and XML are never accepted wrongly, and never make a 5xx.

**Asked about**: what the sweep can ask when no webhook came. A gateway that cannot be asked about an order's reference
is asked about payments that it named before. Settings, one by one: `deploy/accounts.toml`.
"""
ACCOUNTS_BEGINNING: Final = """\
# Every setting of every gateway, printed from the registry by `make docs`.  Copy the table of yours into your
# configuration, under a name of your own: its webhooks come to https://your.host/webhooks/NAME.  A key behind `#` is
# optional, and shown with its default.  Secrets say where they are kept: file:PATH or env:NAME.
"""


def page() -> str:
    """docs/gateways.md."""
    sections = (line for gateway in _gateways() for line in _section(gateway))
    return "\n".join([BEGINNING, *_table(), "", *_seen(), "", *_currency_traps(), "", *_time_traps(), "", *sections])


def accounts() -> str:
    """deploy/accounts.toml."""
    return ACCOUNTS_BEGINNING + "\n".join(line for gateway in _gateways() for line in _account(gateway)) + "\n"


def _gateways() -> list[type[Gateway]]:
    return [GATEWAYS[name] for name in sorted(GATEWAYS)]


def _table() -> Iterator[str]:
    yield "| gateway | verifies | acknowledges | deduplicates by | asked about | checked |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for gateway in _gateways():
        about = gateway.about
        asked = ", ".join(name for name in ("payment", "order", "refund") if name in gateway.queryable) or "nothing"
        cells = [
            f"[`{gateway.name}`](#{gateway.name})",
            about.verifies,
            about.acknowledges,
            about.dedupes_by,
            asked,
            about.checked,
        ]
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _seen() -> Iterator[str]:
    yield "## What a query sees · 查询能看到什么"
    yield ""
    yield "Of what no webhook told: a refund that was made in the gateway's console, and a further attempt to pay."
    yield "Where it sees nothing of refunds, register them: `PUT /orders/{order_ref}/refunds/{refund_ref}`."
    yield ""
    yield "| gateway | a refund, by its payment | a further attempt |"
    yield "| --- | --- | --- |"
    for gateway in _gateways():
        yield f"| [`{gateway.name}`](#{gateway.name}) | {gateway.about.refunds_seen} | {_attempts_seen(gateway)} |"


def _attempts_seen(gateway: type[Gateway]) -> str:
    if "order" not in gateway.queryable:
        return "nothing: its webhook alone tells"
    return "none can be: an order names one payment" if gateway.single_payment else "by the order's reference"


def _currency_traps() -> Iterator[str]:
    yield "## Currency traps · 币种陷阱"
    yield ""
    yield "Orders are registered in ISO 4217's minor units; what these gateways count otherwise is converted."
    yield ""
    yield "| gateway | counts | source |"
    yield "| --- | --- | --- |"
    for name, (digits, source) in units.TABLES.items():
        told = ", ".join(f"{code} with {there} digits (ISO 4217: {exponent(code)})" for code, there in digits.items())
        yield f"| [`{name}`](#{name}) | {told} | {source} |"


def _time_traps() -> Iterator[str]:
    yield "## Time traps · 时间陷阱"
    yield ""
    yield "These times are written without a zone, and read by the clock that is named here."
    yield ""
    yield "| gateway | fields | written as | clock | source |"
    yield "| --- | --- | --- | --- | --- |"
    for each in times.LOCAL:
        fields = ", ".join(f"`{name}`" for name in each.fields.split(", "))
        yield f"| [`{each.gateway}`](#{each.gateway}) | {fields} | {each.written} | {each.zone} | {each.source} |"


def _section(gateway: type[Gateway]) -> Iterator[str]:
    about = gateway.about
    yield f'<a id="{gateway.name}"></a>'
    yield ""
    yield f"## {about.title}" + (f" · {about.title_zh}" if about.title_zh else "")
    yield ""
    if about.queries:
        yield f"Asked: {about.queries}."
        yield ""
    if about.uncovered:
        yield f"**Not signed**: {about.uncovered}."
        yield ""
    yield from setup_guide(gateway.name).splitlines()[2:]  # without its title
    yield ""
    yield f"Sources: {'; '.join(about.sources)}."
    yield ""


def _account(gateway: type[Gateway]) -> Iterator[str]:
    yield ""
    yield f"# --- {gateway.about.title} {'-' * (COMMENT_CHARS - len(gateway.about.title) - 7)}"
    yield f"[accounts.{gateway.name.replace('_', '-')}-main]"
    yield f'gateway = "{gateway.name}"'
    for name, field in gateway.settings.model_fields.items():
        if name != "gateway":
            yield ""
            yield from _commented(field.description or "")
            yield _line(name, field)


def _commented(text: str) -> Iterator[str]:
    line = "#"
    for word in text.split():
        if len(line) + len(word) + 1 > COMMENT_CHARS:
            yield line
            line = "#"
        line += f" {word}"
    yield line


def _line(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return f"{name} = {_placeholder(name, field)}"
    default = field.get_default(call_default_factory=True)
    if default is None or default is PydanticUndefined:
        return f"#{name} = {_placeholder(name, field)}"
    return f"#{name} = {json.dumps(default if not isinstance(default, tuple) else list(default), ensure_ascii=False)}"


def _placeholder(name: str, field: FieldInfo) -> str:
    kept = f'"file:/run/secrets/{name}"' if field.repr is False else '"..."'
    kinds = _kinds(field.annotation)
    if tuple in kinds or list in kinds:
        return f"[{kept}]"
    if dict in kinds:
        return "{}"
    if int in kinds:
        return "1048576" if name.endswith("_bytes") else "300"
    return "false" if bool in kinds else kept


def _kinds(annotation: Any) -> set[Any]:
    """The plain types in an annotation, None left out."""
    origin = getattr(annotation, "__origin__", None)
    if origin in (tuple, list, dict):
        return {origin}
    inner = [arg for arg in get_args(annotation) if arg is not NoneType]
    return {kind for each in inner for kind in _kinds(each)} if inner else {annotation}


if __name__ == "__main__":
    PAGE.write_text(page())
    ACCOUNTS.write_text(accounts())
