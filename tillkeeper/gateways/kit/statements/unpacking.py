"""Unpacks a statement's file where it is packed, within limits: whoever gives a file may have it from anybody."""

import gzip
import io
import zipfile
import zlib
from typing import BinaryIO, Final

from tillkeeper.domain.books.statement import StatementRefused

BYTES_MAX: Final = 2 * 1024**3  # a million lines of the longest known form are 600 MB
RATIO_MAX: Final = 200  # tables of digits pack up to 40 times
RATIO_FROM: Final = 16 * 1024**2  # below it no ratio does harm
ENTRIES_MAX: Final = 1
SUMMARY: Final = "汇总"  # beside the lines, Alipay gives their sums by shop
UTF_8: Final = 0x800  # the flag of names that are UTF-8
GZIP_MAGIC: Final = b"\x1f\x8b"
ZIP_MAGIC: Final = b"PK\x03\x04"


class _Bounded(io.RawIOBase):
    """A file that is refused once it gives more than a statement has."""

    def __init__(self, file: BinaryIO | gzip.GzipFile, packed_bytes: int) -> None:
        super().__init__()
        self._file = file
        self._given = 0
        self._most = min(BYTES_MAX, max(RATIO_FROM, packed_bytes * RATIO_MAX))

    def readable(self) -> bool:
        """Returns True."""
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Reads on.  Raises StatementRefused for what is damaged, or too great."""
        try:
            read = self._file.read(len(buffer))
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise StatementRefused(f"the packed file is damaged or cut: {error}; fetch it again") from None
        self._given += len(read)
        if self._given > self._most:
            raise StatementRefused(f"it unpacks to more than {self._most} bytes, which no statement does")
        buffer[: len(read)] = read
        return len(read)


def unpacked(file: BinaryIO) -> io.BufferedReader:
    """Returns the content of a file that may be packed with gzip, or the one file in a zip.

    Raises StatementRefused.
    """
    packed_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    magic = file.read(len(ZIP_MAGIC))
    file.seek(0)
    if magic.startswith(GZIP_MAGIC):
        return io.BufferedReader(_Bounded(gzip.GzipFile(fileobj=file), packed_bytes))
    if magic == ZIP_MAGIC:
        return io.BufferedReader(_Bounded(_only_entry(file), packed_bytes))
    return io.BufferedReader(_Bounded(file, BYTES_MAX))


def _only_entry(file: BinaryIO) -> BinaryIO:
    try:
        archive = zipfile.ZipFile(file)
        entries = [entry for entry in archive.infolist() if not entry.is_dir() and SUMMARY not in _name(entry)]
        if len(entries) != ENTRIES_MAX:
            raise StatementRefused(f"the zip holds {len(entries)} files; unpack it, and give the one with the lines")
        if entries[0].flag_bits & 1:
            raise StatementRefused("the zip has a password; unpack it, and give the file that is in it")
        return archive.open(entries[0])  # type: ignore[return-value]  # it reads bytes
    except (zipfile.BadZipFile, NotImplementedError, OSError) as error:
        raise StatementRefused(f"the zip cannot be read: {error}; fetch it again") from None


def _name(entry: zipfile.ZipInfo) -> str:
    """Returns an entry's name, which is GBK where the zip does not say that it is UTF-8; zipfile takes it for cp437."""
    return entry.filename if entry.flag_bits & UTF_8 else entry.filename.encode("cp437").decode("gb18030", "replace")
