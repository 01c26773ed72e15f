"""`tillkeeper init`: what it writes, for every gateway, and that it is what the program can read."""

import os
import pty
import re
import stat
import subprocess
import sys
import tomllib

import pytest

from tests.system.commands import ENVIRON, in_process, tillkeeper
from tillkeeper.api_client.client import ApiClient
from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.policy import load_policy
from tillkeeper.sandbox.accounts import new_signers
from tillkeeper.sandbox.simulators.registry import simulator_of
from tillkeeper.scaffold.accounts import variable_of
from tillkeeper.settings import BadSettings, load_settings

URL = "postgresql://till:hunter2@db.shop/till"
# What simulators do without, where init asks for more.
MORE = {
    "LAKALA_TERM_NO": "A0073841",
    "FLUTTERWAVE_CLIENT_ID": "client-7c1f",
    "FLUTTERWAVE_CLIENT_SECRET": "Zk3vQ9xT7mLp",
}


def filled(env_file, values):
    """Puts values where the file has none."""
    text = env_file.read_text()
    for name, value in values.items():
        text = re.sub(rf"^{name}=$", lambda _, name=name, value=value: f'{name}="{value}"', text, flags=re.MULTILINE)
    env_file.write_text(text)


def values_of(gateway):
    """What a merchant would copy from the gateway's console: here from its simulator."""
    [signer] = new_signers([gateway]).values()
    values = dict(MORE)
    for name, value in simulator_of(gateway).settings(signer).items():
        variable = variable_of(gateway, name)
        if isinstance(value, dict):
            [(values[f"{variable}_ID"], values[variable])] = list(value.items())[:1]
        else:
            values[variable] = value[0] if isinstance(value, list | tuple) else value
    return values


@pytest.mark.parametrize("gateway", sorted(GATEWAYS))
async def test_what_is_written_holds_once_it_is_filled_in(tmp_path, gateway):
    public = ("--public-url", "https://pay.shop.de")
    ended = await tillkeeper("init", tmp_path, "--gateway", gateway, "--yes", "--database-url", URL, *public)
    assert ended.code == 0, ended.err
    config, env_file = tmp_path / "tillkeeper.toml", tmp_path / "tillkeeper.env"
    with pytest.raises(BadSettings) as caught:
        load_settings(config, {})
    assert all("is not set, or empty" in problem for problem in caught.value.problems)
    filled(env_file, values_of(gateway))
    settings = load_settings(config, {})
    assert settings.database_url == URL
    assert len(settings.api_tokens[0]) == len(settings.envelope_keys[0]) == 48
    assert list(settings.doubts()) == []
    account = f"{gateway.replace('_', '-')}-main"
    own = GATEWAYS[gateway].own_url
    assert own is None or getattr(settings.accounts[account], own) == f"https://pay.shop.de/webhooks/{account}"
    client = ApiClient(settings.build_gateways(), ApiClientSettings(), send=None)
    assert client.can_query(account) == bool(GATEWAYS[gateway].queryable)
    load_policy(settings.policy, settings.accounts)


async def test_the_configuration_of_one_gateway_is_ten_lines(tmp_path):
    await tillkeeper("init", tmp_path, "--gateway", "stripe", "--yes")
    lines = (tmp_path / "tillkeeper.toml").read_text().splitlines()
    assert len([line for line in lines if line and not line.startswith("#")]) == 10


@pytest.mark.parametrize("umask", [0, 0o077])
async def test_the_env_file_is_its_owners_alone_and_says_what_each_secret_is(tmp_path, umask):
    mask = os.umask(umask)
    try:
        await tillkeeper("init", tmp_path / "new" / "place", "--gateway", "stripe", "--yes")
    finally:
        os.umask(mask)
    env_file = tmp_path / "new" / "place" / "tillkeeper.env"
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    for path, mode in {
        env_file.parent.parent: 0o755,
        env_file.parent: 0o755,
        env_file.with_suffix(".toml"): 0o644,
    }.items():
        assert stat.S_IMODE(path.stat().st_mode) == mode  # a unit's user reads the configuration
    text = env_file.read_text()
    for name in re.findall(r"^(\w+)=", text, re.MULTILINE):
        assert re.search(rf"^# .+\n{name}=", text, re.MULTILINE), name
    assert "Developers > Webhooks" in text


