"""Decides what a person may look for: who looks orders up by a payer's contact is written down, without the contact."""

import msgspec
from aiohttp import web

from tillkeeper.desk.access.identity import note_look
from tillkeeper.desk.access.roles import role_for
from tillkeeper.desk.person import is_enough, person_of
from tillkeeper.domain.search.probes import EmailProbe, PhoneProbe, Probe, Search


async def allowed_of(request: web.Request, search: Search) -> Search:
    """Returns what of a search this person may look for: itself, or all but the contacts."""
    if not contacts_in(search):
        return search
    if not may_look_up(request):
        return without_contacts(search)
    await note_look(request, "orders by contact", subject="")
    return search


def may_look_up(request: web.Request) -> bool:
    """Returns whether whoever asks may look for contacts."""
    person = person_of(request)
    return person is not None and is_enough(person.role, role_for("look_up"))


def contacts_in(search: Search) -> tuple[Probe, ...]:
    """Returns what of a search is a mail address, or may be a phone number."""
    return tuple(probe for probe in search.probes if isinstance(probe, EmailProbe | PhoneProbe))


def without_contacts(search: Search) -> Search:
    """Returns all else of a search."""
    contacts = contacts_in(search)
    return msgspec.structs.replace(search, probes=tuple(each for each in search.probes if each not in contacts))
