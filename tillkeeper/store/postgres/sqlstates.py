"""Classifies database errors by SQLSTATE, and says what each class calls for.

    data        bad values: the batch is split until the bad event is found, and that one is parked
    ours        a bug in a statement: likewise, for a bug that one event triggers must not hold up the others
    contention  other transactions, or the size: split; what still fails is set aside for later; nothing is parked
    outage      the server or its configuration: wait for as long as it takes; nothing is parked

Nothing here reads a server's messages: those are in the language of its `lc_messages`.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import asyncpg


class WriteConflict(Exception):
    """Another transaction wrote first what this one took for new; repeat the whole transaction."""


class UnsafeDatabase(Exception):
    """The server is configured so that it may lose committed data."""


class ReadOnlyDatabase(Exception):
    """The server takes no writes at present."""


class SchemaUnfit(Exception):
    """The database has no schema that this program may serve."""


class SchemaMissing(SchemaUnfit):
    """The database has no schema at all."""


class NotReplicated(Exception):
    """The wait for the standby was cancelled: it is committed on this server, and perhaps on no other."""


class DatabaseFault(StrEnum):
    """The cause of a failure; the module's docstring says what each calls for."""

    DATA = "data"
    OURS = "ours"
    CONTENTION = "contention"
    OUTAGE = "outage"


# The database is unavailable, restarting, full or misconfigured, or it refuses a statement.
DATABASE_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # "cannot switch to state", seen when a server is killed
    OSError,
    TimeoutError,
    UnsafeDatabase,
    ReadOnlyDatabase,
    SchemaUnfit,  # somebody must upgrade the database, or the program
    NotReplicated,
)

# By class, the first two characters.  A class that is not here is ours.
CLASSES: Final[Mapping[str, DatabaseFault]] = MappingProxyType(
    {
        "01": DatabaseFault.OURS,  # warnings are no errors
        "02": DatabaseFault.OURS,  # no data
        "03": DatabaseFault.OURS,  # statement not yet complete
        "08": DatabaseFault.OUTAGE,  # connection exceptions
        "09": DatabaseFault.DATA,  # triggered action
        "0A": DatabaseFault.OURS,  # feature not supported
        "0B": DatabaseFault.OURS,  # invalid transaction initiation
        "21": DatabaseFault.DATA,  # cardinality: two rows where there must be one
        "22": DatabaseFault.DATA,  # wrong values
        "23": DatabaseFault.DATA,  # broken constraints
        "25": DatabaseFault.OURS,  # invalid transaction state
        "26": DatabaseFault.OUTAGE,  # a prepared statement is gone: a pooler stands between, and changes servers
        "28": DatabaseFault.OUTAGE,  # the login is refused: somebody must change the configuration
        "3D": DatabaseFault.OUTAGE,  # there is no such database
        "3F": DatabaseFault.OUTAGE,  # nor such a schema: it is not created yet
        "40": DatabaseFault.CONTENTION,  # rolled back because of another transaction
        "44": DatabaseFault.DATA,  # WITH CHECK OPTION
        "53": DatabaseFault.CONTENTION,  # insufficient resources
        "54": DatabaseFault.DATA,  # a value beyond a limit of the program's, such as an index row that is too long
        "55": DatabaseFault.CONTENTION,  # not in the state that is needed, mostly in use
        "57": DatabaseFault.OUTAGE,  # operator intervention
        "58": DatabaseFault.OUTAGE,  # errors of the system under it, such as of its disk
        "F0": DatabaseFault.OUTAGE,  # its configuration file
        "HV": DatabaseFault.OURS,  # foreign data wrappers
        "P0": DatabaseFault.DATA,  # raised by a function or a trigger
        "XX": DatabaseFault.OURS,  # internal errors, such as a damaged row
    }
)

# Single states that differ from their class.
STATES: Final[Mapping[str, DatabaseFault]] = MappingProxyType(
    {
        "25006": DatabaseFault.OUTAGE,  # read-only: a standby, or a primary that was made one
        "25P03": DatabaseFault.CONTENTION,  # idle_in_transaction_session_timeout: a smaller batch waits less
        "25P04": DatabaseFault.CONTENTION,  # transaction_timeout, likewise
        "42501": DatabaseFault.OUTAGE,  # a right is missing: somebody must grant it
        "42703": DatabaseFault.OUTAGE,  # a column is missing: the schema is not of this version yet
        "42883": DatabaseFault.OUTAGE,  # a function is, likewise
        "42P01": DatabaseFault.OUTAGE,  # a table is, likewise
        "42P05": DatabaseFault.OUTAGE,  # a prepared statement is there already: something stands between, as for 26000
        "53100": DatabaseFault.OUTAGE,  # the disk is full
        "53300": DatabaseFault.OUTAGE,  # too many connections
        "55000": DatabaseFault.OUTAGE,  # not in the state that is needed: recovery is in progress
        "57014": DatabaseFault.CONTENTION,  # statement_timeout, or somebody cancelled it
    }
)

# Where PostgreSQL hands out transaction and multixact ids: that they are used up has the state of a limit passed.
ID_SOURCES: Final = frozenset({"varsup.c", "multixact.c"})
PROGRAM_LIMIT: Final = "54000"


def fault_of(error: BaseException) -> DatabaseFault:
    """Returns the cause of an error."""
    if isinstance(error, asyncpg.PostgresError):
        return _fault_of_state(str(error.sqlstate), str(error.server_source_filename))
    return DatabaseFault.OUTAGE if isinstance(error, DATABASE_ERRORS) else DatabaseFault.OURS


def _fault_of_state(state: str, source: str) -> DatabaseFault:
    if state == PROGRAM_LIMIT and source in ID_SOURCES:
        return DatabaseFault.OUTAGE
    return STATES.get(state) or CLASSES.get(state[:2], DatabaseFault.OURS)


def is_outage(error: BaseException) -> bool:
    """Returns True where only a change from outside lets the same work succeed."""
    return fault_of(error) is DatabaseFault.OUTAGE


def is_contention(error: BaseException) -> bool:
    """Returns True where less of the same work, or the same work later, can succeed."""
    return fault_of(error) is DatabaseFault.CONTENTION


def is_passing(error: BaseException) -> bool:
    """Returns True where nothing is wrong with the work itself."""
    return fault_of(error) in {DatabaseFault.OUTAGE, DatabaseFault.CONTENTION}


def condemns_peers(error: BaseException) -> bool:
    """Returns True where other connections of the pool are probably useless too: dead, cut off, or read-only."""
    if isinstance(error, asyncpg.PostgresError):
        state = str(error.sqlstate)
        return state[:2] == "08" or state in {"25006", "57P01", "57P02", "57P03"}
    return isinstance(error, TimeoutError | OSError)
