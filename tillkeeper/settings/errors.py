"""Defines the error of settings that cannot be used."""

from collections.abc import Iterable


class BadSettings(Exception):
    """The settings cannot be used; each problem is a readable line that names the key and never its value."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))
