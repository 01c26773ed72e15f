"""What a migration's file says, and which program may serve which schema."""

import pytest

from tillkeeper.store.postgres.sqlstates import SchemaMissing
from tillkeeper.store.schema.files import BadMigration, migrations, newest_version, parse_migration, read_migrations
from tillkeeper.store.schema.versions import SchemaVersion, unfitness

TEXT = """-- Orders have a colour.
-- oldest program: 2
-- step: transaction
ALTER TABLE orders ADD COLUMN colour text;
-- step: alone
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_colour ON orders (colour);
-- step: batches of 5000 over orders.id
UPDATE orders SET colour = 'grey' WHERE id > $1 AND id <= $2;
"""


def test_a_file_is_read_into_its_steps():
    migration = parse_migration("0003_colour.sql", TEXT)
    assert (migration.version, migration.name, migration.title) == (3, "colour", "Orders have a colour.")
    assert migration.oldest_program == 2
    assert [str(step) for step in migration.steps] == [
        "ALTER TABLE orders ADD COLUMN colour text;",
        "index orders_colour, concurrently",
        "batches of 5000 over orders.id",
    ]
    assert {table for step in migration.steps for table in step.tables} == {"orders"}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("colour.sql", TEXT),
        ("0003_colour.sql", TEXT.replace("-- oldest program: 2\n", "")),
        ("0003_colour.sql", TEXT.replace("-- step: alone", "-- step: at night")),
        ("0003_colour.sql", TEXT.partition("-- step")[0]),
    ],
)
def test_a_file_of_another_form_is_refused(file, text):
    with pytest.raises(BadMigration, match=file):
        parse_migration(file, text)


def test_a_gap_in_the_numbers_is_refused(tmp_path):
    (tmp_path / "0003_colour.sql").write_text(TEXT)
    with pytest.raises(BadMigration, match="without a gap"):
        read_migrations(tmp_path)


def test_no_migration_lets_an_older_program_back_in():
    oldest = [migration.oldest_program for migration in migrations()]
    assert oldest == sorted(oldest)
    assert all(migration.oldest_program <= migration.version for migration in migrations())
    assert newest_version() == len(oldest)


@pytest.mark.parametrize(
    ("found", "made_for", "why"),
    [
        (SchemaVersion(5, 3), 5, None),
        (SchemaVersion(5, 3), 3, None),  # the release before, after the upgrade
        (SchemaVersion(5, 3, unfinished=6), 5, None),
        (SchemaVersion(5, 3), 6, "needs 6; run `tillkeeper db upgrade`"),
        (SchemaVersion(5, 3, unfinished=6), 6, "needs 6; run `tillkeeper db upgrade`"),
        (SchemaVersion(5, 4), 3, "install a later Tillkeeper"),
        (SchemaVersion(5, 6, unfinished=6), 5, "version 6, which only programs made for 6 or later may serve"),
        (SchemaVersion(1, counted=False), 2, "run `tillkeeper db upgrade`"),
        (SchemaVersion(1, counted=False), 1, "run `tillkeeper db upgrade`"),
        (SchemaVersion(0), 2, "run `tillkeeper db init`"),
    ],
)
def test_who_may_serve_what(found, made_for, why):
    unfit = unfitness(found, made_for=made_for)
    assert (unfit is None) == (why is None)
    if why is not None:
        assert why in str(unfit)
    assert isinstance(unfit, SchemaMissing) == (found.version == 0)
