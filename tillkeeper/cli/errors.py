"""Reports a command's failure: a line for each problem on standard error, and an exit code; never a traceback."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer

NO: Final = 1  # the answer is no
WRONG: Final = 2  # usage or configuration; click's own code for wrong usage, too
UNAVAILABLE: Final = 3  # database or broker
SCHEMA_UNFIT: Final = 4  # the database must be upgraded, or the program
NOT_WRITTEN: Final = 74  # the output could not be written: EX_IOERR of sysexits.h


class CommandError(Exception):
    """A command failed; each line says what was wrong and what would be right."""

    def __init__(self, *lines: str, code: int) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.code = code


@contextmanager
def reported(*, as_json: bool) -> Iterator[None]:
    """Prints the lines of CommandError and ends with its exit code."""
    try:
        yield
    except CommandError as failed:
        if as_json:
            print(json.dumps({"errors": failed.lines}, ensure_ascii=False), file=sys.stderr)
        else:
            for line in failed.lines:
                print(f"tillkeeper: {line}", file=sys.stderr)
        raise typer.Exit(failed.code) from None
