"""`tillkeeper check`: every line seen right and seen wrong, on real servers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import aio_pika
import asyncpg
import pytest
from aiohttp import web
from aiosmtpd.smtp import AuthResult

from tests.collector import collecting
from tests.company_provider import DESK_URL, desk_toml
from tests.forging_provider import forging
from tests.notice_servers import smtp_server
from tests.signers import signers_at
from tests.system.checking import TlsProxy, an_authority
from tests.system.commands import CLOSED_PORT_URL, serving, tillkeeper, toml, written
from tests.system.receiving import SECRET
from tillkeeper import clock
from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.lanes.topology import Topology, declare
from tillkeeper.sandbox.accounts import account_of, new_signers, write_config
from tillkeeper.sandbox.apis.faults import ApiFault, FaultPeriod, Faults
from tillkeeper.sandbox.apis.query_log import QueryLog
from tillkeeper.sandbox.apis.server import serving as serving_apis
from tillkeeper.sandbox.servers.child import free_ports
from tillkeeper.sandbox.simulators.apis import api_handlers
from tillkeeper.sandbox.simulators.registry import ledger_of

PASSWORD = "hunter2-of-the-check"


async def checked(config, *options, code=None, **environ):
    """The lines by what they are about, each a list of (state, says, do)."""
    ended = await tillkeeper("check", "--config", config, "--json", *options, **environ)
    assert ended.code in ((0, 1) if code is None else (code,)), ended.out + ended.err
    assert ended.json["ready"] == (ended.code == 0)
    assert PASSWORD not in ended.out
    assert SECRET not in ended.out
    found = {}
    for line in ended.json["lines"]:
        assert (line["state"] in ("ok", "off")) or line["do"], "what to do is not told"
        found.setdefault(line["what"], []).append((line["state"], line["says"], line["do"]))
    return found


async def line(config, what, *options, **environ):
    """The one line about this."""
    [found] = (await checked(config, *options, **environ))[what]
    return found


# --- configuration, secrets, policy -----------------------------------------------------------------------------------


async def test_a_misspelt_key_is_wrong_and_the_rest_is_looked_at_all_the_same(tmp_path, database):
    config = written(tmp_path, toml(database).replace("webhook_secrets", "webhook_secret"))
    found = await checked(config, code=1)
    assert found["configuration"] == [
        ("wrong", "accounts.stripe-main.webhook_secrets: is required", f"change it in {config}"),
        (
            "wrong",
            "accounts.stripe-main.webhook_secret: is not a setting; is it misspelt?",
            f"change it in {config}",
        ),
    ]
    assert found["database"][0][0] == "ok"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("database_url = ", "is not TOML"),
        ("database_url = 'mysql://db'", "database_url: must begin with postgresql://"),
        ("env_file = '/nowhere'", "env_file: /nowhere cannot be read: No such file or directory"),
    ],
)
async def test_what_cannot_be_used_at_all_is_told(tmp_path, text, says):
    state, told, _ = await line(written(tmp_path, text), "configuration")
    assert state == "wrong"
    assert says in told


async def test_a_missing_secret_is_named_with_the_file_to_fill_in(tmp_path, database):
    await tillkeeper("init", tmp_path, "--gateway", "stripe", "--yes", "--database-url", database)
    found = await checked(tmp_path / "tillkeeper.toml", code=1)
    assert [(state, says.split(":")[0], do) for state, says, do in found["secrets"]] == [
        ("to do", "accounts.stripe-main.webhook_secrets.0", f"fill it in in {tmp_path / 'tillkeeper.env'}"),
        ("to do", "accounts.stripe-main.api_key", f"fill it in in {tmp_path / 'tillkeeper.env'}"),
    ]
    assert found["configuration"][0][0] == "ok"
    assert found["schema"][0][0] == "ok"


async def test_a_doubtful_secret_and_an_open_env_file_are_to_do(tmp_path, database):
    (tmp_path / "open.env").write_text(f"WHSEC={SECRET}\n")
    (tmp_path / "open.env").chmod(0o644)
    text = f'env_file = "{tmp_path}/open.env"\n' + toml(database).replace(f'"{SECRET}"', '"env:WHSEC"')
    config = written(tmp_path, text.replace("token-of-the-system-tests", "secret-secret-secret-token"))
    found = await checked(config, code=1)
    assert [says for _, says, _ in found["secrets"]] == [
        "api_tokens.0 can be guessed; make it at random, with: openssl rand -hex 32",
        f"{tmp_path}/open.env can be read by others than its owner",
    ]
    (tmp_path / "open.env").chmod(0o600)
    assert len((await checked(config, code=1))["secrets"]) == 1


async def test_a_bad_policy_is_wrong(tmp_path, database):
    (tmp_path / "policy.toml").write_text("[processing]\nsteps = 3\n")
    config = written(tmp_path, f'policy = "{tmp_path}/policy.toml"\n' + toml(database))
    state, says, _ = await line(config, "policy")
    assert state == "wrong"
    assert says.startswith("processing")


async def test_without_accounts_something_is_left_to_do(tmp_path, database):
    config = written(tmp_path, f'database_url = "{database}"')
    assert (await checked(config, code=1))["configuration"][-1][:2] == ("to do", "there is no account")


# --- database ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (CLOSED_PORT_URL.replace("postgres@", f"till:{PASSWORD}@"), "out of reach"),
        ("postgresql://till@host..name/till", "cannot be looked up"),
    ],
)
async def test_a_database_that_is_not_there_is_wrong(tmp_path, url, says):
    found = await checked(written(tmp_path, toml(url)), code=1)
    assert found["database"][0][0] == "wrong"
    assert says in found["database"][0][1]
    assert "schema" not in found


async def test_a_database_of_another_name_is_wrong(tmp_path, database):
    state, says, do = await line(written(tmp_path, toml(f"{database}_nowhere")), "database")
    assert state == "wrong"
    assert "does not exist" in says
    assert "createdb" in do


async def test_a_server_that_may_lose_commits_is_wrong(tmp_path, database):
    async with asyncpg.create_pool(database, min_size=1, max_size=1) as owner:
        name = await owner.fetchval("SELECT current_database()")
        await owner.execute(f"ALTER DATABASE {name} SET synchronous_commit = 'off'")
    state, says, _ = await line(written(tmp_path, toml(database)), "database")
    assert (state, says.split(";")[0]) == ("wrong", "PostgreSQL runs with synchronous_commit = off")


@pytest.mark.parametrize(
    ("statement", "state", "says"),
    [
        ("DROP SCHEMA public CASCADE; CREATE SCHEMA public", "to do", "there is none"),
        ("DELETE FROM schema_versions WHERE version > 1", "to do", "run `tillkeeper db upgrade`"),
        (
            "INSERT INTO schema_versions (version, name, oldest_program, finished_at) VALUES (90, 'later', 90, now())",
            "to do",
            "install a later Tillkeeper",
        ),
    ],
)
async def test_a_schema_that_cannot_be_served_is_told(config, connection, statement, state, says):
    await connection.execute(statement)
    found = await line(config, "schema")
    assert found[0] == state
    assert says in found[1]


@pytest.fixture
async def role(database):
    """Makes a login with these words of SQL; gives its URL."""
    owner = await asyncpg.connect(database)
    ended = await tillkeeper("db", "roles")
    await owner.execute(ended.out)
    await owner.execute(f"CREATE ROLE till_check LOGIN PASSWORD '{PASSWORD}'")
    host = database.rpartition("@")[2]
    yield owner, f"postgresql://till_check:{PASSWORD}@{host}"
    groups = await owner.fetch("SELECT rolname FROM pg_roles WHERE rolname LIKE 'tillkeeper\\_%'")
    for name in ("till_check", *(each["rolname"] for each in groups)):
        await owner.execute(f"DROP OWNED BY {name}")
        await owner.execute(f"DROP ROLE {name}")
    await owner.close()


async def test_rights_are_right_for_the_group_of_a_process_and_wrong_without_one(tmp_path, role):
    owner, url = role
    config = written(tmp_path, toml(url))
    await owner.execute("GRANT SELECT ON schema_versions TO till_check")
    state, says, do = await line(config, "rights")
    assert state == "wrong"
    assert "till_check may not " in says
    assert " and " in says
    assert "tillkeeper db roles" in do
    await owner.execute("GRANT tillkeeper_ingest TO till_check")
    assert (await line(config, "rights"))[:2] == ("ok", "till_check has the rights of tillkeeper_ingest")
    await owner.execute("REVOKE INSERT ON spool FROM tillkeeper_ingest")
    assert (await line(config, "rights"))[:2] == ("wrong", "till_check may not INSERT ON spool")


async def test_an_owner_and_a_superuser_are_told_that_less_would_do(config):
    state, says, _ = await line(config, "rights")
    assert state == "ok"
    assert "superuser" in says


@pytest.mark.parametrize(("seconds", "state"), [(0, "ok"), (20, "to do"), (120, "wrong"), (-120, "wrong")])
async def test_the_databases_clock_is_held_against_ours(config, monkeypatch, seconds, state):
    really = clock.now
    monkeypatch.setattr(clock, "now", lambda: really() - timedelta(seconds=seconds))
    found = await line(config, "clock")
    assert found[0] == state
    if seconds:
        assert f"the database is {abs(seconds)} s {'ahead' if seconds > 0 else 'behind'}" in found[1]


# --- broker -----------------------------------------------------------------------------------------------------------


def with_broker(tmp_path, database, url, prefix):
    return written(tmp_path, toml(database, more=f'broker_url = "{url}"\nbroker_prefix = "{prefix}"'))


async def test_a_broker_that_does_not_let_us_in_is_wrong(tmp_path, database, broker_url):
    host = broker_url.rpartition("@")[2]
    for url in (f"amqp://till:{PASSWORD}@127.0.0.1:1/", f"amqp://till:{PASSWORD}@{host}", f"{broker_url}nowhere"):
        found = await line(with_broker(tmp_path, database, url, "check"), "broker")
        assert found[0] == "wrong", url


async def test_queues_are_to_do_then_right_then_wrong_where_they_are_of_another_sort(
    tmp_path, database, broker_url, broker_prefix
):
    config, topology = with_broker(tmp_path, database, broker_url, broker_prefix), Topology(prefix=broker_prefix)
    state, says, _ = await line(config, "broker")
    assert state == "to do"
    assert f"exchange {broker_prefix}.events" in says
    connection = await aio_pika.connect(broker_url)
    async with connection:
        await declare(await connection.channel(), topology)
        found = await checked(config, code=1)
        assert found["broker"][0][0] == "ok"
        assert found["broker policies"][0][0] == "off"
        channel = await connection.channel()
        await channel.queue_delete(topology.queue(0))
        await channel.declare_queue(topology.queue(0), durable=True)
    state, says, _ = await line(config, "broker")
    assert state == "wrong"
    assert f"{broker_prefix}.events.0" in says


@pytest.fixture
async def declared(tmp_path, database, broker_url, broker_prefix):
    """A configuration whose queues are there."""
    connection = await aio_pika.connect(broker_url)
    async with connection:
        await declare(await connection.channel(), Topology(prefix=broker_prefix))
    return with_broker(tmp_path, database, broker_url, broker_prefix)


@pytest.mark.parametrize(("definition", "state"), [({}, "ok"), ({"message-ttl": 60000}, "wrong")])
async def test_policies_that_lose_deliveries_are_wrong(declared, definition, state):
    async def queue(_request):
        return web.json_response({"policy": "all", "effective_policy_definition": definition})

    app = web.Application()
    app.router.add_get("/api/queues/{vhost}/{queue}", queue)
    async with listening(app) as url:
        found = await line(declared, "broker policies", "--management", url)
    assert found[0] == state


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


# --- accounts ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def apis_of(signers, *periods, ahead=timedelta()) -> AsyncIterator[dict[str, str]]:
    """The gateways' APIs, whose clock is ahead of ours."""
    ledger = ledger_of({account: signer.gateway for account, signer in signers.items()})
    handlers = api_handlers(signers, ledger, now=lambda: clock.now() + ahead, log=QueryLog(), faults=Faults(periods))
    async with serving_apis(handlers) as bases:
        yield bases


