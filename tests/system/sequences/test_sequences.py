"""Sequences of deliveries, answers and waiting, each a file, and what every order must be in the end."""

from pathlib import Path

import pytest

from tests.system.sequences.replaying import played, sequences

HERE = Path(__file__).parent
ALL = [
    (f"{folder.name}/{name}", told)
    for folder in sorted(HERE.iterdir())
    if folder.is_dir()
    for name, told in sequences(folder)
]


@pytest.mark.parametrize("told", [told for _, told in ALL], ids=[name for name, _ in ALL])
async def test_an_order_ends_as_it_must(told, pool, tmp_path):
    became, expected = await played(told, pool, tmp_path)
    assert became == expected, told.get("note", "")
