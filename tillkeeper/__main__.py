"""`python -m tillkeeper` is `tillkeeper`."""

from tillkeeper.cli import main

main()
