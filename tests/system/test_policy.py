"""The policy while a process runs, its commands and its page."""

import os
import re
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from tests.system.commands import CLOSED_PORT_URL, tillkeeper, toml, written
from tests.system.policies import ACCOUNTS, BAD, ONE, OTHER, ROOT
from tillkeeper import telemetry
from tillkeeper.cli import app
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import Status
from tillkeeper.policy import BadPolicy, PolicyFile, digest_of, load_policy


@pytest.fixture
def load(tmp_path):
    def load(text: str, accounts=ACCOUNTS) -> Policy:
        path = tmp_path / "policy.toml"
        path.write_text(text)
        return load_policy(path, accounts)

    return load


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(ONE)
    return path


def replace(path: Path, text: str) -> None:
    """As editors and deployments do it: another file takes its name."""
    (beside := path.with_suffix(".new")).write_text(text)
    beside.rename(path)


def in_place(path: Path, text: str) -> None:
    path.write_text(text)
    os.utime(path, ns=(0, next(TIMES)))  # two writes within a tick of the kernel's clock


TIMES = count(1)


def unmatched_hours(file: PolicyFile) -> float:
    return file.policy.unmatched_case / timedelta(hours=1)


def stands() -> float:
    return telemetry.POLICY_REFUSED._value.get()


@pytest.mark.parametrize("write", [replace, in_place])
def test_a_changed_file_is_taken_up_once_it_rests(path, write):
    file = PolicyFile(path, ACCOUNTS)
    before = file.digest
    assert not file.look()
    write(path, OTHER)
    with capture_logs() as logs:
        assert [file.look() for _ in range(4)] == [False, True, False, False]
    assert (unmatched_hours(file), stands()) == (2, 0)
    assert file.digest == digest_of(file.policy) != before
    assert [(log["event"], log["digest"]) for log in logs] == [("policy_reloaded", file.digest)]


def test_a_file_that_is_being_written_is_left_alone(path):
    file = PolicyFile(path)
    in_place(path, "")  # a good policy, but not what the editor is about to say
    assert not file.look()
    in_place(path, OTHER)
    assert not file.look()
    assert unmatched_hours(file) == 1
    assert file.look()
    assert unmatched_hours(file) == 2


def test_a_bad_file_is_refused_once_and_the_old_policy_goes_on(path):
    file = PolicyFile(path)
    digest = file.digest
    with capture_logs() as logs:
        replace(path, BAD)
        assert not any(file.look() for _ in range(3))
        replace(path, BAD + "\n# touched, not mended")
        assert not any(file.look() for _ in range(3))
        assert (unmatched_hours(file), file.digest, stands()) == (1, digest, 1)
        replace(path, ONE)
        assert not any(file.look() for _ in range(3))
        assert (file.problems, stands()) == ((), 0)
        replace(path, OTHER)
        assert [file.look(), file.look()] == [False, True]
    assert [log["event"] for log in logs] == ["policy_refused", "policy_reloaded", "policy_reloaded"]
    assert logs[0]["problems"] == ("unmatched.case: '2x' is no span of time; write 90s, 5m, 2h, 10d or 1h30m",)
    assert logs[0]["digest_in_force"] == digest


def test_another_layout_is_no_other_policy(path):
    file = PolicyFile(path)
    with capture_logs() as logs:
        replace(path, f"# the same\n{ONE}\n")
        assert not any(file.look() for _ in range(3))
    assert logs == []


def test_a_file_that_vanishes_is_told_and_taken_up_when_it_is_back(path):
    file = PolicyFile(path)
    path.unlink()
    with capture_logs() as logs:
        assert not any(file.look() for _ in range(3))
        assert (unmatched_hours(file), stands()) == (1, 1)
        path.write_text(OTHER)
        assert [file.look(), file.look()] == [False, True]
    assert [log["event"] for log in logs] == ["policy_refused", "policy_reloaded"]


def test_a_policy_that_names_an_account_before_it_is_configured_is_taken_up_with_the_account(path):
    accounts = dict.fromkeys(ACCOUNTS)
    file = PolicyFile(path, accounts.keys())
    replace(path, f'{OTHER}\n[accounts.new-one.paid]\nquery = "1h"\n')
    assert not any(file.look() for _ in range(3))
    accounts["new-one"] = None
    file.read_again()
    assert [file.look(), file.look()] == [False, True]
    assert unmatched_hours(file) == 2


def test_every_process_that_follows_the_policy_follows_the_accounts_that_it_names():
    """A process that keeps its first list refuses a policy for a new account for as long as it runs."""
    for path in (*ROOT.glob("workers/*.py"), *ROOT.glob("ingest/*.py")):
        text = path.read_text()
        if "PolicyFile(" in text and "def serve" in text:
            assert "PolicyFile(settings.policy, accounts.gateways.keys())" in text, path.name
            assert "on_change(policy.read_again)" in text, path.name
            assert "accounts.look_once" in text, path.name


