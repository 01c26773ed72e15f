"""A refused delivery at the receiver: examined beside the event loop, kept, listed and shown, then judged anew."""

import threading
from datetime import timedelta

import msgspec

from tests.system.commands import tillkeeper, toml, written
from tests.system.receiving import ACCOUNT, PATH, SECRET, a_delivery, exchange, some_settings, status_of, until, wire
from tillkeeper import clock
from tillkeeper.diagnostics.findings import ADVICE, Finding
from tillkeeper.diagnostics.refusals import diagnose
from tillkeeper.gateways.registry import build
from tillkeeper.gateways.stripe.settings import StripeSettings
from tillkeeper.ingest import refusals
from tillkeeper.ingest.server import receiver
from tillkeeper.store.deliveries.refused import (
    KEPT_MAX,
    RefusedDelivery,
    keep_refused,
    list_refused,
    show_refused,
    tally_refused,
)

NOW = clock.now().replace(microsecond=0)
OTHER_SECRET = "whsec_of_another_account"
CLOSE = b"Connection: close\r\n"


def stripe(account="stripe-main", **settings):
    return build(account, StripeSettings.model_validate({**ACCOUNT, **settings}))


def genuine(now=NOW, **changes):
    return a_delivery("evt_1", now=now, **changes)


def a_refusal(**changes):
    told = {
        "account": "stripe-main",
        "received_at": NOW,
        "step": "signature",
        "finding": "wrong_secret",
        "reason": "not by any of the webhook_secrets",
        "detail": "",
        "query": "",
        "headers": (("stripe-signature", "t=1,v1=00"),),
        "body": b'{"id":"evt_1"}',
    }
    return RefusedDelivery(**{**told, **changes})


async def test_only_the_latest_of_an_account_are_kept(connection):
    for at in range(KEPT_MAX + 5):
        await keep_refused(connection, a_refusal(received_at=NOW + timedelta(seconds=at)))
    last = await keep_refused(connection, a_refusal(account="other", body=b"x" * 100_000))
    (mine,) = await tally_refused(connection, "stripe-main")
    assert mine.count == KEPT_MAX
    assert len(await list_refused(connection, limit=10_000)) == KEPT_MAX + 1
    shown = await show_refused(connection, last)
    assert shown.body is None
    assert shown.headers == (("stripe-signature", "t=1,v1=00"),)
    assert await show_refused(connection, last + 1) is None


async def test_a_refused_delivery_is_examined_and_kept_and_the_caller_learns_nothing(client, connection):
    headers, body = a_delivery("evt_late", now=clock.now() - timedelta(seconds=900))
    async with client.post(f"{PATH}?try=1", headers=headers, data=body) as answer:
        assert answer.status == 401
        assert b"900" not in await answer.read()

    async def is_kept():
        return bool(await list_refused(connection, limit=1))

    await until(is_kept)
    (kept,) = await list_refused(connection, limit=10)
    assert (kept.finding, kept.step, kept.body) == ("clock_skew", "time", body)
    assert {name for name, _ in kept.headers} <= {"stripe-signature", "content-type", "user-agent"}
    assert await connection.fetchval("SELECT count(*) FROM deliveries") == 0


async def test_it_is_examined_beside_the_event_loop_and_others_meanwhile_are_not(connection, database, monkeypatch):
    """The first is held in its thread; deliveries are answered, and of the refused ones none is examined besides."""
    goes_on, examined_in = threading.Event(), []

    def held(refused_request):
        examined_in.append(threading.current_thread())
        goes_on.wait(20)
        return diagnose(refused_request)

    monkeypatch.setattr(refusals, "diagnose", held)
    headers, body = a_delivery("evt_forged", secret=OTHER_SECRET)
    async with receiver(some_settings(database)) as port:
        for _ in range(3):
            assert status_of(await exchange(port, wire((headers, body), extra=CLOSE))) == 401
        assert status_of(await exchange(port, wire(a_delivery("evt_1"), extra=CLOSE))) == 200
        goes_on.set()
    assert len(examined_in) == 1
    assert examined_in[0] is not threading.main_thread()
    (kept,) = await list_refused(connection, limit=10)
    assert kept.finding == "wrong_secret"


async def test_what_is_large_is_kept_without_looking_into_it(client, connection):
    headers, body = a_delivery("evt_forged", secret=OTHER_SECRET)
    async with client.post(PATH, headers=headers, data=body + b" " * 100_000) as answer:
        assert answer.status == 401

    async def is_kept():
        return bool(await list_refused(connection, limit=1))

    await until(is_kept)
    (kept,) = await list_refused(connection, limit=10)
    assert (kept.finding, kept.detail, kept.body) == ("wrong_secret", refusals.TOO_LARGE, None)


