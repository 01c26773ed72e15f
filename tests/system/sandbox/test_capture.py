"""Captured deliveries of all gateways, explained by `tillkeeper inspect` in one call."""

import json

import pytest

from tests.system.commands import tillkeeper
from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.sandbox.simulators.registry import simulator_of

EVERYONE = sorted(GATEWAYS)


@pytest.fixture(scope="module")
async def captured(tmp_path_factory):
    """The directory, and what was said of it."""
    directory = tmp_path_factory.mktemp("captures") / "all"
    ended = await tillkeeper("sandbox", "--capture", directory, "--gateways", "all", "--json")
    assert (ended.code, ended.err) == (0, "")
    return directory, ended.json


@pytest.fixture(scope="module")
async def explained(captured):
    """What inspect says of each file, by the file's name."""
    directory, _ = captured
    files = sorted(directory.glob("*.json"))
    ended = await tillkeeper("inspect", "--config", directory / "tillkeeper.toml", "--json", *files)
    assert (ended.code, ended.err) == (1, "")  # some are forged
    return dict(zip((file.stem for file in files), map(json.loads, ended.out.splitlines()), strict=True))


async def test_each_gateway_wrote_genuine_deliveries_and_forged_ones(captured):
    directory, told = captured
    assert sorted(told["files"]) == sorted(map(str, directory.glob("*.json")))
    assert told["config"] == str(directory / "tillkeeper.toml")
    for name in EVERYONE:
        assert list(directory.glob(f"{name}.genuine.*.json"))
        assert list(directory.glob(f"{name}.forged.*.json")) or simulator_of(name).impostor is None
    assert directory.stat().st_mode & 0o777 == 0o700


async def test_what_is_genuine_is_verified_and_what_is_forged_is_not(explained):
    for name, found in explained.items():
        if ".invented" not in name:  # nobody can tell that by itself
            assert found["verified"] is (".genuine." in name), (name, found["reason"])
        assert found["verified"] is (found["reason"] is None)
        assert found["verified"] or not found["events"]


async def test_of_each_gateway_it_is_told_what_was_paid_or_what_is_asked(explained):
    for name in EVERYONE:
        simulator = simulator_of(name)
        told = [found for stem, found in explained.items() if stem.startswith(f"{name}.genuine.")]
        assert any(row["kind"] == "payment.succeeded" for found in told for row in found["events"]) or simulator.fetched
        assert any("fetches" in found for found in told) or not simulator.fetched


async def test_each_file_is_explained_to_people_and_what_nobody_signed_is_not_called_verified(captured, explained):
    directory, _ = captured
    files = sorted(directory.glob("*.json"))
    ended = await tillkeeper("inspect", "--config", directory / "tillkeeper.toml", *files)
    assert (ended.code, ended.err) == (1, "")
    heads = [line for line in ended.out.splitlines() if not line.startswith(" ")]
    for file, head in zip(files, heads, strict=True):
        found = explained[file.stem]
        proof = "verified" if found.get("proven", True) else "nothing is signed"
        assert head.startswith(f"{file}: {proof if found['verified'] else 'NOT verified'}")
    assert "the gateway is asked about a payment: " in ended.out


async def test_for_people_it_says_how_to_look_at_them(tmp_path):
    ended = await tillkeeper("sandbox", "--capture", tmp_path / "c", "--gateways", "stripe")
    assert ended.code == 0
    assert f"tillkeeper inspect --config {tmp_path}/c/tillkeeper.toml {tmp_path}/c/*.json" in ended.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--gateways", "paypall"), "no gateway 'paypall'; there are: adyen, alipay, "),
        (("--up",), "plays nothing"),
        (("--scenario", "lossy-day"), "plays nothing"),
    ],
)
async def test_wrong_usage_is_said_plainly(tmp_path, arguments, said):
    ended = await tillkeeper("sandbox", "--capture", tmp_path / "c", *arguments)
    assert ended.code == 2
    assert said in ended.err
    assert not (tmp_path / "c").exists()


async def test_a_place_that_cannot_be_written_to_is_said_plainly(tmp_path):
    (tmp_path / "file").touch()
    ended = await tillkeeper("sandbox", "--capture", tmp_path / "file" / "c")
    assert ended.code == 2
    assert "cannot be written to: Not a directory" in ended.err


async def test_nothing_that_is_there_is_written_over_unless_that_is_wanted(tmp_path):
    (tmp_path / "tillkeeper.toml").write_text("mine")
    capture = ("sandbox", "--capture", tmp_path, "--gateways", "stripe")
    ended = await tillkeeper(*capture)
    assert ended.code == 2
    assert f"{tmp_path}/tillkeeper.toml is there already" in ended.err
    assert [each.name for each in tmp_path.iterdir()] == ["tillkeeper.toml"]
    assert (tmp_path / "tillkeeper.toml").read_text() == "mine"
    assert (await tillkeeper(*capture, "--force")).code == 0
    assert "[accounts." in (tmp_path / "tillkeeper.toml").read_text()


async def test_no_file_of_any_sort_is_written_over(tmp_path):
    await tillkeeper("sandbox", "--capture", tmp_path / "all", "--gateways", "stripe")
    names = [each.name for each in (tmp_path / "all").iterdir()]
    assert any("secret" in name for name in names)
    for name in names:
        mine = tmp_path / f"of {name}" / name
        mine.parent.mkdir()
        mine.symlink_to("nowhere")
        ended = await tillkeeper("sandbox", "--capture", mine.parent, "--gateways", "stripe")
        assert (ended.code, f"{mine} is there already" in ended.err) == (2, True)
        assert [*mine.parent.iterdir()] == [mine]
