"""Settings from a file, the environment and where secrets are kept; and what is said when they are wrong."""

import json
import os
import socket
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tillkeeper.logs import mask
from tillkeeper.settings import BadSettings, Settings, load_settings

SECRET = "whsec_kept_somewhere_safe"
FILE = """
database_url = "postgresql://till:hunter2@db/till"
api_tokens = ["env:TOKEN"]
[ingest]
port = 9000
[accounts.stripe-main]
gateway = "stripe"
webhook_secrets = ["file:{secret}"]
"""


@pytest.fixture
def config(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    path = tmp_path / "tillkeeper.toml"
    path.write_text(FILE.format(secret=secret))
    return path


ENVIRON = {"TOKEN": "5f0c7a1e9b2d4c63"}


def problems(path=None, **environ):
    with pytest.raises(BadSettings) as caught:
        load_settings(path, ENVIRON | environ)
    assert "whsec" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert all("\n" not in problem for problem in caught.value.problems)
    return caught.value.problems


def test_the_file_says_it_and_secrets_come_from_where_they_are_kept(config):
    settings = load_settings(config, ENVIRON)
    assert settings.api_tokens == ("5f0c7a1e9b2d4c63",)
    assert settings.accounts["stripe-main"].webhook_secrets == (SECRET,)
    assert (settings.ingest.host, settings.ingest.port, settings.ingest.max_body_bytes) == ("127.0.0.1", 9000, 1 << 18)
    assert (settings.broker_url, settings.broker_prefix, settings.event_loop) == (None, "tillkeeper", "uvloop")


def test_the_environment_names_the_file(config):
    assert load_settings(None, ENVIRON | {"TILLKEEPER_CONFIG": str(config)}).ingest.port == 9000


def test_the_environment_wins_key_by_key(config):
    settings = load_settings(
        config,
        ENVIRON
        | {
            "TILLKEEPER_INGEST__PORT": "7000",
            "TILLKEEPER_BROKER_URL": "amqp://mq/",
            "TILLKEEPER_ACCOUNTS__STRIPE_MAIN__API_KEY": "env:KEY",
            "KEY": "sk_test_0123456789",
        },
    )
    assert (settings.ingest.port, settings.broker_url) == (7000, "amqp://mq/")
    assert settings.accounts["stripe-main"].api_key == "sk_test_0123456789"
    assert settings.accounts["stripe-main"].webhook_secrets == (SECRET,)


def test_the_environment_alone_is_enough():
    settings = load_settings(
        None,
        {
            "TILLKEEPER_DATABASE_URL": "postgresql:///till",
            "TILLKEEPER_API_TOKENS": '["env:TILLKEEPER_TOKEN"]',
            "TILLKEEPER_TOKEN": "5f0c7a1e9b2d4c63",
            "TILLKEEPER_ACCOUNTS__STRIPE_EU__GATEWAY": "stripe",
            "TILLKEEPER_ACCOUNTS__STRIPE_EU__WEBHOOK_SECRETS": json.dumps([SECRET]),
            "TILLKEEPER_INGEST": '{"port": 1, "processes": 2}',
            "TILLKEEPER_INGEST__PORT": "2",
        },
    )
    assert list(settings.accounts) == ["stripe-eu"]
    assert (settings.ingest.port, settings.ingest.processes) == (2, 2)


def test_the_case_of_a_key_id_survives_the_environment():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    settings = load_settings(
        None,
        {
            "TILLKEEPER_DATABASE_URL": "postgresql:///till",
            "TILLKEEPER_ACCOUNTS__WECHAT__GATEWAY": "wechatpay",
            "TILLKEEPER_ACCOUNTS__WECHAT__MCH_ID": "1900000001",
            "TILLKEEPER_ACCOUNTS__WECHAT__APIV3_KEY": "5f0c7a1e9b2d4c6380aa11bb22cc33dd",
            "TILLKEEPER_ACCOUNTS__WECHAT__PUBLIC_KEYS__PUB_KEY_ID_0119": pem,
        },
    )
    assert list(settings.accounts["wechat"].public_keys) == ["PUB_KEY_ID_0119"]


def test_settings_survive_the_way_to_a_child_process(config):
    settings = load_settings(config, ENVIRON)
    assert Settings.restore(settings.dump()) == settings
    assert b"\n" not in settings.dump()


def test_gateways_are_built_by_account(config):
    gateways = load_settings(config, ENVIRON).build_gateways()
    assert {name: (gateway.name, gateway.account) for name, gateway in gateways.items()} == {
        "stripe-main": ("stripe", "stripe-main")
    }


def test_settings_never_show_a_secret(config):
    shown = repr(load_settings(config, ENVIRON)) + str(load_settings(config, ENVIRON))
    assert "hunter2" not in shown
    assert SECRET not in shown
    assert ENVIRON["TOKEN"] not in shown


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({"TOKEN": ""}, "api_tokens.0: the environment variable TOKEN is not set"),
        ({"TOKEN": "short"}, "api_tokens.0: must have 16 characters"),
        ({"TOKEN": "changemechangeme"}, "api_tokens.0: can be guessed"),
        ({"TOKEN": "password12345678"}, "api_tokens.0: can be guessed"),
        ({"TILLKEEPER_API_TOKENS": "one"}, "api_tokens: is a list"),
        ({"TILLKEEPER_API_TOKENS": '["broken'}, "api_tokens: is a list"),
        ({"TILLKEEPER_INGEST__PORT": "http"}, "ingest.port: "),
        ({"TILLKEEPER_INGEST__PORT": "65536"}, "ingest.port: "),
        ({"TILLKEEPER_INGEST__PROT": "1"}, "ingest.prot: is not a setting"),
        ({"TILLKEEPER_INGEST__PROCESSES": "0"}, "ingest.processes: "),
        ({"TILLKEEPER_INGEST": "9000", "TILLKEEPER_INGEST__PORT": "1"}, "TILLKEEPER_INGEST__PORT contradicts"),
        ({"TILLKEEPER_DATABASE_URL": "mysql://u:hunter2@db/"}, "database_url: must begin with postgresql://"),
        ({"TILLKEEPER_BROKER_URL": "http://mq"}, "broker_url: must begin with amqp://"),
        ({"TILLKEEPER_EVENT_LOOP": "trio"}, "event_loop: "),
        ({"TILLKEEPER_ACCOUNTS__STRIPE_MAIN__GATEWAY": "strpie"}, "accounts.stripe-main: no such gateway; known are"),
        ({"TILLKEEPER_ACCOUNTS__OTHER__API_KEY": SECRET}, "accounts.other: names no gateway"),
        ({"TILLKEEPER_ACCOUNTS__STRIPE_MAIN__WEBHOOK_SECRETS": "[]"}, "accounts.stripe-main.webhook_secrets: "),
        ({"TILLKEEPER_ACCOUNTS__STRIPE_MAIN__WEBHOOK_SECRET": SECRET}, "accounts.stripe-main.webhook_secret: is not a"),
        ({"TILLKEEPER_ACCOUNTS__STRIPE_MAIN__API_KEY": "file:/nowhere/key"}, "accounts.stripe-main.api_key: the file"),
        ({"TILLKEEPER_ACCOUNTS__STRIPE_MAIN__API_KEY": "file:/dev/null"}, "accounts.stripe-main.api_key: "),
        ({"TILLKEEPER_ACCOUNTS__STRIPE_MAIN__API_KEY": "file:\x00"}, "accounts.stripe-main.api_key: "),
        ({"TILLKEEPER_ACCOUNTS": "none"}, "accounts: "),
    ],
)
def test_each_problem_is_a_line_that_names_the_key_and_not_the_value(config, environ, names):
    assert any(problem.startswith(names) for problem in problems(config, **environ))


