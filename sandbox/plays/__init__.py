"""Each gateway as the sandbox plays it: one file a gateway, found by the gateway's name.

A play imports nearly all of the sandbox, and the sandbox looks plays up here: they are imported when they are asked
for, so that neither must know the other first.
"""

import importlib
from functools import cache
from typing import TYPE_CHECKING, Final

from tillkeeper.gateways.registry import GATEWAYS

if TYPE_CHECKING:
    from sandbox.plays.base import Play

USUAL: Final = ("stripe", "alipay", "wechatpay")  # what is played where nobody says what
EVERY: Final = "all"


class NoSuchGateway(Exception):
    """A name that is no gateway's; says which there are."""


@cache
def find(gateway: str) -> "Play":
    """The play of a gateway of the registry."""
    play: Play = importlib.import_module(f"sandbox.plays.{gateway}").PLAY
    return play


def named(names: str) -> tuple[str, ...]:
    """The gateways of a list such as adyen,paypal, each once and in its order.  Raises NoSuchGateway."""
    chosen = [name for each in names.split(",") if (name := each.strip())]
    if chosen == [EVERY]:
        return tuple(sorted(GATEWAYS))
    wrong = [name for name in chosen if name not in GATEWAYS]
    if wrong or not chosen:
        what = f"no gateway {' or '.join(map(repr, wrong))}" if wrong else "no gateway named"
        raise NoSuchGateway(f"{what}; there are: {', '.join(sorted(GATEWAYS))}, or {EVERY}")
    return tuple(dict.fromkeys(chosen))
