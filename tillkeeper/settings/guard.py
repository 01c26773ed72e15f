"""Defines the settings of the guard, which pauses accounts whose changes go beyond the usual (domain/guard.py)."""

from typing import Annotated, Final, Literal

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tillkeeper.domain.guard import RULES, GuardSign, Rule, Rules

ORDERS_MIN: Final = 5  # fewer are chance, at a shop of any size
ORDERS_MAX: Final = 1_000_000


class GuardRule(BaseModel):
    """When the orders that show a sign are too many; all of it must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    least: Annotated[int, Field(ge=ORDERS_MIN, le=ORDERS_MAX)]
    share: Annotated[float, Field(ge=0.05, le=1)]
    open_share: Annotated[float, Field(ge=0, le=1)]
    times_usual: Annotated[float, Field(ge=1, le=100)]


def _default(sign: GuardSign) -> GuardRule:
    return GuardRule(**msgspec.structs.asdict(RULES[sign]))


def _filled(sign: GuardSign) -> BeforeValidator:
    """Returns what fills in the numbers that a rule's table leaves out."""

    def fill(given: object) -> object:
        return {**_default(sign).model_dump(), **given} if isinstance(given, dict) else given

    return BeforeValidator(fill)


Off = Literal["off"]


class GuardSettings(BaseModel):
    """The settings of the guard: a table for each rule, or "off"."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    failed: Annotated[GuardRule | Off, _filled(GuardSign.FAILED)] = _default(GuardSign.FAILED)
    taken_back: Annotated[GuardRule | Off, _filled(GuardSign.TAKEN_BACK)] = _default(GuardSign.TAKEN_BACK)
    mismatched: Annotated[GuardRule | Off, _filled(GuardSign.MISMATCHED)] = _default(GuardSign.MISMATCHED)
    far_off: Annotated[GuardRule | Off, _filled(GuardSign.FAR_OFF)] = _default(GuardSign.FAR_OFF)
    deaf_min: Annotated[int, Field(ge=0, le=10_080)] = 60  # after a person let an account go on

    def rules(self) -> Rules:
        """Returns the rules that are on, as the domain has them."""
        given: dict[GuardSign, GuardRule | Off] = {sign: getattr(self, sign) for sign in GuardSign}
        return {sign: Rule(**rule.model_dump()) for sign, rule in given.items() if rule != "off"}