def test_all_problems_are_said_at_once(config):
    said = problems(config, TILLKEEPER_INGEST__PORT="http", TILLKEEPER_EVENT_LOOP="trio")
    assert [problem.split(":")[0] for problem in said] == ["event_loop", "ingest.port"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[accounts.Stripe_Main]\ngateway = 'stripe'\n", "accounts.Stripe_Main: an account's name is"),
        ("accounts = 3", "accounts: "),
        ("database_url = ", "is not TOML"),
        ("ingest = 'x'", "ingest: "),
    ],
)
def test_a_bad_file_is_told_in_one_line(tmp_path, text, names):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    assert any(names in problem for problem in problems(path))


def test_a_file_that_is_not_there_or_not_text_is_told(tmp_path):
    assert "cannot be read" in problems(tmp_path / "absent.toml")[0]
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in problems(tmp_path / "binary.toml")[0]


def test_without_a_database_nothing_starts():
    assert problems() == ("database_url: is required",)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("postgresql://till:hunter2@db/till", "postgresql://till:***@db/till"),
        ("amqp://guest:p@ss/w@mq:5672/ is away", "amqp://guest:***@mq:5672/ is away"),
        ("host=db password=hunter2 user=till", "host=db password=*** user=till"),
        ("http://127.0.0.1:8080/readyz", "http://127.0.0.1:8080/readyz"),
    ],
)
def test_passwords_are_masked_in_logs(said, shown):
    assert mask(said) == shown


LOGGING = """
import logging, structlog
from tillkeeper.logs import set_up_logging
set_up_logging("test")
structlog.get_logger().warning("refused", reason="half \\ud800", number=2**70, url="amqp://u:hunter2@mq", raw=b"\\xff")
logging.getLogger("some.library").error("lost %s", "postgresql://u:hunter2@db")
try:
    raise OSError("postgresql://u:hunter2@db is away")
except OSError:
    structlog.get_logger().exception("failed")
"""