def test_a_shell_reads_the_same_from_the_env_file(tmp_path):
    url = "postgresql://till:p%23$a&b;c@db.shop/till"
    in_process("init", tmp_path, "--gateway", "stripe", "--yes", "--database-url", url, told=b"")
    env_file = tmp_path / "tillkeeper.env"
    filled(env_file, {"STRIPE_WEBHOOK_SECRET": "whsec_Q29vbA", "STRIPE_API_KEY": "sk_test_7Yh2"})
    script = f"set -a; . {env_file}; exec {sys.executable} -c 'import os; print(os.environ[\"DATABASE_URL\"])'"
    told = subprocess.run(["sh", "-euc", script], check=True, capture_output=True, text=True, env=ENVIRON).stdout
    assert told.strip() == url == load_settings(tmp_path / "tillkeeper.toml", {}).database_url


async def test_nothing_is_overwritten(tmp_path):
    first = await tillkeeper("init", tmp_path, "--gateway", "stripe", "--yes", "--json")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "policy.toml").unlink()
    second = await tillkeeper("init", tmp_path, "--gateway", "adyen", "--yes", "--json")
    assert second.json["written"] == [str(tmp_path / "policy.toml")]
    assert {*second.json["kept"], *second.json["written"]} == {*first.json["written"]}
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


async def test_it_ends_with_three_commands(tmp_path):
    ended = await tillkeeper("init", tmp_path, "--gateway", "stripe", "--yes")
    assert re.findall(r"^  (\d)\. (\S+ \w*)", ended.out, re.MULTILINE) == [
        ("1", "$EDITOR "),
        ("2", "tillkeeper check"),
        ("3", "tillkeeper run"),
    ]


async def test_units_are_written_with_the_paths_of_this_installation(tmp_path):
    ended = await tillkeeper("init", tmp_path, "--gateway", "stripe", "--for", "systemd", "--yes", "--json")
    assert "systemctl enable --now tillkeeper.target" in ended.json["next"][-1]
    unit = (tmp_path / "systemd" / "tillkeeper@.service").read_text()
    assert "/etc/tillkeeper" not in unit
    assert f"LoadCredential=tillkeeper.env:{tmp_path}/tillkeeper.env" in unit
    assert not ended.json["remarks"]


async def test_units_that_would_not_see_their_files_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/home/shop/venv/bin/tillkeeper"])
    ended = await tillkeeper("init", tmp_path, "--gateway", "stripe", "--for", "systemd", "--yes")
    assert "but   /home/shop/venv/bin/tillkeeper lies in a home, which a unit does not see: install" in ended.out


async def test_notices_get_a_secret(tmp_path):
    told = ("--notices-url", "https://shop.de/hooks", "--broker-url", "amqp://till:hunter2@mq.shop/till")
    await tillkeeper("init", tmp_path, "--gateway", "stripe", "--yes", *told)
    filled(tmp_path / "tillkeeper.env", {"STRIPE_WEBHOOK_SECRET": "whsec_Q29vbA9", "STRIPE_API_KEY": "sk_test_7Yh2"})
    settings = load_settings(tmp_path / "tillkeeper.toml", {})
    assert settings.notify.webhooks["shop"].url == "https://shop.de/hooks"
    assert settings.broker_url == "amqp://till:hunter2@mq.shop/till"


def test_a_person_is_asked(tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tillkeeper", "init", str(tmp_path)]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, env=ENVIRON, text=True) as child:
        os.write(ours, b"stripe, adyen\n\namqp://guest@mq/\n\n\n")
        told, _ = child.communicate(timeout=180)
    os.close(ours)
    os.close(theirs)
    assert child.returncode == 0
    assert "Gateways: adyen, alipay" in told
    written = tomllib.loads((tmp_path / "tillkeeper.toml").read_text())
    assert sorted(written["accounts"]) == ["adyen-main", "stripe-main"]
    assert "broker_url" in written


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "name the gateways: --gateway stripe"),
        (("--gateway", "strype"), "'strype' is none that is known; there are adyen, alipay"),
        (("--gateway", "stripe", "--for", "windows"), "'windows' is no way to run; there are run, systemd, compose"),
        (("--gateway", "stripe", "--public-url", "pay.shop.de"), "--public-url: must begin with https://"),
        (("--gateway", "stripe", "--database-url", "mysql://db"), "--database-url: must begin with postgresql://"),
    ],
)
async def test_wrong_options_are_refused_before_anything_is_written(tmp_path, options, says):
    ended = await tillkeeper("init", tmp_path / "new", "--yes", *options)
    assert ended.code == 2
    assert says in ended.err
    assert not (tmp_path / "new").exists()


async def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    ended = await tillkeeper("init", tmp_path / "file", "--gateway", "stripe", "--yes")
    assert ended.code == 2
    assert f"{tmp_path / 'file'} cannot be written: " in ended.err
