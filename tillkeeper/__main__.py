"""Runs the command line (tillkeeper/cli/) as `python -m tillkeeper`."""

from tillkeeper.cli import main

main()
