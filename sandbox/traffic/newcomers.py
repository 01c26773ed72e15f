"""Adds people to a desk of our own, and makes the links by which somebody becomes them."""

from typing import Final

import asyncpg
import msgspec

from tillkeeper import clock
from tillkeeper.domain.people import LINK_PATH, Locale, Role
from tillkeeper.store.people.links import make_link
from tillkeeper.store.people.people import add_person

BY: Final = "sandbox"


class Newcomer(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has never signed in."""

    name: str
    role: Role
    locale: Locale


FIRST: Final = Newcomer(name="admin", role=Role.ADMIN, locale="en")
SECOND: Final = Newcomer(name="mei", role=Role.OPERATOR, locale="zh")  # for what takes two people


async def link_of(newcomer: Newcomer, database_url: str, desk_url: str) -> str:
    """Adds them; returns the address that signs them in, once."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            now, name = clock.now(), newcomer.name
            await add_person(
                connection,
                name=name,
                display_name=name.title(),
                role=newcomer.role,
                locale=newcomer.locale,
                by=BY,
                now=now,
            )
            token = await make_link(connection, name, by=BY, now=now)
    finally:
        await connection.close()
    return f"{desk_url}{LINK_PATH}/{token}"