def config_of(tmp_path, database, signers, bases, *, more=""):
    config = tmp_path / "tillkeeper.toml"
    token = "b0fe7c9c0a53b1b2"
    write_config(config, signers, database_url=database, broker_url=None, port=0, token=token, bases=bases, more=more)
    return config


async def test_every_gateway_answers_a_harmless_call(tmp_path, database):
    signers = signers_at(sorted(GATEWAYS))
    async with apis_of(signers) as bases:
        config = config_of(tmp_path, database, signers, bases)
        found = await checked(config, "--live", code=0)
        for name in sorted(GATEWAYS):
            [(state, says, _)] = found[f"account {account_of(name)}"]
            assert state == "ok", says
            queryable = bool(GATEWAYS[name].queryable)
            assert ("answers, and knows our keys" in says) == queryable
    assert {state for state, *_ in found["clock"]} == {"ok"}


async def test_an_account_that_cannot_be_queried_is_to_do(config):
    state, says, do = await line(config, "account stripe-main")
    assert (state, do) == ("to do", "set api_key (deploy/accounts.toml)")
    assert "a lost webhook stays lost" in says


@pytest.mark.parametrize(
    ("fault", "do"),
    [
        (ApiFault.HUNG_UP, "reaches"),
        (ApiFault.GATEWAY_TIMEOUT, "reaches"),
        (ApiFault.FORGED, "the keys that verify answers"),
    ],
)
async def test_a_gateway_that_does_not_answer_is_wrong(tmp_path, database, fault, do):
    signers, now = new_signers(["alipay"]), clock.now()
    period = FaultPeriod(account="alipay-main", fault=fault, since=now, until=now + timedelta(hours=1))
    async with apis_of(signers, period) as bases:
        config = config_of(tmp_path, database, signers, bases)
        assert (await line(config, "account alipay-main"))[0] == "ok"  # it is called only where that is wanted
        found = await line(config, "account alipay-main", "--live")
    assert found[0] == "wrong"
    assert do in found[2]


