"""What there is to say and cannot be written is a failure of its own, and never the answer "no"."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE

import pytest
import typer

from tests.company_provider import desk_toml
from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.database.test_guard_sweeping import paused
from tests.system.commands import ENVIRON, SERVE, tillkeeper, toml, written
from tillkeeper import clock
from tillkeeper.cli import app
from tillkeeper.domain.guard import GuardSign, PauseReason
from tillkeeper.domain.order.registration import Payer
from tillkeeper.domain.policy import CasePolicy, Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.cases.acts import propose_to_resolve
from tillkeeper.store.deliveries.parked import park_event
from tillkeeper.store.deliveries.refused import RefusedDelivery, keep_refused
from tillkeeper.store.guard.pausing import pause

UNSAID = 74


async def ended_with(command: str, **more: str) -> tuple[int, str]:
    """The exit code and standard error of a shell's command; $T is tillkeeper."""
    environ = ENVIRON | {"T": f"{sys.executable} -m tillkeeper", **more}
    child = await asyncio.create_subprocess_shell(command, stderr=asyncio.subprocess.PIPE, env=environ)
    async with asyncio.timeout(180):
        _, told = await child.communicate()
    return child.returncode, told.decode()


@pytest.mark.parametrize("arguments", ["audit", "audit --json", "stuck", "--help"])
async def test_audit_whose_words_are_lost_does_not_say_that_the_books_do_not_balance(tmp_path, database, arguments):
    config = written(tmp_path, toml(database))
    for where, why in ((">/dev/full", "No space left on device"), (">&-", "it is closed")):
        code, told = await ended_with(f"$T {arguments} {where}", TILLKEEPER_CONFIG=str(config))
        assert (code, told) == (UNSAID, f"tillkeeper: standard output cannot be written: {why}\n")


async def test_a_reader_that_has_seen_enough_needs_no_explanation():
    reader, writer = os.pipe()
    os.close(reader)
    command = (sys.executable, "-m", "tillkeeper", "policy", "show")
    child = await asyncio.create_subprocess_exec(*command, stdout=writer, stderr=asyncio.subprocess.PIPE, env=ENVIRON)
    os.close(writer)
    _, told = await child.communicate()
    assert (child.returncode, told) == (UNSAID, b"")


# --- every command ----------------------------------------------------------------------------------------------------

FULL = "tillkeeper: standard output cannot be written: No space left on device\n"
# A call of each command that prints, on what `furnished` brings about.
PRINTING = [
    "db init",
    "db status",
    "db roles",
    "db upgrade",
    "order show A-1",
    "order hold A-1 2h --note x",
    "order ask A-2",
    "order release A-3 --note x",
    "order remind A-2 --note x",
    "order claimed A-2 --note x",
    "order close A-4 --note x",
    "events",
    "stuck --status unpaid",
    "cases",
    "case show 1",
    "case assign 1 mei",
    "case note 1 x",
    "case follow-up 1 4h --note x",
    "case escalate 1 --note x",
    "case resolve 1 --outcome x",
    "case confirm 2 --by jun",
    "case refuse 3",
    "handover --peek",
    "rehearse --since 1d",
    "report --month 2026-11",
    "report --month 2026-11 --format csv",
    "ledger --month 2026-11",
    "ledger --month 2026-11 --format hledger",
    "audit --money",
    "audit --chain",
    "chain head",
    "parked list",
    "parked show 1",
    "parked replay 1",
    "parked discard 2 --note x",
    "guard list",
    "guard show adyen-main",
    "guard go adyen-main --note x",
    "guard discard alipay-main --note x",
    "refused list",
    "refused show 1",
    "refused retry 9 --note x",
    "outbox list",
    "outbox retry order/1/1 --note x",
    "books differences",
    "books statements",
    "books payouts",
    "books order A-1",
    "find A-1",
    "claim A-1",
    "explain A-1",
    "guard list",
    "guard show held-1",
    "guard go held-1 --note x",
    "guard discard held-2 --note x",
    "waiting list",
    "waiting show stripe-main pi_waiting",
    "waiting bind stripe-main pi_waiting A-1 --note x",
    "user add mei --role support",
    "user list",
    "user role mei operator",
    "user reset mei",
    "user link mei 00u1",
    "user unlink mei",
    "user tokens add mei exports",
    "user tokens list",
    "user tokens end mei exports",
    "user disable mei --note x",
    "user enable mei --note x",
    "user log",
    "keys",
    "words",
    "policy check",
    "policy show",
    "inspect nowhere.json",
    "retention plan",
    "retention run",
    "erase A-5 --note x",
    "check",
    "audit",
]
# A gateway, a broker, a key, a directory, a statement.
NEED_OTHERS = {
    "backfill",
    "bank",
    "broker check",
    "shadow compare",
    "chain key",
    "init",
    "notify test",
    "reconcile",
    "sandbox",
}


