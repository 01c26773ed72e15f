"""At every gateway: an erasure leaves nothing of what its deliveries said, but what the books are made of."""

import pytest

from tests.database.played import EMAIL, LATER, PHONE, Played
from tests.personal_data import found_in, kept_of, with_content
from tillkeeper.cli.erasing import ToErase, erase_orders
from tillkeeper.domain.delivery import EnvelopeKeys
from tillkeeper.domain.erasure import Contacts, ErasureAct
from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.order import show

WORDS = [EMAIL, PHONE, "Ada 王"]


class Erased(Played):
    """What was played, and what an erasure leaves of it."""

    async def erased(self, story):
        act = ErasureAct(by="mei", note="request 17", at=LATER)
        [erased] = await erase_orders(
            self.pool,
            [ToErase(order_ref=story.order_ref, acts=(act,))],
            {self.signer.account: self.gateway},
            contacts=Contacts(),
            keys=EnvelopeKeys(),
            dry_run=False,
        )
        return erased

    async def kept(self):
        """Where words of the payer are, and where pieces of raw deliveries are."""
        async with self.pool.acquire() as conn:
            return await found_in(conn, WORDS), await kept_of(conn, self.raw.values())

    async def whole(self):
        """The numbers of the deliveries that still have their content."""
        async with self.pool.acquire() as conn:
            return await with_content(conn) & self.raw.keys()


@pytest.mark.parametrize("gateway", sorted(GATEWAYS))
async def test_nothing_of_what_a_gateway_told_is_left_and_the_books_are_whole(pool, gateway):
    played = Erased(pool, gateway)
    await played.registered()
    await played.delivered()
    await played.delivered(again=1)  # no row says whose a redelivery is
    before = [await show(pool, story.order_ref) for story in played.stories]
    assert await played.whole() == played.raw.keys()
    for story in played.stories:
        assert (await played.erased(story)).left == ()
    assert await played.whole() == set()
    after = [await show(pool, story.order_ref) for story in played.stories]
    assert after == [order | {"erased_at": LATER} for order in before]
    await played.delivered(again=2)
    assert await played.whole() == set()
    assert await played.kept() == ({}, {})
    books = await audit(pool, settled_until=LATER, now=LATER)
    assert books.balances, books