async def test_keys_that_the_gateway_does_not_know_are_wrong(tmp_path, database):
    signers, others = new_signers(["stripe"]), new_signers(["stripe"])
    async with apis_of(signers) as bases:
        found = await line(config_of(tmp_path, database, others, bases), "account stripe-main", "--live")
    assert found[0] == "wrong"
    assert "replace its API credentials" in found[2]


async def test_a_gateways_clock_is_held_against_ours(tmp_path, database):
    signers = new_signers(["stripe"])
    async with apis_of(signers, ahead=timedelta(minutes=4)) as bases:
        found = await checked(config_of(tmp_path, database, signers, bases), "--live", code=1)
    assert [state for state, *_ in found["clock"]] == ["ok", "wrong"]


# --- the public URL ---------------------------------------------------------------------------------------------------


def at(tmp_path, database, url, *, port=0):
    return written(tmp_path, toml(database, ingest=f'port = {port}\npublic_url = "{url}"'))


async def test_a_receiver_behind_tls_is_reached_under_its_public_url(tmp_path, database):
    authority = an_authority(tmp_path)
    [port] = free_ports(1)
    async with TlsProxy(authority, to_port=port) as proxy:
        config, trust = at(tmp_path, database, proxy.url, port=port), {"SSL_CERT_FILE": str(authority.path)}
        state, says, _ = await line(config, "public URL", as_program=True, **trust)
        assert state == "to do"
        assert "nobody answers" in says
        async with serving("ingest", "--config", config) as receiver:
            await receiver.saw("ingest_listening")
            assert (await line(config, "public URL", as_program=True, **trust))[0] == "ok"
            assert (await line(config, "public URL"))[0] == "wrong"  # nobody vouches for the certificate
            proxy.use(authority.certificate(days=9))
            state, says, _ = await line(config, "public URL", as_program=True, **trust)
            assert (state, says.rpartition("; ")[2]) == ("to do", "its certificate ends in 8 days")


