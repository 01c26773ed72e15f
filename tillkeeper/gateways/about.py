"""What people are told of a gateway: docs/gateways.md is printed from it."""

from inspect import cleandoc

import msgspec


class About(msgspec.Struct, frozen=True, kw_only=True):
    """One gateway in words.  Each text is a phrase or a sentence of plain English, without a full stop behind a phrase.

    `uncovered` tells what a delivery says that nothing signs, and what protects instead; empty where all is signed.
    `checked` tells against what the file is tested: the provider's official package, or documents only.
    `setup` are about ten steps, a line each, for whoever sets the gateway up in the provider's console; a line that is
    indented goes on with the one before.
    """

    title: str
    title_zh: str = ""
    verifies: str
    uncovered: str = ""
    dedupes_by: str
    acknowledges: str
    queries: str = ""
    checked: str
    sources: tuple[str, ...]
    setup: str

    @property
    def steps(self) -> list[str]:
        """The steps of `setup`."""
        return cleandoc(self.setup).replace("\n  ", " ").splitlines()
