"""`tillkeeper notify test`, and the receiver of docs/notices.md that it is tried with."""

import asyncio
import os
import re
import sqlite3
import sys
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.notice_factories import some_settings, to_merchant, told
from tests.notice_servers import OTHER_SECRET, SECRET
from tests.system.commands import WITHIN_S, tillkeeper, written
from tillkeeper import clock as wall
from tillkeeper.sandbox.servers.child import free_ports

PAGE = (Path(__file__).parents[3] / "docs" / "notices.md").read_text()
[SAMPLE] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def clock(clock):
    """Receivers compare the signed time with their own clock."""
    clock.at = wall.now()
    return clock


SEND_AGAIN = "UPDATE outbox SET state = 'pending', due_at = $1, finished_at = NULL, channels = '{}'"


class Sample:
    """The receiver of the page, running."""

    def __init__(self, port, database):
        self.url = f"http://127.0.0.1:{port}/"
        self.secret = SECRET
        self._database = database

    def rows(self, statement):
        with sqlite3.connect(self._database) as database:
            return database.execute(statement).fetchall()


@asynccontextmanager
async def sample_running(directory, secrets=f"{OTHER_SECRET} {SECRET}"):
    script, [port] = directory / "receiver.py", free_ports(1)
    script.write_text(SAMPLE)
    environ = os.environ | {
        "NOTICES_DATABASE": str(directory / "orders.sqlite3"),
        "NOTICES_SECRETS": secrets,
        "PORT": str(port),
    }
    child = await asyncio.create_subprocess_exec(sys.executable, str(script), env=environ, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(WITHIN_S):
            assert (await child.stdout.readline()).decode() == f"listening on {port}\n"
        yield Sample(port, directory / "orders.sqlite3")
    finally:
        child.kill()
        await child.wait()


def change(version, status, key=None, **fields):
    return to_merchant(key=key or f"order/1/{version}/order.status_changed", version=version, status=status, **fields)


async def test_the_receiver_of_the_page_keeps_each_orders_latest_version_once(pool, looping, clock, tmp_path):
    late, early = change(3, "paid", paid=12900), change(2, "processing")
    async with sample_running(tmp_path) as sample, looping(some_settings(receiver=sample)) as loop:
        for notice in (late, early):
            await told(pool, notice, now=clock.at)
            await loop.run_once()
        assert await pool.fetchval("SELECT count(*) FROM outbox WHERE state = 'sent'") == 2
        await pool.execute(
            "UPDATE outbox SET state = 'pending', due_at = $1, finished_at = NULL, channels = '{}'", clock.at
        )
        while await loop.run_once():
            pass
        assert sample.rows("SELECT order_ref, version, status, paid FROM orders") == [("A1", 3, "paid", 12900)]
        assert sample.rows("SELECT count(*) FROM notices") == [(2,)]


async def test_it_takes_nothing_that_is_forged_or_too_large(tmp_path):
    async with sample_running(tmp_path) as sample, aiohttp.ClientSession() as client:
        headers = {"webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
        async with client.post(sample.url, data=b"{}", headers=headers) as response:
            assert response.status == 401
        async with client.post(sample.url, data=b"x" * 70_000) as response:
            assert response.status == 413


def config(directory, *, webhook="", mailbox=None, ops=""):
    lines = ['database_url = "postgresql:///none"', "[notify]", 'from_address = "pay@lantern.example"']
    lines += ["allow_private_addresses = true", "allow_plain_http = true", 'default_locale = "en"']
    if mailbox is not None:
        lines += ["[notify.smtp]", 'host = "127.0.0.1"', f"port = {mailbox.port}", 'security = "none"']
    if webhook:
        lines += ["[notify.webhooks.shop]", f'url = "{webhook}"', f'secrets = ["{SECRET}"]']
    if ops:
        lines += ["[notify.ops]", f'1 = ["{ops}"]']
    return written(directory, "\n".join(lines))


async def test_a_test_notice_goes_through_each_channel_and_tells_what_came_back(tmp_path, mailbox):
    async with sample_running(tmp_path) as sample:
        path = config(tmp_path, webhook=sample.url, mailbox=mailbox)
        ended = await tillkeeper("notify", "test", "--to", "me@lantern.example", "--config", path)
        assert ended.code == 0, ended.out + ended.err
        assert [line.split()[:2] for line in ended.out.splitlines()[3:5]] == [["mail", "ok"], ["webhook:shop", "ok"]]
        assert sample.rows("SELECT count(*) FROM notices") == [(1,)]
        assert sample.rows("SELECT count(*) FROM orders") == [(0,)]
    [mail] = mailbox.mails()
    assert (mailbox.to, mail["Subject"]) == (["me@lantern.example"], "A test mail")
    assert "nothing to do" in mail.get_body(("plain",)).get_content()


async def test_what_does_not_take_it_is_told_and_exit_code_1(tmp_path, mailbox, receiver):
    mailbox.on_rcpt, receiver.secret = "550 nobody here", OTHER_SECRET
    path = config(tmp_path, webhook=receiver.url, mailbox=mailbox, ops="json://127.0.0.1:1/x")
    ended = await tillkeeper("notify", "test", "--json", "--config", path)
    assert ended.code == 1
    told = {each["channel"]: (each["taken"], each["said"]) for each in ended.json["channels"]}
    assert told["mail"] == (False, "the mail server said 550 nobody here")
    assert told["webhook:shop"] == (False, "the receiver answered 500")
    assert told["ops.1[0]"][0] is False


async def test_one_kind_of_channel_can_be_chosen(tmp_path, mailbox, receiver):
    path = config(tmp_path, webhook=receiver.url, mailbox=mailbox)
    for chosen in ("webhook", "webhook:shop"):
        ended = await tillkeeper("notify", "test", "--channel", chosen, "--json", "--config", path)
        assert [each["channel"] for each in ended.json["channels"]] == ["webhook:shop"]
    assert (mailbox.to, [each["type"] for each in receiver.got]) == ([], ["notice.test"] * 2)
    wrong = await tillkeeper("notify", "test", "--channel", "pager", "--config", path)
    assert (wrong.code, wrong.err) == (2, "tillkeeper: there is no channel 'pager'; there are: mail, webhook:shop\n")


async def test_without_any_channel_it_says_so(tmp_path):
    ended = await tillkeeper("notify", "test", "--config", config(tmp_path))
    assert ended.code == 2
    assert "no channel is configured" in ended.err
