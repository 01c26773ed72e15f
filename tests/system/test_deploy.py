"""The example configuration."""

import re
import tomllib
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tests.system.deploying import EXAMPLE, loaded, make_secrets, secrets_named_in
from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.domain.guard import GuardSign
from tillkeeper.domain.people import Role
from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.notices.settings import NotifySettings, SmtpSettings, WebhookSettings
from tillkeeper.oidc.settings import OidcSettings
from tillkeeper.settings import (
    BadSettings,
    BooksSettings,
    DeskSettings,
    IngestSettings,
    RetentionSettings,
    Settings,
    SweepSettings,
    WorkSettings,
)
from tillkeeper.settings.guard import GuardRule, GuardSettings
from tillkeeper.tracing.settings import TracingSettings

# --- the example configuration ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secrets(tmp_path_factory) -> Path:
    return make_secrets(tmp_path_factory.mktemp("deploy") / "secrets")


def test_the_example_configuration_is_one(secrets):
    settings = loaded(EXAMPLE, secrets)
    assert {name: account.gateway for name, account in settings.accounts.items()} == {
        "stripe-main": "stripe",
        "alipay-main": "alipay",
        "wechat-main": "wechatpay",
    }
    assert sorted(settings.build_gateways()) == sorted(settings.accounts)


def test_without_its_secrets_the_example_names_each_that_is_missing(tmp_path):
    with pytest.raises(BadSettings) as caught:
        loaded(EXAMPLE, tmp_path / "nothing")
    assert len(caught.value.problems) == len(set(secrets_named_in(EXAMPLE)))


def test_certificate_mode_is_the_lines_beside_key_mode(secrets):
    text = re.sub(r"^alipay_public_key", "#alipay_public_key", EXAMPLE, flags=re.MULTILINE)
    text = re.sub(r"^#(?=alipay_(root_)?cert )", "", text, flags=re.MULTILINE)
    gateway = loaded(text, secrets).build_gateways()["alipay-main"]
    assert gateway._trusted.label == "alipay_cert:2"


def test_the_notices_of_the_example_hold_once_they_are_uncommented(secrets):
    for name, text in {
        "smtp_password": "a password",
        "shop_webhook_secret": "whsec_" + "QUFB" * 8,
        "desk_oidc_secret": "a secret of the desk",
        "ops_chat_url": "slack://TokenAAAA/TokenBBBB/TokenCCCCCCCCCCCCCCCCCC/#alarms",
        "manager_mail_url": "mailtos://me:secret@mail.shop.example?to=night@shop.example",
    }.items():
        (secrets / name).write_text(f"{text}\n")
    before, notify, after = re.split(r"^(?=\[notify\]|# --- accounts)", EXAMPLE, flags=re.MULTILINE)
    notify = re.sub(r"^#(?=\[|[a-z0-9_]+ = )", "", notify, flags=re.MULTILINE)
    all_of_it = loaded(before + notify + after, secrets)
    assert all_of_it.desk.oidc.roles == {Role.OPERATOR: ("till-operators",), Role.SUPPORT: ("shop-support",)}
    settings = all_of_it.notify
    assert settings.smtp.password == "a password"
    assert list(settings.webhooks) == ["shop"]
    assert {level: len(urls) for level, urls in settings.ops.items()} == {1: 1, 2: 2}
    assert "secret" not in repr(settings)


class Line(NamedTuple):
    """A key of the example: its table, the comment above it, and whether it, or its table, is commented out."""

    table: tuple[str, ...]
    key: str
    value: Any
    comment: list[str]
    optional: bool
    in_optional_table: bool = False


OWN_NAMES = {("notify", "ops"), ("desk", "oidc", "roles")}  # tables in which the names are the user's


