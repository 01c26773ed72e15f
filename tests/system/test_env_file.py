"""The file that `env_file` names: what it holds counts as if it stood in the environment, which wins."""

import pytest

from tillkeeper.accounts import Accounts
from tillkeeper.settings import BadSettings, load_settings, secret_files

SECRET = "whsec_kept_in_the_env_file"
CONFIG = """
env_file = "{directory}/tillkeeper.env"
database_url = "env:DATABASE_URL"
[accounts.stripe-main]
gateway = "stripe"
webhook_secrets = ["env:STRIPE_WEBHOOK_SECRET"]
"""
ENV = f"""
# A comment, and an empty line.

DATABASE_URL='postgresql://till@db/till'
export STRIPE_WEBHOOK_SECRET={SECRET}
STRIPE_API_KEY=
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "tillkeeper.env").write_text(ENV)
    path = tmp_path / "tillkeeper.toml"
    path.write_text(CONFIG.format(directory=tmp_path))
    return path


def rewritten(config, text):
    """Another content takes the place of the env file in one step, as an editor or a deployment tool does it."""
    fresh = config.with_name("fresh")
    fresh.write_text(text)
    fresh.replace(config.with_name("tillkeeper.env"))


def test_it_is_read_and_the_environment_wins(config):
    assert load_settings(config, {}).accounts["stripe-main"].webhook_secrets == (SECRET,)
    changed = load_settings(config, {"STRIPE_WEBHOOK_SECRET": "whsec_of_the_environment"})
    assert changed.accounts["stripe-main"].webhook_secrets == ("whsec_of_the_environment",)


def test_the_environment_names_another_one(config, tmp_path):
    other = tmp_path / "other.env"
    other.write_text(ENV.replace(SECRET, "whsec_kept_in_the_other"))
    settings = load_settings(config, {"TILLKEEPER_ENV_FILE": str(other)})
    assert settings.accounts["stripe-main"].webhook_secrets == ("whsec_kept_in_the_other",)
    assert settings.env_file == other


def test_settings_are_overridden_by_it_as_by_the_environment(config):
    rewritten(config, ENV + "TILLKEEPER_INGEST__PORT=9999\n")
    assert load_settings(config, {}).ingest.port == 9999


def test_a_name_without_a_value_is_as_if_it_were_not_there(config):
    config.write_text(config.read_text() + 'api_key = "env:STRIPE_API_KEY"\n')
    with pytest.raises(BadSettings, match="the environment variable STRIPE_API_KEY is not set, or empty"):
        load_settings(config, {})


def test_a_value_of_several_lines_stands_in_quotes(config):
    rewritten(config, ENV.replace(f"={SECRET}", '="whsec_first line\n# no comment\nits last = line" ') + "A=b\r\n")
    [secret] = load_settings(config, {}).accounts["stripe-main"].webhook_secrets
    assert secret == "whsec_first line\n# no comment\nits last = line"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (ENV + "A=with spaces\n", "line 7: must be NAME=value, in quotes where the value has spaces or quotes"),
        (ENV + "A=it's\n", "line 7: must be"),
        (ENV + 'A="never ends\nB=c\n', "line 7: must be"),
        ("not an entry\n", "line 1: must be"),
        ("1A=b\n", "line 1: must be"),
        ("A=b" * 100_000, "is greater than 262144 bytes"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_bad_line_is_named_and_never_shown(config, content, says):
    if content is None:
        config.with_name("tillkeeper.env").unlink()
    else:
        rewritten(config, content)
    with pytest.raises(BadSettings) as caught:
        load_settings(config, {})
    [problem] = caught.value.problems
    assert problem.startswith("env_file: ")
    assert says in problem
    assert "spaces\n" not in problem
    assert "never ends" not in problem


def test_bytes_that_are_no_utf_8_are_refused(config):
    config.with_name("tillkeeper.env").write_bytes(b"A=\xff\n")
    with pytest.raises(BadSettings, match="is not UTF-8 text"):
        load_settings(config, {})


def test_names_of_keys_come_from_it_too(config):
    text = (
        config.read_text()
        + '[accounts.pal]\ngateway = "paypal"\nwebhook_id = "8PT5"\ncerts = { "env:URL" = "env:PEM" }\n'
    )
    config.write_text(text)
    with pytest.raises(BadSettings, match=r"accounts\.pal\.certs: the environment variable URL is not set"):
        load_settings(config, {})


def test_a_changed_env_file_changes_the_accounts_of_a_running_process(config, monkeypatch):
    monkeypatch.setenv("TILLKEEPER_CONFIG", str(config))
    assert secret_files() == (config, config.with_name("tillkeeper.env"))
    accounts = Accounts(load_settings())
    before = accounts.gateways["stripe-main"]
    rewritten(config, ENV.replace(SECRET, "whsec_of_the_next_quarter"))
    assert [accounts.look(), accounts.look()] == [False, True]
    assert accounts.gateways["stripe-main"] is not before
    rewritten(config, ENV + "broken line\n")
    assert [accounts.look(), accounts.look()] == [False, False]
    assert "stripe-main" in accounts.gateways
    rewritten(config, ENV)
    assert [accounts.look(), accounts.look()] == [False, True]
