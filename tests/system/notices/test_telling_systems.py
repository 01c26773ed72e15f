"""The merchant's systems and ops told through real servers: signed, at least once, and nowhere that is not allowed."""

import asyncio
import itertools
from datetime import timedelta

import aio_pika
import msgspec
import pytest
from aiohttp import web

from tests.database.factories import NOON
from tests.notice_factories import row_of, some_settings, to_merchant, to_ops, told
from tests.notice_servers import OTHER_SECRET, SECRET, http_server
from tillkeeper import clock as wall
from tillkeeper.domain.order.notice_outcomes import Failed
from tillkeeper.domain.order.notices import Audience
from tillkeeper.notices.channels import Channels
from tillkeeper.notices.ops import message_of
from tillkeeper.notices.outgoing import Outgoing
from tillkeeper.notices.webhook import retry_after_wait
from tillkeeper.workers.notify import LEASE


@pytest.fixture
def clock(clock):
    """Receivers compare the signed time with their own clock."""
    clock.at = wall.now()
    return clock


def an_outgoing(**fields):
    told = {"key": "k", "topic": "case.opened", "payload": {}, "version": None, "created_at": NOON, "sent_at": NOON}
    return Outgoing(**{**told, **fields})


# --- webhooks ---------------------------------------------------------------------------------------------------------


async def test_a_receiver_gets_it_signed_with_the_version_and_a_name_for_good(pool, looping, receiver):
    await told(pool, to_merchant(key="order/1/2/order.status_changed", version=2))
    async with looping(some_settings(receiver=receiver)) as loop:
        assert await loop.run_once() == 1
    [got] = receiver.got
    assert (got["type"], got["timestamp"]) == ("order.status_changed", "2026-11-22T12:00:00Z")
    assert (got["data"]["order_ref"], got["data"]["status"], got["data"]["version"]) == ("A1", "processing", 2)
    assert receiver.ids == ["order/1/2/order-status_changed"]
    row = await row_of(pool, "order/1/2/order.status_changed")
    assert (row["state"], list(row["channels"])) == ("sent", ["webhook:shop"])


async def test_while_a_secret_is_replaced_both_sign(pool, looping, receiver):
    webhooks = {"shop": {"url": receiver.url, "secrets": [OTHER_SECRET, SECRET]}}
    for secret in (SECRET, OTHER_SECRET):
        receiver.secret = secret
        await told(pool, to_merchant())
        async with looping(some_settings(webhooks=webhooks)) as loop:
            await loop.run_once()
    assert len(receiver.got) == 2
    assert {len(signature.split()) for signature in receiver.signatures} == {2}


async def test_a_tampered_body_does_not_verify(pool, looping, receiver):
    receiver.secret = OTHER_SECRET
    await told(pool, to_merchant(key="k"))
    async with looping(some_settings(webhooks={"shop": {"url": receiver.url, "secrets": [SECRET]}})) as loop:
        await loop.run_once()
    row = await row_of(pool, "k")
    assert (receiver.got, row["last_error"]) == ([], "the receiver answered 500")


@pytest.mark.parametrize("status", [400, 404, 500, 301, 204])
async def test_anything_but_success_is_tried_again_under_the_same_id(pool, looping, receiver, clock, status):
    receiver.status, receiver.headers = status, {"Location": receiver.url}
    await told(pool, to_merchant(key="k"), now=clock.at)
    async with looping(some_settings(receiver=receiver)) as loop:
        await loop.run_once()
        receiver.status = 200
        clock.move(seconds=30)
        assert await loop.run_once() == (status != 204)
    assert len(set(receiver.ids)) == 1
    assert len(receiver.ids) == 1 + (status != 204)  # no redirect was followed
    assert (await row_of(pool, "k"))["state"] == "sent"


