"""Commands that are installed beside the product's own, and what is said of one that is not."""

from importlib import metadata
from importlib.metadata import EntryPoint, EntryPoints

import pytest
import typer
from typer.testing import CliRunner

from tillkeeper.cli import installed

OTHER = typer.Typer()


@OTHER.command("other")
def say_hello() -> None:
    print("hello from elsewhere")


@pytest.fixture
def run(monkeypatch):
    """Runs a command line that has these entry points and nothing else."""

    def run(*words, points=()):
        monkeypatch.setattr(metadata, "entry_points", EntryPoints(points).select)
        app = typer.Typer(cls=installed.Commands)
        app.callback()(lambda: None)
        return CliRunner().invoke(app, words)

    return run


def test_the_sandbox_is_asked_for_where_it_is_not_installed(run):
    ended = run("sandbox", "--up", "--seconds", "20")
    assert ended.exit_code == 2
    assert ended.stderr == "tillkeeper: sandbox is not installed; it comes with: pip install 'tillkeeper[sandbox]'\n"
    assert "sandbox" not in run("--help").stdout


def test_an_entry_point_of_the_group_is_a_command(run):
    other = EntryPoint(name="other", value=f"{__name__}:OTHER", group=installed.GROUP)
    stranger = EntryPoint(name="stranger", value="nowhere:app", group="another.group")
    assert run("other", points=[other, stranger]).stdout == "hello from elsewhere\n"
    assert "other" in run("--help", points=[other, stranger]).stdout
