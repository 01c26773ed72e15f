"""What an upgrade says while it runs."""

import pytest

from tillkeeper.cli.upgrade_progress import Lines, part_of, step_of
from tillkeeper.store.schema.files import parse_migration
from tillkeeper.store.schema.upgrading import UpgradeProgress

MIGRATION = parse_migration(
    "0003_colour.sql",
    "-- Orders have a colour.\n-- oldest program: 2\n-- step: transaction\nALTER TABLE orders ADD COLUMN colour text;\n"
    "-- step: batches of 10 over orders.id\nUPDATE orders SET colour = 'grey' WHERE id > $1 AND id <= $2;\n",
)


def at(step, done=0, total=0, waits_for=""):
    return UpgradeProgress(migration=MIGRATION, step=step, done=done, total=total, waits_for=waits_for)


@pytest.mark.parametrize(
    ("done", "took_s", "told"),
    [
        (at(1, 55, 100), 90, "55 %, about 1m left"),
        (at(1, 1, 1000), 60, "0 %, about 16h 39m left"),
        (at(1, 0, 100), 5, "0 %"),
        (at(0), 12, "under way for 12 s"),
    ],
)
def test_how_far_a_step_is_and_how_long_the_rest_takes(done, took_s, told):
    assert part_of(done, took_s) == told


def test_each_step_is_told_once_and_what_it_waits_for_each_time(capsys):
    lines = Lines()
    for done in (at(0), at(0, waits_for="process 7"), at(0, waits_for="process 7"), at(1), at(1, 1, 100)):
        lines.tell(done)
    waits = "  waits for process 7"
    assert capsys.readouterr().err.splitlines() == [step_of(at(0)), waits, waits, step_of(at(1))]
    assert step_of(at(1)) == "0003 colour, step 2 of 2: batches of 10 over orders.id"
