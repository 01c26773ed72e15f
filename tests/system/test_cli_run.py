"""`tillkeeper run` and the roles as processes: how they start, share figures, wait, and end."""

import asyncio
import os
import signal
import socket

import aiohttp
import pytest

from tests.system import receiving
from tests.system.commands import (
    CLOSED_PORT_URL,
    WITHIN_S,
    children_of,
    gone,
    serving,
    tillkeeper,
    toml,
    written,
)


async def test_run_takes_a_webhook_to_its_order_and_stops_in_order(tmp_path, empty_database):
    config = written(tmp_path, toml(empty_database))
    async with serving("run", "--config", config) as run:
        port = (await run.saw("ingest_listening"))["port"]
        await run.saw("worker_started")
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=receiving.AUTHORIZED) as client:
            order = {"amount": 12900, "currency": "CNY", "accounts": ["stripe-main"]}
            async with client.put("/orders/ORDER-1", json=order) as answer:
                assert answer.status == 201
            headers, body = receiving.a_delivery("evt_1", order_ref="ORDER-1")
            async with client.post(receiving.PATH, data=body, headers=headers) as answer:
                assert answer.status == 200
            answered = await until_paid(client, "ORDER-1")
        told = (await tillkeeper("order", "show", "ORDER-1", "--json", "--config", config)).json
        history = told.pop("history")
        assert told == answered
        assert [(entry["event_id"], entry["evidence"], entry["outcome"]) for entry in history] == [
            ("evt_1", "webhook", "applied")
        ]
        shown = (await tillkeeper("order", "show", "ORDER-1", TILLKEEPER_CONFIG=str(config))).out
        assert "paid 已支付" in shown
        assert "129.00 CNY" in shown
        books = await tillkeeper("audit", "--json", "--grace", "0", "--config", config)
        assert books.code == 0
        assert (books.json["balances"], books.json["accepted"], books.json["outcomes"]) == (True, 1, {"applied": 1})
        verdict = (await tillkeeper("audit", "--config", config)).out
        assert verdict.endswith("The books balance.\n")
        run.child.send_signal(signal.SIGINT)
        await run.saw("ingest_stopped")
        run.child.send_signal(signal.SIGINT)  # a person in a hurry
        assert await run.ended() == 0
    first, *then, last = run.events()[-6:]
    assert (first, sorted(then), last) == (
        "ingest_stopped",
        ["desk_stopped", "notify_stopped", "sweep_stopped", "worker_stopped"],
        "run_stopped",
    )
    assert run.other == [""]  # nothing but log lines, to the end


async def until_paid(client, order_ref):
    async with asyncio.timeout(WITHIN_S):
        while True:
            async with client.get(f"/orders/{order_ref}") as answer:
                found = await answer.json()
            if found["status"] == "paid":
                return found
            await asyncio.sleep(0.02)


async def test_run_waits_for_the_database(tmp_path, database, postgres_server):
    await postgres_server.stop()
    async with serving("run", "--config", written(tmp_path, toml(database))) as run:
        await run.saw("database_unavailable")
        await postgres_server.start()
        await run.saw("ingest_listening")
        await run.saw("worker_started")


async def test_run_can_be_stopped_while_it_waits(tmp_path):
    async with serving("run", "--config", written(tmp_path, toml(CLOSED_PORT_URL))) as run:
        await run.saw("database_unavailable")
        run.child.send_signal(signal.SIGTERM)
        assert await run.ended() == 0


async def test_run_starts_a_child_again_and_its_children_end_with_it(config):
    async with serving("run", "--config", config) as run:
        await run.saw("ingest_listening")
        await run.saw("worker_started")
        (receiver,) = [pid for pid, command in children_of(run.pid).items() if " ingest " in command]
        os.kill(receiver, signal.SIGKILL)
        died = await run.saw("process_died")
        assert (died["process"], died["pid"], died["code"]) == ("ingest", receiver, -signal.SIGKILL)
        await run.saw("ingest_listening", times=2)
        orphans = [os.pidfd_open(pid) for pid in children_of(run.pid)]
        assert len(orphans) == 5  # ingest, work, sweep, notify, desk
        run.child.kill()
        for orphan in orphans:
            await gone(orphan)


async def test_several_workers_share_their_figures_and_end_together(tmp_path, database):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = written(tmp_path, toml(database, work=f"metrics_port = {port}\nprocesses = 2"))
    async with serving("work", "--config", config) as workers:
        await workers.saw("worker_started", times=2)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            async with client.get("/healthz") as answer:
                assert (answer.status, await answer.json()) == (200, {"alive": True})
            async with client.get("/metrics") as answer:
                assert "tillkeeper_apply_batch_events_count" in await answer.text()
        processes = [os.pidfd_open(pid) for pid in children_of(workers.pid)]
        assert len(processes) == 2
        workers.child.send_signal(signal.SIGTERM)
        assert await workers.ended() == 0
        assert workers.events().count("worker_stopped") == 2
        for process in processes:
            await gone(process)


@pytest.mark.parametrize("role", ["ingest", "work", "sweep", "notify", "desk", "run"])
async def test_a_hangup_ends_no_process(tmp_path, database, role):
    began = {"ingest": "ingest_listening", "work": "worker_started", "desk": "desk_listening", "run": "schema_ready"}
    async with serving(role, "--config", written(tmp_path, toml(database))) as process:
        await process.saw(began.get(role, f"{role}_started"))
        process.child.send_signal(signal.SIGHUP)
        await process.saw("sighup_ignored")
        process.child.send_signal(signal.SIGTERM)
        assert await process.ended() == 0
