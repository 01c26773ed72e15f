"""Decides what a person may look for: who looks orders up by a payer's contact is written down, without the contact."""

import msgspec
from aiohttp import web

from tillkeeper.desk.access.identity import note_look
from tillkeeper.desk.access.roles import role_for
from tillkeeper.desk.person import is_enough, person_of
from tillkeeper.domain.search.probes import EmailProbe, PhoneProbe, Search


async def allowed_of(request: web.Request, search: Search) -> Search:
    """Returns what of a search this person may look for: itself, or all but the contacts."""
    contacts = [probe for probe in search.probes if isinstance(probe, EmailProbe | PhoneProbe)]
    if not contacts:
        return search
    person = person_of(request)
    if person is None or not is_enough(person.role, role_for("look_up")):
        return msgspec.structs.replace(search, probes=tuple(each for each in search.probes if each not in contacts))
    await note_look(request, "orders by contact", subject="")
    return search