def lines_of(text: str) -> Iterator[Line]:
    table: tuple[str, ...] = ()
    in_optional_table = False
    comment: list[str] = []
    for line in text.splitlines():
        if header := re.fullmatch(r"(#?)\[([a-z0-9._-]+)\]", line):
            in_optional_table, table = header[1] == "#", tuple(header[2].split("."))
            if table[0] == "accounts" and table[2:]:
                yield Line(table[:2], table[2], {}, comment, optional=False)
        elif (table[:1] == ("accounts",) and table[2:]) or table in OWN_NAMES:
            pass
        elif key := re.fullmatch(r"(#?)([a-z_0-9]+) = (.+)", line):
            value = tomllib.loads(f"x = {key[3]}")["x"]
            yield Line(table, key[2], value, comment, key[1] == "#", in_optional_table)
        comment = [*comment, line] if line.startswith("# ") else []


def models() -> dict[tuple[str, ...], type[BaseModel]]:
    accounts = tomllib.loads(EXAMPLE)["accounts"]
    told = {("accounts", name): GATEWAYS[account["gateway"]].settings for name, account in accounts.items()}
    return {
        (): Settings,
        ("ingest",): IngestSettings,
        ("work",): WorkSettings,
        ("sweep",): SweepSettings,
        ("desk",): DeskSettings,
        ("desk", "oidc"): OidcSettings,
        ("api_client",): ApiClientSettings,
        ("guard",): GuardSettings,
        **{("guard", str(sign)): GuardRule for sign in GuardSign},
        ("retention",): RetentionSettings,
        ("books",): BooksSettings,
        ("tracing",): TracingSettings,
        ("notify",): NotifySettings,
        ("notify", "smtp"): SmtpSettings,
        ("notify", "webhooks", "shop"): WebhookSettings,
        **told,
    }


LINES = list(lines_of(EXAMPLE))
TABLES = {
    ("guard",): {str(sign) for sign in GuardSign},
    (): {
        "ingest",
        "work",
        "sweep",
        "desk",
        "api_client",
        "guard",
        "books",
        "banks",
        "retention",
        "notify",
        "tracing",
        "accounts",
    },
    ("books",): {"statements"},
    ("desk",): {"oidc"},
    ("desk", "oidc"): {"roles"},
    ("notify",): {"smtp", "webhooks", "ops"},
}


def test_the_example_has_three_accounts_and_says_where_all_gateways_are_explained():
    """deploy/accounts.toml has every gateway, and is held by test_docs.py."""
    assert {load["gateway"] for load in tomllib.loads(EXAMPLE)["accounts"].values()} == {
        "alipay",
        "stripe",
        "wechatpay",
    }
    assert "deploy/accounts.toml" in EXAMPLE


@pytest.mark.parametrize("table", models(), ids=".".join)
def test_every_key_stands_in_the_example_and_no_other(table):
    said = [line.key for line in LINES if line.table == table]
    fields = set(models()[table].model_fields) - TABLES.get(table, set())
    assert sorted(said) == sorted(fields)


@pytest.mark.parametrize("line", LINES, ids=lambda line: ".".join((*line.table, line.key)))
def test_every_key_is_explained_with_its_true_default(line):
    *explanation, last = line.comment
    field = models()[line.table].model_fields[line.key]
    assert explanation, "it has no explanation"
    if line.table[:1] == ("guard",) and line.table[1:]:
        default = getattr(getattr(GuardSettings(), line.table[1]), line.key)  # each rule has numbers of its own
        assert (last, line.value) == (f"# Default: {default}", default)
        return
    if field.is_required():
        assert last == "# Required."
        assert line.optional == line.in_optional_table
        return
    said = last.removeprefix("# Default: ")
    assert said != last, "its default is not told"
    default = plain(field)
    if default is None:
        assert said.startswith("none")
        return
    assert tomllib.loads(f"x = {said}")["x"] == default
    if line.optional:
        assert line.value == default


def plain(field: FieldInfo) -> Any:
    default = field.get_default(call_default_factory=True)
    if not isinstance(default, tuple):
        return default
    return [str(each) if isinstance(each, IPv4Network | IPv6Network) else each for each in default]
