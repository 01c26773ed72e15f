"""Defines what the handlers of the desk work with."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
from aiohttp import web

from tillkeeper.domain.policy import Policy
from tillkeeper.settings import Settings


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What a running desk holds: its pool, the policy in force and the clock."""

    settings: Settings
    pool: asyncpg.Pool
    policy: Callable[[], Policy]
    now: Callable[[], datetime]
    zone: ZoneInfo


DESK: Final = web.AppKey("DESK", Desk)


def desk_of(request: web.Request) -> Desk:
    """Returns it for a handler."""
    return request.app[DESK]