def test_every_log_line_is_json_without_passwords():
    done = subprocess.run([sys.executable, "-c", LOGGING], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "hunter2" not in done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["event"], line["level"], line["role"]) for line in lines] == [
        ("refused", "warning", "test"),
        ("lost postgresql://u:***@db", "error", "test"),
        ("failed", "error", "test"),
    ]
    assert "OSError" in lines[2]["exception"]


def test_a_log_line_is_one_write_so_that_processes_can_share_stderr():
    """Images for containers set PYTHONUNBUFFERED; then every write of Python's is one of the system's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # keeps writes apart
    with ours, theirs:
        environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
        subprocess.run([sys.executable, "-c", LOGGING], stderr=theirs, env=environ, check=True)
        written = [ours.recv(65536) for _ in range(3)]
    assert [json.loads(line)["event"] for line in written] == ["refused", "lost postgresql://u:***@db", "failed"]
    assert all(line.endswith(b"\n") for line in written)


def test_what_looks_like_another_key_is_told_and_its_value_is_not(config):
    environ = {
        "TOKEN": "test-token-0123456789",
        "TILLKEEPER_ACCOUNTS__STRIPE_MAIN__WEBHOOK_SECRETS": '["sk_live_5f0c7a1e9b2d4c6380aa"]',
    }
    told = list(load_settings(config, environ).doubts())
    assert [event.partition(" ")[0] for event in told] == ["api_tokens.0", "accounts.stripe-main.webhook_secrets"]
    assert "looks like a secret API key" in told[1]
    assert not any(secret in event for event in told for secret in ("test-token", "5f0c7a1e"))


@pytest.mark.parametrize(
    ("secret", "why"), [("changeme", "can be guessed"), ("pk_live_5f0c7a1e", "is a publishable key")]
)
def test_a_secret_that_anybody_could_sign_with_is_refused_in_one_line(config, secret, why):
    environ = ENVIRON | {"TILLKEEPER_ACCOUNTS__STRIPE_MAIN__WEBHOOK_SECRETS": f'["{secret}"]'}
    with pytest.raises(BadSettings, match=why) as told:
        load_settings(config, environ)
    [problem] = told.value.problems
    assert problem.startswith("accounts.stripe-main.webhook_secrets.0: a secret ")
    assert secret not in problem


def test_keys_of_envelopes_are_long_and_drawn_and_their_absence_is_told(config):
    broker = ENVIRON | {"TILLKEEPER_BROKER_URL": "amqp://guest:guest@mq/"}
    told = " ".join(load_settings(config, broker).doubts())
    assert "whoever may publish to tillkeeper.events is believed" in told
    assert "broker_url logs in as guest" in told
    key = "5f0c7a1e9b2d4c6380aa11bb22cc33dd"
    named = ENVIRON | {"TILLKEEPER_ENVELOPE_KEYS": f'["{key}"]', "TILLKEEPER_BROKER_URL": "amqp://till:x@mq/"}
    settings = load_settings(config, named)
    assert (list(settings.doubts()), settings.envelope_keys) == ([], (key,))
    assert key not in repr(settings)
    for bad, why in (("short", "32 characters"), ("0123456789abcdef" * 2, "can be guessed")):
        with pytest.raises(BadSettings, match=f"envelope_keys.0: .*{why}"):
            load_settings(config, ENVIRON | {"TILLKEEPER_ENVELOPE_KEYS": f'["{bad}"]'})


def test_a_section_by_the_name_that_it_had_is_read_and_said_to_have_another(config):
    with config.open("a") as file:
        file.write("[ask]\nattempts = 7\n")
    settings = load_settings(config, ENVIRON | {"TILLKEEPER_ASK__CALL_S": "3"})
    assert (settings.api_client.attempts, settings.api_client.call_s) == (7, 3.0)
    assert "[ask] is called [api_client] now; the old name is still read" in settings.doubts()
    with config.open("a") as file:
        file.write("[api_client]\nattempts = 2\n")
    assert list(problems(config)) == ["[ask] and [api_client] are one section: keep [api_client] alone"]


def test_retention_is_turned_off_by_saying_so(config):
    said = {"TILLKEEPER_RETENTION__BODIES_DAYS": "never", "TILLKEEPER_RETENTION__REFUSED_DAYS": "0"}
    retention = load_settings(config, ENVIRON | said).retention
    assert (retention.bodies_days, retention.refused_days, retention.days().unsigned) == (0, 0, 30)


@pytest.mark.parametrize("days", ["3", "-1", "soon", "4000000"])
def test_days_that_retention_cannot_keep_are_refused_in_a_line(config, days):
    [problem] = problems(config, TILLKEEPER_RETENTION__OUTBOX_DAYS=days)
    assert "retention.outbox_days" in problem


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("ENDPOINT", "collector:4318", "must be an address such as http://127.0.0.1:4318/v1/traces"),
        ("ENDPOINT", "http://collector:port/v1/traces", "must be an address such as http://127.0.0.1:4318/v1/traces"),
        ("ENDPOINT", "http://collector:4318", "has no path; collectors take traces at /v1/traces, so that it ends so"),
        ("ENDPOINT", "https://me:hunter2@collector/v1/traces", "must not hold a login; name it in tracing.headers"),
        ("RATIO", "1.5", "less than or equal to 1"),
        ("HEADERS", '{"Authorization": "two\\nlines"}', "must be one line of printable ASCII"),
        ("HEADERS", '{"Author ization": "Basic"}', "must be the name of a header, such as Authorization"),
    ],
)
def test_what_is_wrong_with_traces_settings_is_told(key, value, problem):
    environ = {"TILLKEEPER_DATABASE_URL": "postgresql:///till", f"TILLKEEPER_TRACING__{key}": value}
    [line] = problems(**environ)
    assert line.startswith(f"tracing.{key.lower()}")
    assert problem in line


@pytest.mark.parametrize(
    ("environ", "is_doubtful"),
    [
        ({}, False),
        ({"TILLKEEPER_DESK__HOST": "0.0.0.0"}, True),
        ({"TILLKEEPER_DESK__HOST": "0.0.0.0", "TILLKEEPER_DESK__PUBLIC_URL": "http://desk.example"}, True),
        ({"TILLKEEPER_DESK__HOST": "0.0.0.0", "TILLKEEPER_DESK__PUBLIC_URL": "https://desk.example"}, False),
    ],
)
def test_a_desk_whose_passwords_would_cross_the_network_in_the_open_is_doubtful(config, environ, is_doubtful):
    doubts = " ".join(load_settings(config, ENVIRON | environ).doubts())
    assert ("desk.host is 0.0.0.0" in doubts) == is_doubtful


OIDC = {
    "issuer": "https://id.shop.example",
    "client_id": "till-desk",
    "client_secret": "a secret of the desk",
    "roles": {"viewer": ["staff"]},
}
DESK = "https://desk.shop.example"


@pytest.mark.parametrize(
    ("changes", "url", "problem"),
    [
        ({}, "", "desk: with desk.oidc, public_url must be the desk's https:// address"),
        ({}, "http://desk.shop.example", "desk: with desk.oidc, public_url must be the desk's https:// address"),
        ({"issuer": "http://id.shop.example"}, DESK, "desk.oidc.issuer: must be the provider's issuer"),
        ({"issuer": "https://id.shop.example?x"}, DESK, "desk.oidc.issuer: must be the provider's issuer"),
        ({"issuer": "https://me@id.shop.example"}, DESK, "desk.oidc.issuer: must be the provider's issuer"),
        ({"issuer": "id.shop.example"}, DESK, "desk.oidc.issuer: must be the provider's issuer"),
        ({"client_secret": "short"}, DESK, "desk.oidc.client_secret: must have 16 characters or more"),
        ({"client_secret": "a secret of the desk\n."}, DESK, "desk.oidc.client_secret: must be one line of printable"),
        ({"client_id": ""}, DESK, "desk.oidc.client_id: must have a character or more"),
        ({"roles": {"viewer": []}}, DESK, "desk.oidc.roles: gives nobody a role; as in: operator = "),
        ({"roles": {"boss": ["staff"]}}, DESK, "desk.oidc.roles.boss"),
        ({"role_claim": []}, DESK, "desk.oidc.role_claim"),
        ({"nonce": False}, DESK, "desk.oidc.nonce: is not a setting; is it misspelt?"),
    ],
)
def test_what_is_wrong_with_the_companys_provider_is_told(config, changes, url, problem):
    environ = {"TILLKEEPER_DESK__OIDC": json.dumps(OIDC | changes)}
    if url:
        environ["TILLKEEPER_DESK__PUBLIC_URL"] = url
    told = problems(config, **environ)
    assert any(line.startswith(problem) for line in told), told
    assert "secret of the desk" not in str(told)


@pytest.mark.parametrize("claim", ["groups", ["realm_access", "roles"]])
def test_a_claim_is_named_or_the_way_to_it(config, claim):
    told = json.dumps(OIDC | {"role_claim": claim})
    oidc = load_settings(
        config, {**ENVIRON, "TILLKEEPER_DESK__OIDC": told, "TILLKEEPER_DESK__PUBLIC_URL": DESK}
    ).desk.oidc
    assert oidc.rules.role_claim == (tuple(claim) if isinstance(claim, list) else (claim,))
    assert oidc.shown == "id.shop.example"
    assert "secret" not in repr(oidc)