@pytest.mark.parametrize(
    ("answered", "state", "says"),
    [
        ((404, {}), "wrong", "not found"),
        ((502, {}), "to do", "no receiver is behind it"),
        ((301, {"Location": "/"}), "wrong", "answers 301"),
        ((405, {"Allow": "GET"}), "wrong", "answers 405"),
        ((405, {"Allow": "POST"}), "to do", "without TLS"),
    ],
)
async def test_an_address_that_leads_elsewhere_is_told(tmp_path, database, answered, state, says):
    async def answer(_request):
        return web.Response(status=answered[0], headers=answered[1])

    app = web.Application()
    app.router.add_route("*", "/webhooks/stripe-main", answer)
    async with listening(app) as url:
        found = await line(at(tmp_path, database, url), "public URL")
    assert found[0] == state
    assert says in found[1]


async def test_the_example_of_init_is_to_do(tmp_path, database):
    found = await line(at(tmp_path, database, "https://pay.example.com"), "public URL")
    assert found[:2] == ("to do", "https://pay.example.com is an example")


# --- notices ----------------------------------------------------------------------------------------------------------


def with_mail(tmp_path, database, port):
    smtp = f'host = "127.0.0.1"\nport = {port}\nsecurity = "none"'
    return written(tmp_path, toml(database) + f'\n[notify]\nfrom_address = "pay@shop.de"\n[notify.smtp]\n{smtp}\n')


