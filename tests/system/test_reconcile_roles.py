"""People reconcile, the sweep settles and the audit adds up under their own roles in the database."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.database.factories import NOON, a_registration
from tests.statement_lines import DAY, a_file, a_line
from tests.system import test_roles
from tillkeeper.domain.books.statement import LineKind
from tillkeeper.domain.guard import GuardSign, Rule
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.retention import Days
from tillkeeper.store.apply.registration import register
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.retention.passes import run
from tillkeeper.workers.compare_again import CompareAgain
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.reconcile import AccountPaused, Reconciler

urls = test_roles.urls
RULES = {GuardSign.TAKEN_BACK: Rule(least=1, share=0.01)}
NEWER = {"begins": DAY + timedelta(hours=6), "ends": DAY + timedelta(days=2)}


async def reconcile(pool, file, **named):
    reconciler = Reconciler(
        pool, "stripe-main", policy=Policy(), run=uuid4(), by="mei", now=lambda: NOON + timedelta(days=3), **named
    )
    return await reconciler.reconcile([file])


async def test_each_does_what_is_its_own_and_is_refused_nothing(urls):
    async with await open_pool(urls[""], max_size=2) as owner:
        await register(owner, a_registration(), policy=Policy(), now=NOON)
    async with await open_pool(urls["ops"], max_size=4) as ops:
        await reconcile(ops, a_file(a_line()))
        # A newer one of a part of its time, with a line that names its order alone.
        done = await reconcile(ops, a_file(a_line(payment_ref=None, amount=90), **NEWER))
        assert dict(done.cases) == {"statement_differs": 1}
        with pytest.raises(AccountPaused):
            await reconcile(ops, a_file(a_line(LineKind.REFUND, -100, refund_ref="re_1"), name="more"), guard=RULES)
        assert await ops.fetchval("SELECT count(*) FROM account_pauses") == 1
    async with await open_pool(urls["sweep"], max_size=2) as sweep:
        retry = DatabaseRetry(asyncio.Event())
        await CompareAgain(pool=sweep, retry=retry, policy=Policy, now=lambda: NOON).run_once()
        gone = [share async for share in run(sweep, Days(statements=1), now=NOON + timedelta(days=9))]
        assert {share.part for share in gone} == {"statement_lines"}
    async with await open_pool(urls["audit"], max_size=1) as reader:
        assert (await audit(reader, settled_until=NOON, now=NOON)).misadded == []
