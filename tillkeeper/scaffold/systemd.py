"""Writes the units of systemd with the paths of a plan."""

from pathlib import Path
from typing import Final

from tillkeeper.packaged import packaged
from tillkeeper.scaffold.plan import File, ScaffoldPlan

PROGRAM: Final = "/opt/tillkeeper/bin/tillkeeper"  # as the units say it
DIRECTORY: Final = "/etc/tillkeeper"
HOMES: Final = ("/home", "/root", "/run/user")  # which units do not see


def units(plan: ScaffoldPlan) -> list[File]:
    """Returns the units."""
    return [
        File(path=plan.directory / "systemd" / unit.name, text=_with_paths(unit.read_text(), plan))
        for unit in sorted(packaged("systemd").iterdir())
    ]


def remarks(plan: ScaffoldPlan) -> list[str]:
    """Returns what stands in the way of the units."""
    return [
        f"{path} lies in a home, which a unit does not see: {advice}"
        for path, advice in (
            (plan.program, "install Tillkeeper elsewhere (python3 -m venv /opt/tillkeeper), and run init from there"),
            (plan.directory, f"write to {DIRECTORY}"),
        )
        if any(path.is_relative_to(home) for home in map(Path, HOMES))
    ]


def _with_paths(text: str, plan: ScaffoldPlan) -> str:
    return text.replace(PROGRAM, _escaped(plan.program)).replace(DIRECTORY, _escaped(plan.directory))


def _escaped(path: Path) -> str:
    """Returns a path as units write it: what begins with a percent sign is theirs."""
    return str(path).replace("%", "%%")