async def test_the_mail_server_is_asked_and_nothing_is_sent(tmp_path, database):
    async with smtp_server() as mailbox:
        config = with_mail(tmp_path, database, mailbox.port)
        state, says, _ = await line(config, "mail")
        assert (state, says) == ("ok", f"127.0.0.1:{mailbox.port} takes mail from pay@shop.de")
        mailbox.on_mail = "550 not you"
        state, says, _ = await line(config, "mail")
        assert state == "wrong"
        assert "550 not you" in says
        assert mailbox.rcpt == mailbox.raw == []
    assert (await line(config, "mail"))[0] == "wrong"


async def test_a_login_that_the_mail_server_refuses_is_wrong_and_not_shown(tmp_path, database):
    authority = an_authority(tmp_path)

    def refuse(server, session, envelope, mechanism, login):
        return AuthResult(success=False, handled=False)

    options = {"tls_context": authority.server_context(), "require_starttls": True, "authenticator": refuse}
    async with smtp_server(**options) as mailbox:
        smtp = f'host = "127.0.0.1"\nport = {mailbox.port}\nusername = "till"\npassword = "{PASSWORD}"'
        text = toml(database) + f'\n[notify]\nfrom_address = "pay@shop.de"\n[notify.smtp]\n{smtp}\n'
        config = written(tmp_path, text)
        state, says, _ = await line(config, "mail", as_program=True, SSL_CERT_FILE=str(authority.path))
    assert state == "wrong"
    assert "535" in says


@pytest.mark.parametrize(("url", "state"), [("json://127.0.0.1/x", "ok"), (f"nowhere://{PASSWORD}", "wrong")])
async def test_an_address_that_apprise_does_not_know_is_wrong(tmp_path, database, url, state):
    config = written(tmp_path, toml(database) + f'\n[notify.ops]\n1 = ["{url}"]\n')
    assert (await line(config, "ops messages"))[0] == state


