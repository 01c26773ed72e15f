"""Puts together the files of a plan, and the commands that come next, for each way to run."""

from pathlib import Path
from typing import Final

from tillkeeper.scaffold import compose, systemd
from tillkeeper.scaffold.configuration import CONFIG, ENV_FILE, configuration
from tillkeeper.scaffold.plan import File, ScaffoldPlan

Commands = list[tuple[str, str]]

LOOK: Final = "what is ready, and what is left to do"


def files_of(plan: ScaffoldPlan) -> list[File]:
    """Returns all files of a new installation."""
    match plan.target:
        case "run":
            return configuration(plan)
        case "systemd":
            return configuration(plan) + systemd.units(plan)
        case "compose":
            return compose.files(plan)


def remarks(plan: ScaffoldPlan) -> list[str]:
    """Returns what stands in the way of running it so."""
    return systemd.remarks(plan) if plan.target == "systemd" else []


def next_commands(plan: ScaffoldPlan) -> Commands:
    """Returns three commands, each with what it is for."""
    config, env_file = plan.config_directory / CONFIG, plan.config_directory / ENV_FILE
    edit = (f"$EDITOR {env_file}", "fill in what has no value yet; it says what each is")
    check = (f"tillkeeper check --config {config}", LOOK)
    match plan.target:
        case "run":
            run = f"tillkeeper run --config {config}"
            return [edit, check, (run, "everything in one process tree; it makes the database's schema")]
        case "systemd":
            return [edit, check, _start_by_systemd(plan.directory)]
        case "compose":
            return [edit, *compose.commands(plan.directory)]


def _start_by_systemd(directory: Path) -> tuple[str, str]:
    copied = f"cp {directory}/systemd/* /etc/systemd/system/ && systemctl daemon-reload"
    return (
        f"{copied} && systemctl start tillkeeper-upgrade && systemctl enable --now tillkeeper.target",
        "as root: the database's schema, then every role, now and at each boot",
    )
