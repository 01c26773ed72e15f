"""Refuses signed texts `name=value&name=value` that could be split into other fields with the same signature.

    signed   a=1&note=x&pay=2&sum=3           note is text that its writer chose
    also     a=1 · note=x&pay=2 · sum=3       a field hidden in the value before it
    also     a=1 · note=x · pay=2&sum=3       and one made of what stood in a value

A name may hold neither `&` nor `=`, so that every field begins at some `&name=`.  Where each `&name=` of a deciding
name is the beginning of a field, those that were signed are all there; one from within a text would be there twice.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

from tillkeeper.gateways.errors import BadSignature, VerificationStep

_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
_NONE: Final[Mapping[str, Collection[str]]] = {}


def check_unambiguous(
    fields: Mapping[str, str], deciding: Collection[str], less_strict: Mapping[str, Collection[str]] = _NONE
) -> None:
    """Raises BadSignature where a deciding field could be hidden in a value, or another be in the place of one.

    `less_strict` names the few that decide within one field, where others' names are known to do no harm.
    """
    for name, value in fields.items():
        if not _NAME.fullmatch(name):
            raise BadSignature("a field has an odd name, which may hold another field", VerificationStep.CONTENT)
        if "&" not in value:
            continue
        # Numbers, times, words and references: no gateway puts an `&` into them.
        if name in deciding or any(f"&{other}=" in value for other in less_strict.get(name, deciding)):
            raise BadSignature(f"{name} holds what may be another field", VerificationStep.CONTENT)