async def test_the_merchants_systems_are_named(tmp_path, database):
    hook = 'url = "https://shop.de/hook"\nsecrets = ["whsec_aHVudGVyMmh1bnRlcjJodW50ZXIy"]'
    config = written(tmp_path, toml(database) + f"\n[notify.webhooks.shop]\n{hook}\n")
    assert (await line(config, "notices"))[:2] == ("ok", "signed and posted to shop")


# --- all of it --------------------------------------------------------------------------------------------------------


async def test_everything_is_ready(tmp_path, database):
    signers = new_signers(["stripe", "alipay"])
    async with apis_of(signers) as bases:
        config = config_of(tmp_path, database, signers, bases)
        assert (await checked(config, "--live", code=0))["public URL"][0][0] == "off"
        ended = await tillkeeper("check", "--config", config, COLUMNS="80")
    assert ended.code == 0
    assert ended.out.endswith("\nEverything is ready.\n")
    assert max(map(len, ended.out.splitlines())) <= 120


async def test_the_page_says_what_is_left(config):
    ended = await tillkeeper("check", "--config", config)
    assert ended.code == 1
    [left] = [each for each in ended.out.splitlines() if each.startswith("to do")]
    assert left.startswith("to do  account stripe-main")
    assert "-> set api_key (deploy/accounts.toml)" in ended.out
    assert ended.out.endswith(" lines are left to do.\n")


# --- the company's accounts -------------------------------------------------------------------------------------------


async def test_the_provider_of_the_companys_accounts_is_asked_who_it_is(tmp_path, database):
    what = "company accounts"
    assert (await line(written(tmp_path, toml(database)), what))[0] == "off"
    async with forging() as provider:
        config = written(tmp_path, toml(database, desk=desk_toml(provider.issuer)))
        told = f"{provider.issuer} answers, with 1 keys; its redirect URI is {DESK_URL}/sign-in/company/back"
        assert await line(config, what) == ("ok", told, "")
        provider.discovery = {"issuer": "https://another.example"}
        state, says, do = await line(config, what)
        assert (state, says) == (
            "wrong",
            f"desk.oidc.issuer is {provider.issuer}, and the provider calls itself https://another.example",
        )
        assert do.startswith("copy the issuer")
        provider.discovery = {"id_token_signing_alg_values_supported": ["HS256"]}
        assert (await line(config, what))[:2] == ("wrong", f"{provider.issuer} signs with no algorithm that is taken")
    state, says, do = await line(config, what)
    assert (state, says) == ("wrong", f"{provider.issuer}/.well-known/openid-configuration: ClientConnectorError")
    assert do == f"see that this machine reaches {provider.issuer}; passwords work meanwhile"


# --- traces -----------------------------------------------------------------------------------------------------------


async def test_a_collector_is_asked_whether_it_takes_traces(tmp_path, database):
    async with collecting() as collector:
        told = toml(database)
        assert await line(written(tmp_path, told), "traces") == (
            "off",
            "not made",
            "set tracing.endpoint to have them sent to a collector",
        )
        headers = f'headers = {{ Authorization = "{PASSWORD}" }}'
        config = written(tmp_path, f'{told}\n[tracing]\nendpoint = "{collector.endpoint}"\n{headers}')
        assert await line(config, "traces") == ("ok", f"{collector.endpoint} takes them", "")
        assert collector.headers[0]["Authorization"] == PASSWORD
        collector.status = 401
        state, says, _ = await line(config, "traces")
        assert (state, says) == ("wrong", f"{collector.endpoint} answered 401")
    state, says, _ = await line(config, "traces")
    assert (state, says) == ("wrong", f"{collector.endpoint}: nobody answers (ClientConnectorError)")
