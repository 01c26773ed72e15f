"""docs/notices.md tells every topic, and its pictures are there, small, and of the mails as they are drawn."""

import importlib.util
import re
from pathlib import Path

from tillkeeper.domain.topics import Topic

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "notices.md").read_text()
PICTURE_BYTES_MAX = 150_000


def drawn():
    spec = importlib.util.spec_from_file_location("pictures", DOCS / "pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_topic_has_its_line():
    assert re.findall(r"^\| `(payer\.\w+)` \|", PAGE, re.MULTILINE) == list(Topic)


def test_every_picture_is_shown_there_small_and_one_that_make_pictures_draws():
    shown = set(re.findall(r"\]\(pictures/([\w-]+)\.png\)", PAGE))
    there = {path.stem: path.stat().st_size for path in (DOCS / "pictures").glob("mail-*.png")}
    assert shown == set(there) == {name for name, *_ in drawn().MAILS}
    assert max(there.values()) < PICTURE_BYTES_MAX


def test_without_a_browser_it_says_what_is_missing(monkeypatch, capsys):
    module = drawn()
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    assert module.main() == 1
    assert "apt-get install chromium" in capsys.readouterr().err
