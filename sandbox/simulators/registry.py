"""Finds simulators by the name of their gateway, and makes ledgers that know their event types.

A simulator is imported when it is asked for: twenty of them cost a second, and most runs need three.
"""

import importlib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.simulators.base import Simulator
from tillkeeper.sandbox.story import Story

DEFAULT_GATEWAYS: Final = ("stripe", "alipay", "wechatpay")  # what is simulated where nobody says what
ALL_GATEWAYS: Final = "all"


class NoSuchGateway(Exception):
    """A name that is no gateway's; says which there are."""


@cache
def simulator_of(gateway: str) -> Simulator:
    """Returns the simulator of a gateway of the registry."""
    simulator: Simulator = importlib.import_module(f"tillkeeper.sandbox.simulators.{gateway}.simulator").SIMULATOR
    return simulator


def parse_gateways(names: str) -> tuple[str, ...]:
    """Returns the gateways of a list such as adyen,paypal, each once and in its order.  Raises NoSuchGateway."""
    chosen = [name for each in names.split(",") if (name := each.strip())]
    if chosen == [ALL_GATEWAYS]:
        return tuple(sorted(GATEWAYS))
    wrong = [name for name in chosen if name not in GATEWAYS]
    if wrong or not chosen:
        what = f"no gateway {' or '.join(map(repr, wrong))}" if wrong else "no gateway named"
        raise NoSuchGateway(f"{what}; there are: {', '.join(sorted(GATEWAYS))}, or {ALL_GATEWAYS}")
    return tuple(dict.fromkeys(chosen))


def ledger_of(gateways: Mapping[str, str], stories: Iterable[Story] = ()) -> Ledger:
    """Returns a ledger for these accounts, each with the name of its gateway."""
    return Ledger({account: simulator_of(gateway).meanings for account, gateway in gateways.items()}, stories)
