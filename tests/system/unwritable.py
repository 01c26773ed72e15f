"""Runs commands whose standard output cannot be written, each in a fork of a process that has imported most of them.

A JSON list of command lines comes in on standard input, and [exit code, standard error] of each goes out.  The first
argument says what standard output is: a file, or `no-reader`.
"""

import gc
import json
import os
import sys
import tempfile

import tillkeeper.accounts
import tillkeeper.cli.database
import tillkeeper.diagnostics.refusals
import tillkeeper.gateways.inspection
import tillkeeper.policy.drawing
import tillkeeper.recovery.parked
import tillkeeper.sandbox.capture
import tillkeeper.store.orders.acts
import tillkeeper.store.reports.audit
import tillkeeper.store.reports.case_files
import tillkeeper.store.reports.handover
import tillkeeper.store.reports.order
import tillkeeper.store.reports.stuck  # noqa: F401 - all of these are imported once, and not by each fork
from tillkeeper.cli import main


def output_to(name: str) -> int:
    """Opens the file, or a pipe that nobody reads."""
    if name != "no-reader":
        return os.open(name, os.O_WRONLY)
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def run(arguments: list[str], name: str) -> list[object] | None:
    """Returns the exit code and standard error; None in the fork, should the command not end it."""
    with tempfile.TemporaryFile() as told:
        if (child := os.fork()) == 0:
            os.dup2(output_to(name), 1)
            os.dup2(told.fileno(), 2)
            sys.argv = ["tillkeeper", *arguments]
            main()
            os._exit(99)
        _, status = os.waitpid(child, 0)
        told.seek(0)
        return [os.waitstatus_to_exitcode(status), told.read().decode()]


if __name__ == "__main__":
    gc.freeze()  # else each fork copies all pages as it ends
    ended = [run(arguments, sys.argv[1]) for arguments in json.load(sys.stdin)]
    print(json.dumps(ended))
