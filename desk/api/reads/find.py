"""Finds whatever a program has in hand, as the page does."""

from tillkeeper.desk.api.call import CheckedCall
from tillkeeper.desk.api.reads.converting import made
from tillkeeper.desk.api.types.orders import CodeMeaning, Found, Hit, HitGroup
from tillkeeper.desk.looking_up import allowed_of
from tillkeeper.domain.failures import guidance_for
from tillkeeper.domain.search import hits
from tillkeeper.domain.search.hits import WHY_WORDS
from tillkeeper.domain.search.parsing import search_for
from tillkeeper.gateways.failure_codes import KnownCode, meanings_of
from tillkeeper.store.search.find import find as find_in_store


async def find(call: CheckedCall) -> Found:
    """Answers GET /api/find."""
    desk = call.desk
    search = search_for(call.query.q, now=desk.now(), zone=desk.zone)
    allowed = await allowed_of(call.request, search)
    found = hits.SearchResult(cut=search.cut)
    if allowed.probes:
        found = await find_in_store(desk.pool, allowed)
    return Found(
        groups=[made(HitGroup, group, hits=[_hit(hit) for hit in group.hits]) for group in found.groups],
        codes=[_code(meaning) for code in search.codes for meaning in meanings_of(code)],
        cut=found.cut,
        without_contacts=allowed.probes != search.probes,
    )


def _hit(hit: hits.Hit) -> Hit:
    return made(Hit, hit, says=WHY_WORDS[hit.why])


def _code(meaning: KnownCode) -> CodeMeaning:
    return made(CodeMeaning, meaning, tell_the_payer=guidance_for(meaning.failure).reason)
