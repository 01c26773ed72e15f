"""Reads schema.sql and the files of migrations/ into steps.

A migration is `NNNN_name.sql`: a title, which programs may serve what it leaves, and one step or several.

    -- What changes, and why.
    -- oldest program: 2
    -- step: transaction
    ALTER TABLE orders ADD COLUMN colour text;
    -- step: alone
    CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_colour ON orders (colour);
    -- step: batches of 5000 over orders.id
    UPDATE orders SET colour = 'grey' WHERE id > $1 AND id <= $2;

    transaction    its statements commit together, and wait for a lock for no longer than LOCK_WAIT_S
    alone          one statement that can stand in no transaction, and stops nobody: indexes, concurrently
    batches        the statement once for each span of keys, in a transaction each
"""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from textwrap import shorten
from typing import Final, Literal

import msgspec

import tillkeeper

STATEMENT_CHARS: Final = 60  # of a step's first words, where people read them
PACKAGE: Final = Path(tillkeeper.__file__).parent
_FILE: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_OLDEST: Final = re.compile(r"^-- oldest program: (\d+)$", re.MULTILINE)
_STEP: Final = re.compile(r"^-- step: (.+)$\n", re.MULTILINE)
_BATCHES: Final = re.compile(r"batches of (\d+) over (\w+)\.(\w+)")
_COMMENT: Final = re.compile(r"--[^\n]*")
_TABLES: Final = re.compile(r"(?:ALTER TABLE|UPDATE|\bON) (\w+)")
_INDEX: Final = re.compile(r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS (\w+)")


class BadMigration(Exception):
    """A migration's file does not have the form that this page says."""


class MigrationStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a migration: how it is run, and its SQL."""

    kind: Literal["transaction", "alone", "batches"]
    sql: str
    batch_keys: int = 0
    table: str = ""  # of batches, whose keys are walked
    key: str = ""

    @property
    def tables(self) -> frozenset[str]:
        """Returns the tables that it changes, as far as its text shows."""
        return frozenset({self.table} if self.table else _TABLES.findall(self.sql))

    @property
    def index(self) -> str | None:
        """Returns the index that a step of its own creates."""
        found = _INDEX.search(self.sql) if self.kind == "alone" else None
        return found[1] if found else None

    def __str__(self) -> str:
        if self.kind == "batches":
            return f"batches of {self.batch_keys} over {self.table}.{self.key}"
        if self.index:
            return f"index {self.index}, concurrently"
        return shorten(_COMMENT.sub("", self.sql), width=STATEMENT_CHARS, placeholder=" ...")


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One file of migrations/."""

    version: int
    name: str
    title: str
    oldest_program: int  # the schema that the oldest program was made for that may serve the schema it leaves
    checksum: str
    steps: tuple[MigrationStep, ...]

    def __str__(self) -> str:
        return f"{self.version:04} {self.name}"


@cache
def migrations() -> tuple[Migration, ...]:
    """Returns all that this program brings, in order.  Raises BadMigration."""
    return read_migrations(_packaged("migrations"))


def newest_version() -> int:
    """Returns the version of the schema that this program was made for."""
    return migrations()[-1].version


def schema_sql() -> str:
    """Returns the text of schema.sql."""
    return _packaged("schema.sql").read_text()


def read_migrations(directory: Path) -> tuple[Migration, ...]:
    """Returns the migrations of a directory, which are numbered from 1 without a gap.  Raises BadMigration."""
    found = [parse_migration(path.name, path.read_text()) for path in sorted(directory.glob("*.sql"))]
    if not found or [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise BadMigration(f"{directory}: the files are not numbered 0001, 0002, ... without a gap")
    return tuple(found)


def parse_migration(file: str, text: str) -> Migration:
    """Raises BadMigration."""
    named, oldest = _FILE.fullmatch(file), _OLDEST.search(text)
    head, *parts = _STEP.split(text)
    if named is None or oldest is None or not text.startswith("-- ") or not parts:
        raise BadMigration(f"{file}: wanted are NNNN_name.sql, a title, `-- oldest program: N` and `-- step: ...`")
    return Migration(
        version=int(named[1]),
        name=named[2],
        title=head.splitlines()[0].removeprefix("-- "),
        oldest_program=int(oldest[1]),
        checksum=hashlib.sha256(text.encode()).hexdigest(),
        steps=tuple(_step(file, kind, sql) for kind, sql in zip(parts[::2], parts[1::2], strict=True)),
    )


def _step(file: str, kind: str, sql: str) -> MigrationStep:
    if kind in {"transaction", "alone"}:
        return MigrationStep(kind="transaction" if kind == "transaction" else "alone", sql=sql.strip())
    if (batches := _BATCHES.fullmatch(kind)) is None:
        raise BadMigration(f"{file}: a step is `transaction`, `alone` or `batches of N over table.key`, not `{kind}`")
    return MigrationStep(kind="batches", sql=sql.strip(), batch_keys=int(batches[1]), table=batches[2], key=batches[3])


def left_to_do(known: Sequence[Migration], done: int) -> list[Migration]:
    """Returns what follows the version that is done."""
    return [migration for migration in known if migration.version > done]


def _packaged(name: str) -> Path:
    """Returns a file of the package or, in a checkout, of the top level."""
    packaged = PACKAGE / name
    return packaged if packaged.exists() else PACKAGE.parent / name
