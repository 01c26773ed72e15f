"""Finds whatever a program has in hand, as the page does."""

import msgspec

from tillkeeper.desk.access.identity import note_look
from tillkeeper.desk.access.roles import role_for
from tillkeeper.desk.api.call import Call
from tillkeeper.desk.api.reads.converting import made
from tillkeeper.desk.api.types.orders import CodeMeaning, Found, Hit, HitGroup
from tillkeeper.desk.person import is_enough
from tillkeeper.domain.failures import guidance_for
from tillkeeper.domain.search import hits
from tillkeeper.domain.search.hits import WHY_WORDS
from tillkeeper.domain.search.parsing import search_for
from tillkeeper.domain.search.probes import EmailProbe, PhoneProbe
from tillkeeper.gateways.failure_codes import KnownCode, meanings_of
from tillkeeper.store.search.find import find as find_in_store


async def find(call: Call) -> Found:
    """Answers GET /api/find."""
    desk = call.desk
    search = search_for(call.query.q, now=desk.now(), zone=desk.zone)
    contacts = [probe for probe in search.probes if isinstance(probe, EmailProbe | PhoneProbe)]
    may_look = is_enough(call.person.role, role_for("look_up"))
    if contacts and may_look:
        await note_look(call.request, "orders by contact", subject="")
    probes = search.probes if may_look else tuple(each for each in search.probes if each not in contacts)
    found = hits.Found(cut=search.cut)
    if probes:
        found = await find_in_store(desk.pool, msgspec.structs.replace(search, probes=probes))
    return Found(
        groups=[made(HitGroup, group, hits=[_hit(hit) for hit in group.hits]) for group in found.groups],
        codes=[_code(meaning) for code in search.codes for meaning in meanings_of(code)],
        cut=found.cut,
        without_contacts=bool(contacts) and not may_look,
    )


def _hit(hit: hits.Hit) -> Hit:
    return made(Hit, hit, says=WHY_WORDS[hit.why])


def _code(meaning: KnownCode) -> CodeMeaning:
    return made(CodeMeaning, meaning, tell_the_payer=guidance_for(meaning.failure).reason)
