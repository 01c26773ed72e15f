"""Reads sections under their former names: these still work, and are logged at start."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

RENAMED: Final = {"ask": "api_client"}


def new_name(section: str) -> str:
    """Returns the section's present name."""
    return RENAMED.get(section, section)


def by_new_names(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Renames the tree's sections to their present names."""
    return {new_name(name): value for name, value in tree.items()}


def contradictions(sections: Iterable[str]) -> list[str]:
    """Returns a line for each section that is given under both its names."""
    given = set(sections)
    return [
        f"[{old}] and [{new}] are one section: keep [{new}] alone"
        for old, new in RENAMED.items()
        if {old, new} <= given
    ]
