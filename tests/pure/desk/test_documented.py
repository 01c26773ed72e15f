"""docs/desk.md shows every picture of the desk that is there, each small and one that `make pictures` draws."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"
PICTURE_BYTES_MAX = 200_000


def test_every_picture_is_shown_small_and_drawn_by_the_script():
    pages = "".join((DOCS / name).read_text() for name in ("desk.md", "reports.md"))
    shown = set(re.findall(r"\]\(pictures/([\w-]+)\.png\)", pages))
    there = {path.stem: path.stat().st_size for path in (DOCS / "pictures").glob("desk-*.png")}
    drawn = set(re.findall(r'^    \("(desk-[\w-]+)", ', (DOCS / "desk_pictures.py").read_text(), re.MULTILINE))
    assert shown == set(there) == drawn
    assert max(there.values()) < PICTURE_BYTES_MAX