async def test_a_flood_is_examined_a_few_times(client, connection):
    headers, body = a_delivery("evt_forged", secret=OTHER_SECRET)
    for _ in range(40):
        async with client.post(PATH, headers=headers, data=body) as answer:
            assert answer.status == 401

    async def is_kept():
        return bool(await list_refused(connection, limit=1))

    await until(is_kept)
    assert len(await list_refused(connection, limit=100)) <= 6


async def test_commands_list_and_show_what_was_refused(tmp_path, database, connection):
    config = written(tmp_path, toml(database))
    nothing = await tillkeeper("refused", "list", "--config", config)
    assert (nothing.code, nothing.out) == (0, "Nothing was refused of late.\n")
    number = await keep_refused(connection, a_refusal(query="a=1"))
    listed = await tillkeeper("refused", "list", "--config", config)
    assert ADVICE[Finding.WRONG_SECRET] in listed.out
    each = await tillkeeper("refused", "list", "--each", "--json", "--config", config)
    assert each.json["refused"][0]["id"] == number
    shown = await tillkeeper("refused", "show", number, "--config", config)
    assert "wrong_secret, at the step signature" in shown.out
    assert '{"id":"evt_1"}' in shown.out
    told = await tillkeeper("refused", "show", number, "--json", "--config", config)
    assert told.json["advice"] == ADVICE[Finding.WRONG_SECRET]
    assert (await tillkeeper("refused", "show", number + 1, "--config", config)).code == 1


async def test_a_refused_delivery_as_it_is_shown_tells_whether_new_keys_are_right(tmp_path, database, connection):
    headers, body = genuine(secret=OTHER_SECRET)
    refusal = a_refusal(received_at=NOW, headers=tuple((name.lower(), value) for name, value in headers.items()))
    number = await keep_refused(connection, msgspec.structs.replace(refusal, body=body))
    for secret, code in ((SECRET, 1), (OTHER_SECRET, 0)):
        config = written(tmp_path, toml(database).replace(SECRET, secret))
        shown = await tillkeeper("refused", "show", number, "--json", "--config", config)
        told = await tillkeeper("inspect", "-", "--json", "--config", config, told=shown.out.encode())
        assert (told.code, told.json["verified"]) == (code, code == 0)


async def test_keys_say_which_is_used_and_which_may_go(tmp_path, database, connection):
    new, old = stripe(webhook_secrets=[SECRET, OTHER_SECRET]).key_labels()
    gone = "webhook_secrets[2]:abcd"
    for key, days in ((new, 0), (old, 12), (gone, 40)):
        at = clock.now() - timedelta(days=days)
        await connection.execute("INSERT INTO key_uses VALUES ('stripe-main', $1, $2, $2, 7)", key, at)
    text = toml(database).replace(f'["{SECRET}"]', f'["{SECRET}", "{OTHER_SECRET}", "whsec_never_used_by_any"]')
    done = await tillkeeper("keys", "--json", "--config", written(tmp_path, text))
    says = {row["key"]: row["says"] for row in done.json["keys"]}
    assert says[new] == "in use"
    assert says[old] == "not used for 12 days, safe to remove"
    assert says[gone] == "not configured any more"
    assert sorted(says.values())[1].startswith("never used")
    assert (await tillkeeper("keys", "--config", written(tmp_path, text))).code == 0


async def test_a_changed_secret_and_a_new_account_are_taken_up_without_a_restart(tmp_path, database, monkeypatch):
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    text = toml(database).replace(f'["{SECRET}"]', f'["file:{secret}"]')
    config = written(tmp_path, text)
    monkeypatch.setenv("TILLKEEPER_CONFIG", str(config))
    monkeypatch.setattr("tillkeeper.ingest.server.LOOK_EVERY_S", 0.05)
    from tillkeeper.settings import load_settings

    async with receiver(load_settings()) as port:

        async def answers(signed, status, path=PATH):
            import aiohttp

            headers, body = signed
            url = f"http://127.0.0.1:{port}{path}"
            async with aiohttp.ClientSession() as client, client.post(url, headers=headers, data=body) as answer:
                return answer.status == status

        assert await answers(a_delivery("evt_1"), 200)
        secret.write_text(OTHER_SECRET)
        await until(lambda: answers(a_delivery("evt_2", secret=OTHER_SECRET), 200))
        assert await answers(a_delivery("evt_3"), 401)
        more = '\n[accounts.stripe-eu]\ngateway = "stripe"\n'
        config.write_text(f'{text}{more}webhook_secrets = ["whsec_of_the_new_one"]\n')
        new = a_delivery("evt_4", secret="whsec_of_the_new_one")
        await until(lambda: answers(new, 200, "/webhooks/stripe-eu"))
        config.write_text(text + more)  # bad: nothing changes
        await until(lambda: answers(new, 200, "/webhooks/stripe-eu"))
        config.write_text(text)
        await until(lambda: answers(new, 404, "/webhooks/stripe-eu"))
