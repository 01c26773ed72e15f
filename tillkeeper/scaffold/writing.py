"""Writes the files of a new installation, and leaves alone what is there already."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tillkeeper.scaffold.plan import File

OPEN: Final = 0o755
CLOSED: Final = 0o700


def write(files: Sequence[File]) -> tuple[list[Path], list[Path]]:
    """Writes what is missing; returns what was written, and what was there before.  Raises OSError."""
    written, kept = list[Path](), list[Path]()
    for file in files:
        _make(file.path.parent, closed=file.closed)
        (written if _write(file) else kept).append(file.path)
    return written, kept


def _make(directory: Path, *, closed: bool) -> None:
    """Makes a folder, and those that it lies in, whatever the umask: a unit's or a container's user must see them."""
    for path in (*reversed(directory.parents), directory):
        if not path.is_dir():
            path.mkdir()
            path.chmod(OPEN)
    if closed:
        directory.chmod(CLOSED)


def _write(file: File) -> bool:
    """Returns False where the file exists.  Nobody else can read a secret between its making and its mode."""
    try:
        descriptor = os.open(file.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode)
    except FileExistsError:
        return False
    os.fchmod(descriptor, file.mode)
    if file.owner is not None:
        os.fchown(descriptor, file.owner, file.owner)
    with open(descriptor, "w", encoding="utf-8") as opened:  # noqa: PTH123 - Path.open takes no descriptor
        opened.write(file.text)
    return True
