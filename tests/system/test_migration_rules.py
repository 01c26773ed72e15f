"""No migration since 0.1.0 holds others up for long or breaks the release before, say squawk and a few rules of ours.

A migration that shuts older programs out (its `oldest program` rises) contracts: it alone may take away or rename.
"""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.releases.kept import unpack_release
from tillkeeper.store.schema.files import migrations, parse_migration, read_migrations

LAST_BEFORE_RULES = 2  # nobody served 0.1.0's schema while it was made
RUNNER_SEES_TO_IT = ("require-lock-timeout", "require-statement-timeout")
CAN_BE_CUT_OFF = (
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS",
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS",
    "DROP INDEX CONCURRENTLY IF EXISTS",
)
BREAK_THE_RELEASE_BEFORE = (
    *("renaming-column", "renaming-table", "ban-drop-column", "ban-drop-table", "adding-required-field"),
    *("adding-not-nullable-field", "changing-column-type"),
)


def problems_of(migration, before):
    contracts = migration.oldest_program > before.oldest_program
    excluded = (*RUNNER_SEES_TO_IT, *(BREAK_THE_RELEASE_BEFORE if contracts else ()))
    return [problem for step in migration.steps for problem in (*squawk(step, excluded), *own_rules(step))]


def squawk(step, excluded):
    command = [
        Path(sys.executable).with_name("squawk"),
        *("--pg-version", "15", "--reporter", "json", "--stdin-filepath", "migration.sql"),
        *("--exclude", ",".join(excluded)),
        *(["--assume-in-transaction"] if step.kind != "alone" else []),
    ]
    told = subprocess.run(command, input=step.sql, capture_output=True, text=True, check=False)
    assert told.stdout, told.stderr
    return [f"{found['rule_name']}: {found['message']}" for found in json.loads(told.stdout)]


def own_rules(step):
    words = step.sql.upper()
    if step.kind == "alone" and not words.startswith(CAN_BE_CUT_OFF):
        yield "alone: only an index, concurrently and IF (NOT) EXISTS, can be cut off and run again"
    if step.kind == "batches" and f"{step.key} > $1 AND {step.key} <= $2".upper() not in words:
        yield f"batches: the statement is about {step.key} > $1 AND {step.key} <= $2"
    if step.kind == "transaction" and words.startswith(("UPDATE", "DELETE", "INSERT")):
        yield "transaction: rows are changed in batches"
    if step.kind == "transaction" and "VALIDATE CONSTRAINT" in words and words.count(";") > 1:
        yield "transaction: a constraint is validated in a step of its own, or all wait for it"


def test_no_migration_holds_others_up_or_breaks_the_release_before():
    for before, migration in itertools.pairwise(migrations()[LAST_BEFORE_RULES - 1 :]):
        assert problems_of(migration, before) == [], migration


def test_the_release_before_may_serve_what_an_upgrade_leaves(tmp_path):
    released = read_migrations(unpack_release(tmp_path) / "migrations")
    assert migrations()[-1].oldest_program <= released[-1].version


def a_migration(steps, *, oldest=2):
    return parse_migration("0003_x.sql", f"-- X.\n-- oldest program: {oldest}\n{steps}")


GOOD = """-- step: transaction
ALTER TABLE orders ADD COLUMN colour text;
-- step: batches of 2000 over orders.id
UPDATE orders SET colour = 'grey' WHERE id > $1 AND id <= $2;
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_colour ON orders (colour);
-- step: transaction
ALTER TABLE orders ADD CONSTRAINT colour_known CHECK (colour IN ('grey')) NOT VALID;
-- step: transaction
ALTER TABLE orders VALIDATE CONSTRAINT colour_known;
"""


ADD_CHECK = "ALTER TABLE orders ADD CONSTRAINT x CHECK (version > 0)"


def test_what_expands_step_by_step_is_fine():
    assert problems_of(a_migration(GOOD), migrations()[1]) == []


@pytest.mark.parametrize(
    ("step", "rule"),
    [
        ("transaction\nCREATE INDEX orders_x ON orders (status);", "require-concurrent-index-creation"),
        ("transaction\nALTER TABLE orders ADD COLUMN x text NOT NULL;", "adding-required-field"),
        ("transaction\nALTER TABLE orders ALTER COLUMN ask_at SET NOT NULL;", "adding-not-nullable-field"),
        (f"transaction\n{ADD_CHECK};", "constraint-missing-not-valid"),
        ("transaction\nALTER TABLE orders RENAME COLUMN phase TO stage;", "renaming-column"),
        ("transaction\nALTER TABLE orders DROP COLUMN phase;", "ban-drop-column"),
        ("transaction\nDROP TABLE hints;", "ban-drop-table"),
        ("transaction\nALTER TABLE orders ALTER COLUMN status TYPE varchar(9);", "changing-column-type"),
        ("transaction\nUPDATE orders SET status = 'paid';", "rows are changed in batches"),
        ("alone\nCREATE INDEX CONCURRENTLY orders_x ON orders (status);", "IF (NOT) EXISTS"),
        ("alone\nVACUUM orders;", "IF (NOT) EXISTS"),
        ("batches of 10 over orders.id\nUPDATE orders SET status = 'paid' WHERE id < $2;", "id > $1"),
        (f"transaction\n{ADD_CHECK} NOT VALID;\nALTER TABLE orders VALIDATE CONSTRAINT x;", "a step of its own"),
    ],
)
def test_what_is_dangerous_is_found(step, rule):
    assert any(rule in problem for problem in problems_of(a_migration(f"-- step: {step}\n"), migrations()[1]))


def test_what_contracts_may_take_away():
    drop = a_migration("-- step: transaction\nALTER TABLE orders DROP COLUMN phase;\n", oldest=3)
    assert problems_of(drop, migrations()[1]) == []


def test_what_a_release_brought_stays_as_it_was(tmp_path):
    """A database has run it, and a change would reach none.  Until the first release is cut: `make keep`."""
    released = read_migrations(unpack_release(tmp_path) / "migrations")
    assert [migration.checksum for migration in migrations()[: len(released)]] == [each.checksum for each in released]
