"""What people are told of a gateway: docs/gateways.md is printed from it."""

from importlib.resources import files

import msgspec


class About(msgspec.Struct, frozen=True, kw_only=True):
    """One gateway in words.  Each text is a phrase or a sentence of plain English, without a full stop behind a phrase.

    `uncovered` tells what a delivery says that nothing signs, and what protects instead; empty where all is signed.
    `refunds_seen` is what an answer about a payment tells of refunds that no webhook told of.
    `checked` tells against what the gateway is tested: the provider's official package, or documents only.
    """

    title: str
    title_zh: str = ""
    verifies: str
    uncovered: str = ""
    dedupes_by: str
    acknowledges: str
    queries: str = ""
    refunds_seen: str
    checked: str
    sources: tuple[str, ...]


def setup_guide(name: str) -> str:
    """The `setup.md` of a gateway: what to do in the provider's console, as a numbered list under a title."""
    return (files("tillkeeper.gateways") / name / "setup.md").read_text("utf-8")
