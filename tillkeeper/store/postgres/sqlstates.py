"""Whose fault it is when the database refuses: a table of SQLSTATEs, and what each fault calls for.

    data        the values: the batch is split until the bad one is found, and that one is parked
    ours        the statement: likewise, for a fault of ours that one event brings out must not hold up the others
    contention  others, or the size: split, smaller; what still cannot be done is set aside for later; nothing parked
    outage      the server, or how it is set up: wait for as long as it takes; nothing is parked

Nothing here reads a server's sentences: those are in the language of its `lc_messages`.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import asyncpg


class WriteConflict(Exception):
    """Another transaction wrote first what this one took for new.  Repeat the whole transaction."""


class UnsafeDatabase(Exception):
    """The server is set up so that it may lose what it said was committed."""


class ReadOnlyDatabase(Exception):
    """The server takes no writes at present."""


class SchemaUnfit(Exception):
    """The database has no schema that this program may serve."""


class SchemaMissing(SchemaUnfit):
    """The database has no schema at all."""


class NotReplicated(Exception):
    """Somebody cancelled the wait for the standby: it is committed on this server, and not known to be on another."""


class Fault(StrEnum):
    """Whose fault a failure is; the head of this page says what each calls for."""

    DATA = "data"
    OURS = "ours"
    CONTENTION = "contention"
    OUTAGE = "outage"


# The database is out of reach, restarting, full or misconfigured, or it refuses what it was given.
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
CLASSES: Final[Mapping[str, Fault]] = MappingProxyType(
    {
        "01": Fault.OURS,  # warnings are no errors
        "02": Fault.OURS,  # no data
        "03": Fault.OURS,  # statement not yet complete
        "08": Fault.OUTAGE,  # connection exceptions
        "09": Fault.DATA,  # triggered action
        "0A": Fault.OURS,  # feature not supported
        "0B": Fault.OURS,  # invalid transaction initiation
        "21": Fault.DATA,  # cardinality: two rows where there must be one
        "22": Fault.DATA,  # wrong values
        "23": Fault.DATA,  # broken constraints
        "25": Fault.OURS,  # invalid transaction state
        "26": Fault.OUTAGE,  # a prepared statement is gone: something stands between, and changes servers under us
        "28": Fault.OUTAGE,  # who we are is refused: somebody must change the configuration
        "3D": Fault.OUTAGE,  # there is no such database
        "3F": Fault.OUTAGE,  # nor such a schema: it is not created yet
        "40": Fault.CONTENTION,  # rolled back for another's sake
        "44": Fault.DATA,  # WITH CHECK OPTION
        "53": Fault.CONTENTION,  # insufficient resources
        "54": Fault.DATA,  # a value beyond a limit of the program's, such as an index row that is too long
        "55": Fault.CONTENTION,  # not in the state that is needed, mostly in use
        "57": Fault.OUTAGE,  # operator intervention
        "58": Fault.OUTAGE,  # errors of the system under it, such as of its disk
        "F0": Fault.OUTAGE,  # its configuration file
        "HV": Fault.OURS,  # foreign data wrappers
        "P0": Fault.DATA,  # raised by a function or a trigger
        "XX": Fault.OURS,  # internal errors, such as a damaged row
    }
)

# Single states that differ from their class.
STATES: Final[Mapping[str, Fault]] = MappingProxyType(
    {
        "25006": Fault.OUTAGE,  # read-only: a standby, or a primary that was made one
        "25P03": Fault.CONTENTION,  # idle_in_transaction_session_timeout: a smaller batch keeps it waiting for less
        "25P04": Fault.CONTENTION,  # transaction_timeout, likewise
        "42501": Fault.OUTAGE,  # a right is missing: somebody must grant it
        "42703": Fault.OUTAGE,  # a column is missing: the schema is not of this version yet
        "42883": Fault.OUTAGE,  # a function is, likewise
        "42P01": Fault.OUTAGE,  # a table is, likewise
        "42P05": Fault.OUTAGE,  # a prepared statement is there already: something stands between, as for 26000
        "53100": Fault.OUTAGE,  # the disk is full
        "53300": Fault.OUTAGE,  # too many connections
        "55000": Fault.OUTAGE,  # not in the state that is needed: recovery is in progress
        "57014": Fault.CONTENTION,  # statement_timeout, or somebody cancelled it
    }
)

# Where PostgreSQL hands out transaction and multixact ids: that they are used up has the state of a limit passed.
ID_SOURCES: Final = frozenset({"varsup.c", "multixact.c"})
PROGRAM_LIMIT: Final = "54000"


def fault_of(error: BaseException) -> Fault:
    """Whose fault it is."""
    if isinstance(error, asyncpg.PostgresError):
        return _fault_of_state(str(error.sqlstate), str(error.server_source_filename))
    return Fault.OUTAGE if isinstance(error, DATABASE_ERRORS) else Fault.OURS


def _fault_of_state(state: str, source: str) -> Fault:
    if state == PROGRAM_LIMIT and source in ID_SOURCES:
        return Fault.OUTAGE
    return STATES.get(state) or CLASSES.get(state[:2], Fault.OURS)


def is_outage(error: BaseException) -> bool:
    """True where the world has to change before the same work can succeed."""
    return fault_of(error) is Fault.OUTAGE


def is_contention(error: BaseException) -> bool:
    """True where less of the same work, or the same work later, can succeed."""
    return fault_of(error) is Fault.CONTENTION


def is_passing(error: BaseException) -> bool:
    """True where nothing is wrong with the work itself."""
    return fault_of(error) in {Fault.OUTAGE, Fault.CONTENTION}


def condemns_peers(error: BaseException) -> bool:
    """True where other connections of the same pool are as likely to be of no use: dark, cut off, or read-only."""
    if isinstance(error, asyncpg.PostgresError):
        state = str(error.sqlstate)
        return state[:2] == "08" or state in {"25006", "57P01", "57P02", "57P03"}
    return isinstance(error, TimeoutError | OSError)