async def test_a_receiver_that_asks_for_a_pause_gets_it(pool, looping, receiver, clock):
    receiver.status, receiver.headers = 429, {"Retry-After": "600"}
    await told(pool, to_merchant(key="k"), now=clock.at)
    async with looping(some_settings(receiver=receiver)) as loop:
        await loop.run_once()
    assert (await row_of(pool, "k"))["due_at"] == clock.at + timedelta(minutes=10)


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        (None, None),
        ("120", timedelta(seconds=120)),
        ("9" * 5000, timedelta(seconds=999_999_999)),
        ("Sun, 22 Nov 2026 12:05:00 GMT", timedelta(minutes=5)),
        ("Sun, 22 Nov 2026 11:00:00 GMT", timedelta()),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("١٢", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_anything_else_is_nothing(text, wait):
    assert retry_after_wait(text, NOON) == wait


async def test_a_receiver_that_is_gone_is_told_no_more_of_it_and_ops_hear_once_a_day(pool, looping, receiver):
    receiver.status = 410
    await told(pool, to_merchant(key="one"), to_merchant(key="two"))
    async with looping(some_settings(receiver=receiver), audiences=(Audience.MERCHANT,)) as loop:
        await loop.run_once()
    assert [(await row_of(pool, each))["state"] for each in ("one", "two")] == ["dropped", "dropped"]
    alarms = await pool.fetch("SELECT topic, payload FROM outbox WHERE audience = 'ops'")
    assert [alarm["topic"] for alarm in alarms] == ["webhook.gone"]
    assert "webhook:shop" in alarms[0]["payload"]


async def test_a_receiver_that_hangs_is_left_alone_and_its_backlog_delays_no_other(pool, looping, clock, monkeypatch):
    async def hang():
        await asyncio.sleep(30)

    monkeypatch.setattr("tillkeeper.notices.webhook.TOTAL_S", 2.0)  # a busy machine is no hung receiver
    async with http_server() as good, http_server() as hung:
        hung.before_answer = hang
        webhooks = {name: {"url": server.url, "secrets": [SECRET]} for name, server in (("good", good), ("hung", hung))}
        await told(pool, *(to_merchant(key=f"k{number:03}") for number in range(200)), now=clock.at)
        async with looping(some_settings(webhooks=webhooks)) as loop:
            async with asyncio.timeout(60):
                while await loop.run_once():
                    pass
            assert len(set(good.ids)) == 200
            assert len(hung.ids) <= 20  # the first batch
            hung.before_answer = None
            while (due := await pool.fetchval("SELECT min(due_at) FROM outbox")) is not None:
                clock.at = due
                await loop.run_once()
        assert len(set(hung.ids)) == 200
    assert await pool.fetch("SELECT state, count(*) FROM outbox GROUP BY 1") == [("sent", 200)]
    assert clock.at - await pool.fetchval("SELECT min(created_at) FROM outbox") < timedelta(minutes=10)


async def test_while_a_receiver_hangs_the_others_are_told(pool, looping, clock):
    """More notices are due than are sent to one receiver at once, and it has not answered the first of them."""
    goes_on, all_told, good_ids = asyncio.Event(), asyncio.Event(), set()
    async with http_server() as good, http_server() as hung:
        hung.before_answer = goes_on.wait

        async def count():
            good_ids.update(good.ids)
            if len(good_ids) >= 59:  # the one that is being answered is not among them yet
                all_told.set()

        good.before_answer = count
        webhooks = {name: {"url": server.url, "secrets": [SECRET]} for name, server in (("good", good), ("hung", hung))}
        await told(pool, *(to_merchant(key=f"k{number:03}") for number in range(60)), now=clock.at)
        async with looping(some_settings(webhooks=webhooks), audiences=(Audience.MERCHANT,)) as loop:
            running = asyncio.ensure_future(loop.keep_running(asyncio.Event(), idle_s=0.01))
            async with asyncio.timeout(100):
                await all_told.wait()
            running.cancel()
            await asyncio.wait({running})
        goes_on.set()
        assert len(hung.ids) <= 5


async def test_a_pause_that_a_receiver_asks_for_holds_for_all_notices(pool, looping, receiver, clock):
    receiver.status, receiver.headers = 503, {"Retry-After": "240"}
    await told(pool, to_merchant(key="one"), now=clock.at)
    async with looping(some_settings(receiver=receiver)) as loop:
        await loop.run_once()
        await told(pool, to_merchant(key="two"), now=clock.at)
        clock.move(minutes=3)
        await loop.run_once()
        assert receiver.ids == ["one"]
        assert (await row_of(pool, "two"))["due_at"] == (await row_of(pool, "one"))["due_at"]
        receiver.status = 200
        clock.move(minutes=1)
        await loop.run_once()
    assert sorted(receiver.ids) == ["one", "one", "two"]


async def test_each_receiver_has_its_own_schedule(pool, looping, clock):
    async with http_server() as good, http_server() as bad:
        bad.status = 500
        webhooks = {name: {"url": server.url, "secrets": [SECRET]} for name, server in (("good", good), ("bad", bad))}
        await told(pool, to_merchant(key="k"), now=clock.at)
        async with looping(some_settings(webhooks=webhooks)) as loop:
            await loop.run_once()
            row = await row_of(pool, "k")
            assert (row["channels"]["webhook:good"]["outcome"], row["channels"]["webhook:bad"]["outcome"]) == (
                "sent",
                "failing",
            )
            bad.status = 200
            clock.move(seconds=30)
            await loop.run_once()
        assert (len(good.got), len(bad.got)) == (1, 2)
    assert (await row_of(pool, "k"))["state"] == "sent"


async def test_a_sender_that_died_before_it_wrote_down_sends_again_under_the_same_id(pool, looping, receiver, clock):
    await told(pool, to_merchant(key="k"), now=clock.at)
    async with looping(some_settings(receiver=receiver)) as loop:
        await loop._channels.merchant[0].send(an_outgoing(sent_at=clock.at))  # and is killed
        await pool.execute("UPDATE outbox SET leased_until = $1", clock.at + LEASE)
        assert await loop.run_once() == 0
        clock.at += LEASE
        receiver.secret = SECRET
        assert await loop.run_once() == 1
    assert receiver.ids == ["k", "k"]


async def test_a_receiver_that_never_answers_is_given_up_on_in_bounded_time(pool, looping, receiver, monkeypatch):
    async def hang():
        await asyncio.sleep(30)

    monkeypatch.setattr("tillkeeper.notices.webhook.TOTAL_S", 0.3)
    receiver.before_answer = hang
    await told(pool, to_merchant(key="k"))
    async with asyncio.timeout(100), looping(some_settings(receiver=receiver)) as loop:
        await loop.run_once()
    assert "did not answer" in (await row_of(pool, "k"))["last_error"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0.0.0.0"])
async def test_an_address_of_our_own_network_is_refused_however_it_is_written(pool, looping, receiver, host):
    webhooks = {"shop": {"url": f"http://{host}:{receiver.port}/hook", "secrets": [SECRET]}}
    await told(pool, to_merchant(key="k"))
    async with looping(some_settings(webhooks=webhooks, allow_private_addresses=False)) as loop:
        await loop.run_once()
    row = await row_of(pool, "k")
    assert receiver.got == []
    assert row["last_error"] in (
        "the address is not public (allow_private_addresses)",
        "the receiver could not be reached: InvalidUrlClientError",  # what libraries disagree on is no host at all
    )


async def test_no_url_and_no_secret_is_kept_with_a_failure(pool, looping):
    webhooks = {"shop": {"url": "http://127.0.0.1:1/hook?token=hush", "secrets": [SECRET]}}
    await told(pool, to_merchant(key="k"))
    async with looping(some_settings(webhooks=webhooks)) as loop:
        await loop.run_once()
    row = await row_of(pool, "k")
    assert row["last_error"].startswith("the receiver could not be reached")
    assert "hush" not in str(row["channels"])


async def test_a_receiver_that_left_the_settings_is_not_waited_for(pool, looping, receiver, clock):
    receiver.status = 500
    await told(pool, to_merchant(key="k"), now=clock.at)
    async with looping(some_settings(receiver=receiver)) as loop:
        await loop.run_once()
    clock.move(seconds=30)
    async with http_server() as other:
        async with looping(some_settings(webhooks={"new": {"url": other.url, "secrets": [SECRET]}})) as loop:
            await loop.run_once()
        assert len(other.got) == 1
    row = await row_of(pool, "k")
    assert (row["state"], row["channels"]["webhook:shop"]["why"]) == ("sent", "not configured any more")


async def test_after_its_hours_a_dead_receiver_is_one_case_a_day_not_one_a_notice(pool, looping, clock):
    webhooks = {"shop": {"url": "http://127.0.0.1:1/hook", "secrets": [SECRET]}}
    await told(pool, *(to_merchant(key=f"k{number}") for number in range(5)), now=clock.at)
    async with looping(some_settings(webhooks=webhooks, webhook_hours=1), audiences=(Audience.MERCHANT,)) as loop:
        while (due := await pool.fetchval("SELECT min(due_at) FROM outbox WHERE audience = 'merchant'")) is not None:
            clock.at = due
            await loop.run_once()
    assert await pool.fetch("SELECT state, count(*) FROM outbox WHERE audience = 'merchant' GROUP BY 1") == [
        ("dead", 5)
    ]
    [case] = await pool.fetch("SELECT kind, subject FROM cases")
    assert (case["kind"], case["subject"]) == ("notice_undeliverable", f"webhook:shop {clock.at:%Y-%m-%d}")


async def test_without_receivers_and_broker_a_notice_ends_as_no_channel(pool, looping):
    await told(pool, *(to_merchant(key=f"k{number}") for number in range(30)), to_ops(key="ops"))
    async with looping(some_settings()) as loop:
        assert [await loop.run_once() for _ in range(3)] == [20, 11, 0]
    assert await pool.fetch("SELECT state, last_error, count(*) FROM outbox GROUP BY 1, 2") == [
        ("dropped", "no channel", 31)
    ]


async def test_a_fault_of_ours_in_one_notice_keeps_no_other_from_its_receiver(pool, looping, receiver):
    class Broken:
        name = "broken"

        async def send(self, notice):
            raise RuntimeError("a bug")

    await told(pool, to_merchant(key="k"))
    async with looping(some_settings(receiver=receiver)) as loop:
        loop._channels = Channels(merchant=(Broken(), *loop._channels.merchant))
        await loop.run_once()
    row = await row_of(pool, "k")
    assert (row["state"], row["channels"]["broken"]["outcome"], len(receiver.got)) == ("pending", "failing", 1)


async def test_a_payload_that_is_no_table_is_told_all_the_same(pool, looping, receiver):
    await told(pool, to_merchant(key="k"))
    await pool.execute("UPDATE outbox SET payload = '[1]'")
    async with looping(some_settings(receiver=receiver)) as loop:
        await loop.run_once()
    assert receiver.got[0]["data"] == {"version": 2}


# --- the exchange -----------------------------------------------------------------------------------------------------


@pytest.mark.rabbitmq
async def test_whoever_binds_to_the_exchange_gets_notices_by_topic(pool, looping, broker_url, broker_prefix):
    async with looping(some_settings(), broker_url=broker_url, broker_prefix=broker_prefix) as loop:
        connection = await aio_pika.connect(broker_url)
        async with connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange(f"{broker_prefix}.notices")
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(exchange, "order.*")
            await told(pool, to_merchant(key="order/7/3/order.closed", topic="order.closed", version=3))
            await loop.run_once()
            message = await queue.get(timeout=100)
            await message.ack()
            await exchange.delete()
    assert (message.routing_key, message.type, message.message_id) == ("order.closed",) * 2 + (
        "order/7/3/order-closed",
    )
    assert message.delivery_mode is aio_pika.DeliveryMode.PERSISTENT
    body = msgspec.json.decode(message.body)
    assert (body["order_ref"], body["version"]) == ("A1", 3)
    row = await row_of(pool, "order/7/3/order.closed")
    assert (row["state"], list(row["channels"])) == ("sent", ["rabbitmq"])


@pytest.mark.rabbitmq
async def test_nobody_listening_at_the_exchange_is_no_failure(pool, looping, broker_url, broker_prefix):
    await told(pool, to_merchant(key="k"))
    async with looping(some_settings(), broker_url=broker_url, broker_prefix=broker_prefix) as loop:
        await loop.run_once()
    assert (await row_of(pool, "k"))["state"] == "sent"


@pytest.mark.rabbitmq
async def test_an_exchange_that_somebody_deleted_is_made_again(pool, looping, broker_url, broker_prefix, clock):
    async with looping(some_settings(), broker_url=broker_url, broker_prefix=broker_prefix) as loop:
        connection = await aio_pika.connect(broker_url)
        async with connection:
            channel = await connection.channel()
            await (await channel.get_exchange(f"{broker_prefix}.notices")).delete()
        await told(pool, to_merchant(key="k"), now=clock.at)
        for _ in range(50):
            await loop.run_once()
            if (await row_of(pool, "k"))["state"] == "sent":
                return
            clock.move(minutes=1)
            await asyncio.sleep(0.1)
    pytest.fail("it was not made again")


async def test_a_broker_that_is_away_is_tried_again(pool, looping):
    await told(pool, to_merchant(key="k"))
    async with looping(some_settings(), broker_url="amqp://guest:guest@127.0.0.1:1/") as loop:
        await loop.run_once()
    row = await row_of(pool, "k")
    assert (row["state"], row["last_error"]) == ("pending", "RabbitMQ is not connected")


# --- ops --------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def chat():
    """What apprise posts to json:// addresses, by path."""
    got: dict[str, list] = {}
    app = web.Application()
    statuses = {"value": 200}

    async def take(request: web.Request) -> web.Response:
        got.setdefault(request.path, []).append(await request.json())
        return web.Response(status=statuses["value"])

    app.router.add_post("/{name}", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    yield got, statuses, lambda name: f"json://127.0.0.1:{port}/{name}"
    await runner.cleanup()


async def test_ops_are_told_by_level_and_higher_levels_fall_to_the_highest_there_is(pool, looping, chat):
    got, _, url = chat
    ops = {"1": [url("shift"), url("log")], "3": [url("boss")]}
    await told(pool, *(to_ops(key=f"k{level}", level=level) for level in (1, 2, 3, 9)))
    async with looping(some_settings(ops=ops)) as loop:
        await loop.run_once()
    assert {path: len(bodies) for path, bodies in got.items()} == {"/shift": 2, "/log": 2, "/boss": 2}
    assert list((await row_of(pool, "k1"))["channels"]) == ["ops.1[0]", "ops.1[1]"]


async def test_what_ops_read_says_what_and_which(pool, looping, chat):
    got, _, url = chat
    details = {"captured": 25800, "due": 12900, "currency": "CNY"}
    await told(pool, to_ops(kind="paid_twice", subject="order:A1", account=None, case=7, level=2, details=details))
    async with looping(some_settings(ops={"1": [url("shift")]}, default_locale="en")) as loop:
        await loop.run_once()
    [message] = got["/shift"]
    assert (message["title"], message["type"]) == ("! A case needs a person (paid_twice)", "failure")
    assert message["message"].split("\n") == [
        "kind: paid_twice",
        "subject: order:A1",
        "case: 7",
        "level: 2",
        "due: 129.00 CNY",
        "captured: 258.00 CNY",
    ]


async def test_a_chat_that_refuses_is_tried_again(pool, looping, chat, clock):
    got, statuses, url = chat
    statuses["value"] = 500
    await told(pool, to_ops(key="k"), now=clock.at)
    async with looping(some_settings(ops={"1": [url("shift")]})) as loop:
        await loop.run_once()
        assert (await row_of(pool, "k"))["state"] == "pending"
        statuses["value"] = 200
        clock.move(seconds=30)
        await loop.run_once()
    assert len(got["/shift"]) == 2
    assert (await row_of(pool, "k"))["state"] == "sent"


async def test_ops_that_cannot_be_reached_do_not_make_cases_without_an_end(pool, looping, clock):
    await told(pool, to_ops(key="k"), now=clock.at)
    started = clock.at
    async with looping(some_settings(ops={"1": ["json://127.0.0.1:1/x"]}, ops_hours=1)) as loop:
        for _ in itertools.takewhile(lambda _: clock.at < started + timedelta(hours=12), range(1000)):
            clock.at = await pool.fetchval("SELECT min(due_at) FROM outbox") or started + timedelta(days=1)
            await loop.run_once()
    assert await pool.fetchval("SELECT count(*) FROM cases") <= 2  # one a day


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"level": "high"},
        {"level": -1},
        {"details": {"a": [1, {"b": None}]}},
        {"text": "x\r\ny"},
        {"kind": 5, "x": True},
    ],
)
def test_whatever_a_payload_holds_ops_read_something(payload):
    for language in ("zh-CN", "en"):
        for topic in ("case.opened", "queue.full"):
            title, body = message_of(an_outgoing(topic=topic, payload=payload), language)
            assert title
            assert body
            assert "\r" not in title + body


async def test_a_service_that_throws_is_a_failure(chat):
    from tillkeeper.notices.ops import ops_channels

    _, _, url = chat
    [channel] = ops_channels(1, [url("x")], some_settings())

    def throw(**_):
        raise RuntimeError("in a plug-in")

    channel._service.notify = throw
    assert await channel.send(an_outgoing()) == Failed(why="the service failed: RuntimeError")


def test_names_are_safe_in_headers_and_distinct():
    keys = ["order/1/2/order.closed", "a b", "订单", "x" * 500, "a\r\nb"]
    ids = [an_outgoing(key=key).id for key in keys]
    assert ids[0] == "order/1/2/order-closed"
    assert len(set(ids)) == len(keys)
    assert all(id_.isascii() and id_.isprintable() and "." not in id_ and len(id_) <= 200 for id_ in ids)
