"""Writes the configuration of a new installation, and the env file with its secrets."""

import base64
import json
import re
import secrets
import textwrap
from collections.abc import Iterator
from typing import Final

from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.packaged import packaged
from tillkeeper.policy.reading import default_path
from tillkeeper.scaffold.accounts import Variable, account_guide, account_table, account_variables
from tillkeeper.scaffold.plan import File, ScaffoldPlan, account_of

SECRET_BYTES: Final = 24  # 192 bits
COLUMNS: Final = 118
OWNER_ONLY: Final = 0o600
ENV_FILE: Final = "tillkeeper.env"
CONFIG: Final = "tillkeeper.toml"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.,:/@%+=-]*")


def configuration(plan: ScaffoldPlan, *, owner: int | None = None) -> list[File]:
    """Returns the configuration, its policy and its env file, which belongs to `owner`."""
    here = plan.config_directory
    return [
        File(path=here / CONFIG, text=_text(_config(plan))),
        File(path=here / "policy.toml", text=default_path().read_text(encoding="utf-8")),
        File(path=here / ENV_FILE, text=_text(_env(plan)), mode=OWNER_ONLY, owner=owner),
    ]


def new_secret() -> str:
    """Returns a fresh secret of letters and digits."""
    return secrets.token_hex(SECRET_BYTES)


def quoted(value: object) -> str:
    """Returns a text as TOML and JSON write it."""
    return json.dumps(str(value), ensure_ascii=False)


def _text(lines: Iterator[str]) -> str:
    return "\n".join(lines) + "\n"


def _config(plan: ScaffoldPlan) -> Iterator[str]:
    seen = plan.seen_directory
    yield f"# Every key is explained in {packaged('tillkeeper.toml')},"
    yield f"# those of gateways in {packaged('accounts.toml')}."
    yield f"env_file = {quoted(seen / ENV_FILE)}"
    yield 'database_url = "env:DATABASE_URL"'
    if plan.broker_url is not None:
        yield 'broker_url = "env:BROKER_URL"'
    yield 'envelope_keys = ["env:ENVELOPE_KEY"]'
    yield 'api_tokens = ["env:API_TOKEN"]'
    yield f"policy = {quoted(seen / 'policy.toml')}"
    yield f"ingest.public_url = {quoted(plan.public_url)}"
    if plan.notices_url is not None:
        yield f'notify.webhooks.shop = {{ url = {quoted(plan.notices_url)}, secrets = ["env:NOTICE_SECRET"] }}'
    for gateway in plan.gateways:
        yield ""
        yield from account_table(gateway, public_url=plan.public_url)


def _env(plan: ScaffoldPlan) -> Iterator[str]:
    yield from _commented(
        "The secrets that tillkeeper.toml names.  Whoever can read this file can pay orders: keep its mode 0600.  A "
        "value with spaces, or of several lines as a PEM key has, stands in quotes.  What has no value yet is for you "
        "to fill in."
    )
    for variable in _own_variables(plan):
        yield from _lines(variable)
    for gateway in plan.gateways:
        title, account = GATEWAYS[gateway].about.title, account_of(gateway)
        yield ""
        yield f"# --- {title}: its webhooks come to {plan.public_url}/webhooks/{account} ---"
        yield from (f"# {line}".rstrip() for line in account_guide(gateway))
        for variable in account_variables(gateway):
            yield from _lines(variable)


def _own_variables(plan: ScaffoldPlan) -> Iterator[Variable]:
    yield Variable(
        name="DATABASE_URL", says="PostgreSQL: postgresql://user:password@host:5432/name", value=plan.database_url
    )
    if plan.broker_url is not None:
        yield Variable(name="BROKER_URL", says="RabbitMQ: amqp://user:password@host:5672/vhost", value=plan.broker_url)
    yield Variable(name="ENVELOPE_KEY", says="Signs what receivers tell workers.  Made for you.", value=new_secret())
    yield Variable(name="API_TOKEN", says="The bearer token for /orders.  Made for you.", value=new_secret())
    if plan.notices_url is not None:
        yield Variable(
            name="NOTICE_SECRET",
            says="Signs what your own system is told; it verifies with the same.  Made for you.",
            value="whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode(),
        )


def _lines(variable: Variable) -> Iterator[str]:
    yield ""
    yield from _commented(variable.says)
    yield f"{variable.name}={_quoted(variable.value)}"


def _quoted(value: str) -> str:
    """Returns a value as a shell reads it, too."""
    if _PLAIN.fullmatch(value):
        return value
    return f'"{value}"' if "'" in value else f"'{value}'"


def _commented(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, COLUMNS, initial_indent="# ", subsequent_indent="# ")
