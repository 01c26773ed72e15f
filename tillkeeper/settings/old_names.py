"""Sections that have another name now: the old one is still read, and the start says so."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

RENAMED: Final = {"ask": "api_client"}


def new_name(section: str) -> str:
    """The section's name as it is now."""
    return RENAMED.get(section, section)


def by_new_names(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with its sections under the names that they have now."""
    return {new_name(name): value for name, value in tree.items()}


def contradictions(sections: Iterable[str]) -> list[str]:
    """A line for each section that is there under both its names."""
    given = set(sections)
    return [
        f"[{old}] and [{new}] are one section: keep [{new}] alone"
        for old, new in RENAMED.items()
        if {old, new} <= given
    ]
