"""Adds the first admin of a desk of our own, and makes the link by which somebody becomes them."""

from typing import Final

import asyncpg

from tillkeeper import clock
from tillkeeper.domain.people import LINK_PATH, Role
from tillkeeper.store.people.links import make_link
from tillkeeper.store.people.people import add_person

NAME: Final = "admin"
BY: Final = "sandbox"


async def link_of_first_admin(database_url: str, desk_url: str) -> str:
    """Returns the address that signs the first admin in, once."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            now = clock.now()
            await add_person(connection, name=NAME, display_name="Admin", role=Role.ADMIN, locale="en", by=BY, now=now)
            token = await make_link(connection, NAME, by=BY, now=now)
    finally:
        await connection.close()
    return f"{desk_url}{LINK_PATH}/{token}"
