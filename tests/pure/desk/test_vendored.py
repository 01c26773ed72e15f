"""Files of others in desk/static are those that their packages have, and each says whose it is."""

import hashlib
import tomllib
from pathlib import Path

from tillkeeper.desk.static_files import TYPES, static_files, static_url

STATIC = Path(__file__).parents[3] / "desk" / "static"
OURS = {"desk.css", "desk.js", "find.css", "mark.svg", "queues.css", "report_print.css", "reports.css"}


def test_each_file_of_others_has_its_package_version_licence_and_hash():
    listed = tomllib.loads((STATIC / "vendored.toml").read_text())
    files = {path.name for path in STATIC.iterdir() if path.suffix.removeprefix(".") in TYPES}
    assert set(listed) == files - OURS
    for name, entry in listed.items():
        assert set(entry) == {"package", "version", "path", "licence", "sha256"}
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == entry["sha256"], name


def test_names_for_browsers_hold_the_hash_of_the_content():
    for file in static_files().values():
        assert hashlib.sha256(file.content).hexdigest()[:16] in file.name
    assert static_url("desk.css").startswith("/static/desk.")


def test_nothing_is_loaded_from_elsewhere():
    for name in OURS - {"mark.svg"}:  # an SVG names the namespace of its elements
        text = (STATIC / name).read_text()
        assert "://" not in text, name
        assert "@import" not in text, name
