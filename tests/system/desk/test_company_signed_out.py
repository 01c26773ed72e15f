"""Who signs out at the company's provider is signed out here: the provider says so, and nothing else is believed."""

import msgspec
import pytest
from aiohttp import web

from tests.browsing import desk_server
from tests.company_provider import CLIENT, DESK_URL, settings_for
from tests.forging_provider import a_key, forging, sealed, unsealed
from tests.system.desk.test_forged_sign_in import back, begun, comes_in
from tillkeeper.oidc.provider import open_provider
from tillkeeper.oidc.tokens import LOGOUT_LIVES_S, SIGNED_OUT, TOKEN_CHARS_MAX

OTHER = a_key("other")
OUT = "/sign-in/company/out"


@pytest.fixture
async def forger():
    async with forging() as one:
        yield one


@pytest.fixture
async def server(desk, forger, clock):
    async with (
        open_provider(settings_for(forger.issuer), DESK_URL, now=clock, monotonic_s=clock.monotonic_s) as provider,
        desk_server(msgspec.structs.replace(desk, provider=provider)) as server,
    ):
        yield server


@pytest.fixture
async def browser(server):
    async with server.browser() as one:
        yield one


def logout_claims(forger, clock, **changes):
    said = {
        "iss": forger.issuer,
        "sub": "00u1",
        "aud": CLIENT,
        "iat": int(clock().timestamp()),
        "jti": "j-1",
        "events": {SIGNED_OUT: {}},
    } | changes
    return {name: value for name, value in said.items() if value is not None}


async def signed_in(browser, forger, clock):
    sent = await begun(browser)
    forger.id_token = sealed(forger.claims(sent["nonce"], now=clock()), forger.key)
    assert (await back(browser, code="c", state=sent["state"])).status == 303
    assert await comes_in(browser)


async def told_out(server, token):
    """As the provider posts it: without a cookie, and without a form's token."""
    async with server.browser() as provider:
        answer = await provider.client.post(OUT, data={"logout_token": token})
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status


async def test_their_sessions_end_at_once_and_others_go_on(server, browser, forger, clock, pool):
    await signed_in(browser, forger, clock)
    async with server.browser() as other:
        sent = await begun(other)
        said = forger.claims(sent["nonce"], now=clock(), sub="00u2", email="jun@shop.example")
        forger.id_token = sealed(said, forger.key)
        assert (await back(other, code="c", state=sent["state"])).status == 303
        assert await told_out(server, sealed(logout_claims(forger, clock), forger.key)) == 200
        assert not await comes_in(browser)
        assert await comes_in(other)
    logged = await pool.fetch("SELECT person FROM access_log WHERE what = 'signed out at the company'")
    assert [row["person"] for row in logged] == ["mei@shop.example"]
    await signed_in(browser, forger, clock)  # and may come in again


async def test_nobody_need_be_here_to_be_signed_out(server, forger, clock):
    assert await told_out(server, sealed(logout_claims(forger, clock, sub="nobody"), forger.key)) == 200


FORGED = {
    "another issuer": {"iss": "https://evil.example"},
    "another client": {"aud": "another"},
    "no event": {"events": None},
    "another event": {"events": {"http://schemas.openid.net/event/other": {}}},
    "an event that is none": {"events": {SIGNED_OUT: "yes"}},
    "events that are none": {"events": SIGNED_OUT},
    "an ID token": {"nonce": "n"},
    "nobody named": {"sub": None, "sid": "s-1"},
    "a number for a name": {"sub": 7},
    "no time": {"iat": None},
    "a time that is none": {"iat": "now"},
    "no number of its own": {"jti": None},
}


@pytest.mark.parametrize("name", FORGED)
async def test_what_is_no_logout_token_for_us_ends_nothing(server, browser, forger, clock, name):
    await signed_in(browser, forger, clock)
    assert await told_out(server, sealed(logout_claims(forger, clock, **FORGED[name]), forger.key)) == 400
    assert await comes_in(browser)


async def test_what_the_provider_did_not_sign_just_now_ends_nothing(server, browser, forger, clock):
    await signed_in(browser, forger, clock)
    at = int(clock().timestamp())
    right = logout_claims(forger, clock)
    for token in (
        sealed(right, OTHER),
        unsealed(right),
        sealed(right | {"iat": at - LOGOUT_LIVES_S - 1}, forger.key),
        sealed(right | {"iat": at + 3_600}, forger.key),
        forger.id_token,
        "",
        "x.y.z",
        "\u202e" * 50,
        "a" * (TOKEN_CHARS_MAX - 1_000),
    ):
        assert await told_out(server, token) == 400, str(token)[:80]
    async with server.browser() as provider:
        assert (await provider.client.post(OUT)).status == 400
    assert await comes_in(browser)


async def test_while_the_provider_is_away_it_is_told_to_come_again(server, browser, forger, clock):
    forger.answers["/.well-known/openid-configuration"] = lambda: web.Response(status=500)
    assert await told_out(server, sealed(logout_claims(forger, clock), forger.key)) == 503