def test_a_config_map_of_kubernetes_is_noticed(tmp_path):
    """The file is a link through ..data, and ..data is what is swapped."""
    for name, text in (("first", ONE), ("second", OTHER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "policy.toml").write_text(text)
    (data := tmp_path / "..data").symlink_to("first")
    (tmp_path / "policy.toml").symlink_to("..data/policy.toml")
    file = PolicyFile(tmp_path / "policy.toml")
    assert (file.look(), unmatched_hours(file)) == (False, 1)
    (tmp_path / "..tmp").symlink_to("second")
    (tmp_path / "..tmp").rename(data)
    assert [file.look(), file.look()] == [False, True]
    assert unmatched_hours(file) == 2


def test_the_default_policy_never_changes():
    file = PolicyFile()
    assert not file.look()
    assert file.policy == load_policy()


def test_a_process_does_not_start_with_a_bad_file(path):
    replace(path, BAD)
    with pytest.raises(BadPolicy):
        PolicyFile(path)


# --- the commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path, path) -> Path:
    return written(tmp_path, toml(CLOSED_PORT_URL, more=f'policy = "{path}"'))


async def test_check_says_yes_or_all_that_is_wrong(path, config):
    right = await tillkeeper("policy", "check", "--config", config)
    assert (right.code, right.out) == (0, f"{path}: is right, digest {digest_of(load_policy(path))}\n")
    path.write_text('[cases]\nlevels = 0\n[accounts.elsewhere.paid]\nquery = "1h"')
    wrong = await tillkeeper("policy", "check", "--config", config)
    assert wrong.code == 1
    assert wrong.out.splitlines() == [
        f"{path}: is NOT right",
        "  accounts.elsewhere: the settings have no such account; known are stripe-main",
        "  cases.levels: is a number from 1 to 9",
    ]


async def test_check_needs_no_configuration(path):
    named = await tillkeeper("policy", "check", path, "--json")
    assert (named.code, named.json) == (
        0,
        {"path": str(path), "right": True, "problems": [], "digest": digest_of(load_policy(path))},
    )
    default = await tillkeeper("policy", "check")
    assert (default.code, default.out) == (0, f"the default policy: is right, digest {digest_of(load_policy())}\n")


async def test_show_draws_what_is_in_force_at_an_account(path, config):
    path.write_text(
        '[accounts.stripe-main.processing]\ncase = "40m"\n'
        '[accounts.stripe-main.methods.sepa_debit.processing]\ncase = "10d"\nescalate = []'
    )
    shown = await tillkeeper("policy", "show", "--status", "processing", "--account", "stripe-main", "--config", config)
    assert shown.code == 0
    general, by_method, _ = shown.out.split("\n\n")
    assert "  after 40m      open a case\n" in general
    assert by_method.startswith("processing 支付处理中, at stripe-main by sepa_debit\n")
    assert "  after 10d      open a case\n" in by_method
    told = await tillkeeper("policy", "show", "--status", "processing", "--config", config)
    assert [each.splitlines()[0] for each in told.out.split("\n\n")][:-1] == [
        "processing 支付处理中",
        "processing 支付处理中, at stripe-main",
        "processing 支付处理中, at stripe-main by sepa_debit",
    ]


@pytest.mark.parametrize("method", ["nope", "SEPA_DEBIT"])
async def test_a_method_that_the_policy_does_not_know_is_an_error(path, config, method):
    path.write_text('[accounts.stripe-main.methods.sepa_debit.paid]\nquery = "10d"')
    shown = await tillkeeper("policy", "show", "--account", "stripe-main", "--method", method, "--config", config)
    assert (shown.code, shown.out) == (2, "")
    assert f"the policy knows no method {method!r} at stripe-main; there are: sepa_debit" in shown.err


async def test_show_tells_programs_what_is_in_force_for_a_method(path, config):
    path.write_text('[accounts.stripe-main.methods.sepa_debit.paid]\nquery = "10d"')
    place = ("--account", "stripe-main", "--method", "sepa_debit", "--status", "paid")
    shown = await tillkeeper("policy", "show", *place, "--config", config, "--json")
    assert shown.json == {
        "digest": digest_of(load_policy(path)),
        "account": "stripe-main",
        "method": "sepa_debit",
        "ladders": {"paid": {"query": ["10d"]}},
        "cases": {"follow_up": "1d", "levels": 3},
        "unmatched": {"case": "30m"},
        "closing": {"after": "case"},
        "closed": {"query": "1h, 1d, 3d"},
        "silence": {
            "after": "learned",
            "learning": "7d",
            "false_alarm": 1e-6,
            "least": "10m",
            "ask_every": "10m",
            "unanswering": "15m",
        },
        "hints": {"per_minute": 10, "again_after": "10m"},
        "books": {"buffer": "1d", "fetch": "no"},
    }


async def test_show_refuses_an_account_that_is_not_configured(config):
    ended = await tillkeeper("policy", "show", "--account", "elsewhere", "--config", config)
    assert (ended.code, ended.err) == (
        2,
        "tillkeeper: no account 'elsewhere' is configured; known are stripe-main\n",
    )


@pytest.mark.parametrize("command", ["run", "ingest", "work", "policy show"])
async def test_a_bad_policy_at_the_start_is_a_bad_setting(path, config, command):
    path.write_text(BAD)
    ended = await tillkeeper(*command.split(), "--config", config)
    assert ended.code == 2
    assert "unmatched.case: '2x' is no span of time; " in ended.err


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_shows_the_default_policy_as_it_is():
    """To mend it, copy what is expected here, or `tillkeeper policy show` without a configuration."""
    [printed] = re.findall(r"```text\n(.*?)```", (ROOT / "docs" / "policy.md").read_text(), re.DOTALL)
    assert printed == CliRunner().invoke(app, ["policy", "show"], env={"TILLKEEPER_CONFIG": ""}).output


def test_every_status_that_a_request_of_the_page_names_is_one():
    page = (ROOT / "docs" / "policy.md").read_text().split("## What to change")[1]
    named = set(re.findall(r"`\[([a-z_]+)\]`", page))
    assert named <= {*Status, "cases", "closing", "closed", "unmatched", "silence", "hints", "books"}
