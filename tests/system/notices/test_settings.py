"""`[notify]`: what is refused, and in words that help."""

import json

import pytest

from tests.notice_servers import SECRET
from tests.system.commands import tillkeeper, toml, written
from tillkeeper.settings import BadSettings, Settings, load_settings

SMTP = {"host": "mail.shop.example"}
HOOK = {"url": "https://shop.example/hook", "secrets": [SECRET]}


def notify(**fields):
    return Settings.model_validate({"database_url": "postgresql:///x", "notify": fields}).notify


def problem(**fields):
    environ = {"TILLKEEPER_DATABASE_URL": "postgresql:///x", "TILLKEEPER_NOTIFY": json.dumps(fields)}
    with pytest.raises(BadSettings) as caught:
        load_settings(None, environ)
    [told] = caught.value.problems
    assert "hush" not in told
    return told


def test_without_any_it_is_silent_and_valid():
    settings = notify()
    assert (settings.smtp, settings.webhooks, settings.ops, settings.mail_limits.quiet) == (None, {}, {}, None)


def test_it_survives_being_told_to_a_child():
    settings = Settings.model_validate(
        {
            "database_url": "postgresql:///x",
            "notify": {
                "from_address": "pay@shop.example",
                "quiet_hours": "22:00-08:00",
                "smtp": {**SMTP, "username": "me", "password": "hush"},
                "webhooks": {"shop": HOOK},
                "ops": {"1": ["json://localhost/hush"]},
            },
        }
    )
    assert Settings.restore(settings.dump()) == settings
    assert "hush" not in repr(settings)
    assert SECRET not in repr(settings)


def test_the_environment_reaches_every_part():
    environ = {
        "TILLKEEPER_DATABASE_URL": "postgresql:///x",
        "TILLKEEPER_NOTIFY__FROM_ADDRESS": "pay@shop.example",
        "TILLKEEPER_NOTIFY__SMTP__HOST": "mail.shop.example",
        "TILLKEEPER_NOTIFY__SMTP__PORT": "465",
        "TILLKEEPER_NOTIFY__WEBHOOKS__SHOP__URL": "https://shop.example/hook",
        "TILLKEEPER_NOTIFY__WEBHOOKS__SHOP__SECRETS": '["env:HOOK"]',
        "TILLKEEPER_NOTIFY__OPS__1": '["json://localhost/x"]',
        "HOOK": SECRET,
    }
    settings = load_settings(None, environ).notify
    assert (settings.smtp.port, settings.webhooks["shop"].secrets, list(settings.ops)) == (465, (SECRET,), [1])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"smtp": SMTP}, "from_address"),
        ({"smtp": {**SMTP, "username": "me"}, "from_address": "a@b.c"}, "come together"),
        (
            {"smtp": {**SMTP, "security": "none", "username": "me", "password": "hush"}, "from_address": "a@b.c"},
            "without TLS",
        ),
        ({"from_address": "Shop <a@b.c>"}, "mail address"),
        ({"merchant_name": "a\r\nBcc: x"}, "one line"),
        ({"merchant_name": ""}, "at least 1"),
        ({"support": " x"}, "one line"),
        ({"default_locale": "fr"}, "zh-CN"),
        ({"time_zone": "Mars/Olympus"}, "time zone"),
        ({"time_zone": "../../etc/passwd"}, "time zone"),
        ({"quiet_hours": "22-8"}, "pattern"),
        ({"quiet_hours": "24:00-08:00"}, "pattern"),
        ({"quiet_hours": "08:00-08:00"}, "different times"),
        ({"per_order_max": 0}, "greater than"),
        ({"webhooks": {"shop": {**HOOK, "url": "http://shop.example/hush"}}}, "https://"),
        ({"webhooks": {"shop": {**HOOK, "url": "https://u:hush@shop.example/"}}}, "login"),
        ({"webhooks": {"shop": {**HOOK, "url": "ftp://shop.example/"}}}, "https://"),
        ({"webhooks": {"shop": {**HOOK, "url": "https:///hook"}}}, "https://"),
        ({"webhooks": {"shop": {**HOOK, "secrets": []}}}, "at least 1"),
        ({"webhooks": {"shop": {**HOOK, "secrets": ["whsec_"]}}}, "16 bytes"),
        ({"webhooks": {"shop": {**HOOK, "secrets": ["whsec_aHVzaA=="]}}}, "16 bytes"),
        ({"webhooks": {"shop": {**HOOK, "secrets": ["hush, not base64"]}}}, "base64"),
        ({"webhooks": {"Shop 1": HOOK}}, "notify.webhooks"),
        ({"ops": {"0": ["json://localhost"]}}, "greater than"),
        ({"ops": {"one": ["json://localhost"]}}, "notify.ops"),
        ({"ops": {"1": ["hush"]}}, "apprise"),
        ({"ops": {"1": [" json://hush"]}}, "apprise"),
        ({"wbhooks": {}}, "misspelt"),
    ],
)
def test_what_cannot_be_used_is_refused_with_words_that_name_the_key_and_never_the_value(fields, words):
    told = problem(**fields)
    assert told.startswith("notify")
    assert words in told


def test_plain_http_is_for_whoever_asks_for_it():
    hook = {**HOOK, "url": "http://localhost:8000/hook"}
    assert notify(webhooks={"shop": hook}, allow_plain_http=True).webhooks["shop"].url == hook["url"]


async def test_an_address_that_apprise_does_not_know_ends_the_sender_at_its_start(tmp_path):
    config = written(tmp_path, toml("postgresql:///x") + '\n[notify.ops]\n1 = ["json://x", "nosuch://hush"]\n')
    ended = await tillkeeper("notify", "--config", config)
    assert ended.code == 2
    assert "notify.ops.1.1" in ended.err
    assert "hush" not in ended.err + ended.out
