"""Puts together the files of a plan, and the commands that come next, for each way to run."""

from tillkeeper.scaffold.configuration import CONFIG, ENV_FILE, configuration
from tillkeeper.scaffold.plan import File, Plan


def files_of(plan: Plan) -> list[File]:
    """Returns all files of a new installation."""
    return configuration(plan)


def next_commands(plan: Plan) -> list[tuple[str, str]]:
    """Returns three commands, each with what it is for."""
    config = plan.config_directory / CONFIG
    return [
        (f"$EDITOR {plan.config_directory / ENV_FILE}", "fill in what has no value yet; it says what each is"),
        (f"tillkeeper check --config {config}", "until every line is ok"),
        (f"tillkeeper run --config {config}", "everything in one process tree; it makes the database's schema"),
    ]
