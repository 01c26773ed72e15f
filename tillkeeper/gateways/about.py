"""Describes a gateway for people: docs/gateways.md is printed from it."""

from importlib.resources import files

import msgspec


class About(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway in words.  Each text is a phrase or a sentence of plain English, without a full stop after a phrase.

    `uncovered` says what of a delivery is not signed, and what protects instead; it is empty where all is signed.
    `refunds_seen` says what an answer about a payment shows of refunds whose webhooks are missing.
    `set_up_with` names the optional settings that a new account should have: what verifies, and what queries need.
    `checked` says what the gateway is tested against: the provider's official package, or documents only.
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
    set_up_with: tuple[str, ...] = ()
    sources: tuple[str, ...]


def setup_guide(name: str) -> str:
    """Returns the `setup.md` of a gateway: what to do in the provider's console, as a numbered list under a title."""
    return (files("tillkeeper.gateways") / name / "setup.md").read_text("utf-8")
