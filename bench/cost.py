"""What a process and everything it started cost so far: CPU seconds and resident memory, from /proc."""

import os
from pathlib import Path
from typing import Final

_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
# Where fields of /proc/PID/stat stand behind the command's name; utime, stime and both of reaped children are in a row.
_PARENT: Final = 1
_TIMES: Final = slice(11, 15)
_MIB: Final = 1024 * 1024
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """CPU seconds of the whole tree, ended children included."""
    while True:
        tree = _tree(pid)
        ticks = sum(sum(map(int, _stat(each)[_TIMES])) for each in tree)
        if _tree(pid) == tree:  # else one ended in between, and is counted twice or not at all
            return ticks / _TICKS_A_SECOND


def rss_mib(pid: int) -> float:
    """Resident memory of the whole tree; pages shared between its processes count in each."""
    return sum(_resident_pages(each) for each in _tree(pid)) * _PAGE_BYTES / _MIB


def _tree(pid: int) -> set[int]:
    """The process and all below it.  Every process is looked at: the kernel's lists of children can miss some."""
    parents = {each: int(stat[_PARENT]) for each in _everybody() if (stat := _stat(each))}
    tree = {pid}
    while below := {child for child, parent in parents.items() if parent in tree} - tree:
        tree |= below
    return tree


def _everybody() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _stat(pid: int) -> list[str]:
    """The fields behind the name; none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _resident_pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
