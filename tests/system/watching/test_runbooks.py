"""Runbooks name the pages of the desk and the commands that each alert wants, and all of them are there."""

import re
from pathlib import Path

import typer

from tillkeeper.cli import app
from tillkeeper.desk.routes import ROUTES

RUNBOOKS = Path(__file__).parents[3] / "docs" / "runbooks.md"
CLICK = typer.main.get_command(app)


def command_of(words):
    """The command that these words begin with; None where there is none such."""
    found = CLICK
    for word in words:
        if not hasattr(found, "commands"):
            return found  # what follows is an argument
        found = found.commands.get(word)
        if found is None:
            return None
    return found


def test_each_runbook_names_pages_that_the_desk_has_and_commands_that_there_are():
    paths = {re.sub(r"\{\w+(?::[^}]*)?\}", "NAME", route.path) for route in ROUTES if route.method == "GET"}
    for part in RUNBOOKS.read_text().split("\n### ")[1:]:
        name, section = part.split("\n", 1)
        desk = re.search(r"^\*\*Desk:\*\* (.*)$", section, re.MULTILINE)[1]
        pages = [page.partition("?")[0] for page in re.findall(r"`(/[^`]*)`", desk)]
        assert pages or desk.startswith("none"), name
        assert set(pages) <= paths, name
        terminal = re.search(r"^\*\*Terminal:\*\* (.*)$", section, re.MULTILINE)[1]
        commands = re.findall(r"`tillkeeper ([^`]*)`", terminal)
        assert commands, name
        for command in commands:
            found = command_of(command.split())
            assert found is not None, command
            options = {option for each in found.params for option in each.opts}
            assert set(re.findall(r"--[a-z-]+", command)) <= options, command
