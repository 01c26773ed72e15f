"""The program of the last release, kept as it was: the upgrade test runs it beside the present one.

    make keep VERSION=0.1.0     when a release is cut, from the commit that is checked out; the one before is removed

An archive needs neither tags nor history, which a shallow checkout does not have.
"""

import lzma
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PLACE: Final = Path(__file__).parent
# What a process needs to run.
PARTS: Final = ("tillkeeper", "desk", "ingest", "workers", "migrations", "schema.sql", "deploy/policy.toml")
LEFT_OUT: Final = (":(exclude)*.md",)


def kept_archive() -> Path:
    """The one archive there is."""
    [archive] = PLACE.glob("*.tar.xz")
    return archive


def unpack_release(directory: Path) -> Path:
    """Unpacks the kept program; returns where."""
    with tarfile.open(kept_archive()) as archive:
        archive.extractall(directory, filter="data")
    return directory


def copy_program(directory: Path) -> Path:
    """Copies the present program, to be changed, with what is compiled of it already; returns where."""
    for part in PARTS:
        source, target = ROOT / part, directory / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy(source, target)
    return directory


def keep(version: str) -> Path:
    """Packs the program of the commit that is checked out, which is the release."""
    command = ["git", "archive", "--format=tar", "HEAD", *PARTS, *LEFT_OUT]
    plain = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    for old in PLACE.glob("*.tar.xz"):
        old.unlink()
    (PLACE / f"{version}.tar.xz").write_bytes(lzma.compress(plain, preset=9 | lzma.PRESET_EXTREME))
    return kept_archive()


if __name__ == "__main__":
    print(keep(sys.argv[1]))
