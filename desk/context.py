"""Defines what the handlers of the desk work with."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
from aiohttp import web

from tillkeeper.desk.live.feed import Feed
from tillkeeper.domain.policy import Policy
from tillkeeper.gateways.base import Gateway
from tillkeeper.lanes.queue_depth import QueueDepth
from tillkeeper.oidc.provider import Provider
from tillkeeper.settings import Settings


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What a running desk holds: its pool, the policy in force, the clock, and what it shows live."""

    settings: Settings
    pool: asyncpg.Pool
    policy: Callable[[], Policy]
    now: Callable[[], datetime]
    zone: ZoneInfo
    feed: Feed
    depth: QueueDepth | None  # None: there is no broker
    gateways: Callable[[], Mapping[str, Gateway]]  # with the keys that stand in the files now
    provider: Provider | None = None  # of the company's accounts; None: people have passwords alone


DESK: Final = web.AppKey("DESK", Desk)


def desk_of(request: web.Request) -> Desk:
    """Returns it for a handler."""
    return request.app[DESK]