def leaves(group, *names):
    """Every command of the tree by its words."""
    for name, command in group.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            if command.invoke_without_command:
                yield " ".join((*names, name))
            yield from leaves(command, *names, name)
        else:
            yield " ".join((*names, name))


COMMANDS = [*leaves(typer.main.get_command(app)), "sandbox"]


def test_every_command_that_prints_is_tried():
    def is_of(line, command):
        return f"{line} ".startswith(f"{command} ")

    tried = {command for command in COMMANDS if any(is_of(line, command) for line in PRINTING)}
    assert set(COMMANDS) - tried == NEED_OTHERS | set(SERVE) - {"fetch"}


TWO_CASES = """
INSERT INTO cases (kind, subject, details, opened_at, follow_up_at)
SELECT 'wrong_currency', 's' || n, '{}', $1, $1 FROM generate_series(1, 2) n
"""
A_FINDING = PauseReason(sign=GuardSign.FAILED, orders=50, paid=0, line=20, share=1.0, usual_most=0)
ANSWERED = """
INSERT INTO steps (order_id, phase, action, at, taken_at, result)
SELECT id, phase, 'query', now(), now(), 'unpaid' FROM orders
"""


@pytest.fixture
async def furnished(tmp_path, database, pool):
    """A configuration with orders, cases, money that waits, parked events, a refused delivery and paused accounts."""
    config = written(tmp_path, toml(database, desk=desk_toml("https://id.shop.example")))
    for number in range(1, 6):
        registration = a_registration(f"A-{number}", accounts=("stripe-main",), payer=Payer(email="a@example.com"))
        await register(pool, registration, policy=Policy(), now=NOON)
    overpaid = a_delivery(an_event(amount=150, order_ref="A-5"))
    refused = RefusedDelivery(
        account="stripe-main",
        received_at=NOON,
        step="signature",
        finding="wrong_secret",
        reason="x",
        detail="",
        query="",
        headers=(),
        body=b"{}",
    )
    async with pool.acquire() as conn, conn.transaction():
        waiting = a_delivery(an_event(order_ref="A-l", payment_ref="pi_waiting"))
        await apply_deliveries(conn, [overpaid, waiting], policy=Policy(), now=NOON)
        for event in (an_event(), an_event()):
            await park_event(conn, a_delivery(event), event, reason="cannot_be_applied", error="x", now=NOON)
        await keep_refused(conn, refused)
        await conn.execute(TWO_CASES, NOON)
        for case_id in (2, 3):
            await propose_to_resolve(conn, case_id, outcome="x", text="", by="mei", now=clock.now())
        await pause(conn, {"adyen-main": A_FINDING, "alipay-main": A_FINDING}, policy=CasePolicy(), now=NOON)
        await conn.execute(ANSWERED)
    for account in ("held-1", "held-2"):
        await paused(pool, account)
    assert (await tillkeeper("order", "hold", "A-3", "2h", "--note", "x", "--config", config)).code == 0
    return config


@pytest.mark.long
async def test_no_command_takes_lost_words_for_an_answer(furnished):
    others = [
        ["--version"],
        ["db", "-h"],
        ["sandbox", "-h"],
        ["init", str(furnished.parent / "till"), "--gateway", "stripe", "--yes"],
        ["sandbox", "--capture", str(furnished.parent / "captured"), "--gateways", "stripe"],
    ]
    await all_are_unsaid(furnished, "/dev/full", [*map(str.split, PRINTING), *others], FULL)


async def test_what_is_piped_to_head_says_nothing_when_it_has_seen_enough(furnished):
    lines = ("order show A-1", "stuck --status unpaid", "cases", "parked list", "refused list", "audit")
    await all_are_unsaid(furnished, "no-reader", [*map(str.split, lines)], "")


async def all_are_unsaid(config, output, lines, words):
    """Asserts that each command ends with UNSAID and these words on standard error."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.system.unwritable", output),
        stdin=PIPE,
        stdout=PIPE,
        env=ENVIRON | {"TILLKEEPER_CONFIG": str(config)},
    )
    out, _ = await child.communicate(json.dumps(lines).encode())
    ended = zip(lines, json.loads(out), strict=True)
    assert [(" ".join(line), told) for line, told in ended if told != [UNSAID, words]] == []
