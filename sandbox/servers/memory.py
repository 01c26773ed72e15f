"""Chooses a directory in memory for a server's files that need not outlive the machine."""

import shutil
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - mkdtemp makes an unforeseeable name in it
MEMORY_BYTES_MIN: Final = 4 * 1024**3  # ten thousand payments over nine days take under one


def place_in_memory() -> Path | None:
    """Returns where the database's files need no disk, if there is room: for what shows what is done, not what
    survives."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES_MIN:
        return MEMORY
    return None
