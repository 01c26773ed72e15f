"""Guards standard output: a command that cannot write it ends with an exit code of its own.

Python alone would end with 1 or 120, or with 0 and no word; and 1 is the answer "no" of many commands.
"""

import io
import sys
from typing import Final, NoReturn

from tillkeeper.cli.errors import NOT_WRITTEN

STDOUT: Final = 1


class _Raw(io.RawIOBase):
    """Standard output in bytes.  The first byte that cannot be written ends the process with NOT_WRITTEN."""

    def __init__(self, descriptor: io.FileIO | None) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._failed = False

    def writable(self) -> bool:
        """Returns True, for standard output is for writing alone."""
        return True

    def isatty(self) -> bool:
        """Returns True where the descriptor is a terminal."""
        return self._descriptor is not None and self._descriptor.isatty()

    def fileno(self) -> int:
        """Returns the descriptor's number; raises OSError where there is none."""
        if self._descriptor is None:
            raise io.UnsupportedOperation("standard output is closed")
        return self._descriptor.fileno()

    def write(self, content: "memoryview | bytes | bytearray") -> int | None:  # type: ignore[override]
        """Writes to the descriptor.  After a failure the rest is dropped, for Python writes it once more as it ends."""
        if self._failed:
            return len(content)
        if self._descriptor is None:
            self._fail("it is closed")
        try:
            return self._descriptor.write(content)
        except BrokenPipeError:  # a reader that has seen enough, as `head` has, needs no explanation
            self._fail(None)
        except OSError as error:
            self._fail(error.strerror)

    def _fail(self, why: str | None) -> NoReturn:
        self._failed = True
        if why is not None:
            print(f"tillkeeper: standard output cannot be written: {why}", file=sys.stderr)
        raise SystemExit(NOT_WRITTEN)


def guard() -> None:
    """Replaces Python's own standard output by one that fails so."""
    before = sys.stdout
    descriptor = None if before is None else io.FileIO(STDOUT, "wb", closefd=False)
    raw = _Raw(descriptor)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", None) or "utf-8",
        errors="backslashreplace",  # a terminal without Chinese shows codes, not a trace
        line_buffering=raw.isatty(),
    )
