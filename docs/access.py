"""Prints the table of rights in docs/access.md from desk/access/roles.py.

Run it by `make docs`; a test fails when what it prints is not what is there.
"""

import re
from pathlib import Path
from typing import Final

from tillkeeper.desk.access.roles import RIGHTS
from tillkeeper.domain.people import Role

PAGE: Final = Path(__file__).parents[1] / "docs" / "access.md"
TABLE: Final = re.compile(r"\| right \|.*?\n(?=\n)", re.DOTALL)


def page() -> str:
    """Returns the page with the table as it is now."""
    head = (
        "| right | " + " | ".join(Role) + " | two people |",
        "| --- | " + " | ".join("---" for _ in Role) + " | --- |",
    )
    rows = [
        " | ".join(
            (
                f"| {right.what}",
                *("yes" if role.allows(right.role) else "" for role in Role),
                f"{'yes' if right.takes_two else ''} |",
            )
        )
        for right in RIGHTS
    ]
    printed = "\n".join((*head, *rows)) + "\n"
    return TABLE.sub(lambda _: printed, PAGE.read_text(), count=1)


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE}")
