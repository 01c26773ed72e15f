"""Signing in at the desk with a company's account, at a provider that forges, lies and fails."""

import hmac
import json
import re
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey, OctKey, OKPKey

from tests.browsing import desk_server
from tests.company_provider import CLIENT, DESK_URL, SECRET, settings_for
from tests.forging_provider import a_key, base64url, by_hand, forging, sealed, unsealed
from tillkeeper.desk.access.cookies import FLOW_COOKIE, SESSION_COOKIE
from tillkeeper.oidc.discovery import DISCOVERY
from tillkeeper.oidc.provider import CODES_AT_ONCE, CODES_PER_S, FRESH_S, KEYS_AGAIN_S, open_provider
from tillkeeper.oidc.tokens import CLOCK_SKEW_S, TOKEN_CHARS_MAX

BACK = "/sign-in/company/back"
AGAIN, AWAY, MISFIT = (400, "That did not sign you in"), (503, "does not answer"), (502, "is not set up right")
OTHER, CURVE = a_key("other"), ECKey.generate_key("P-256", {"kid": "curve"})
EDWARDS = OKPKey.generate_key("Ed25519", {"kid": "edwards"})


@pytest.fixture
async def forger():
    async with forging() as one:
        yield one


@pytest.fixture
async def server(desk, forger, clock):
    settings = settings_for(forger.issuer)
    async with (
        open_provider(settings, DESK_URL, now=clock, monotonic_s=clock.monotonic_s) as provider,
        desk_server(msgspec.structs.replace(desk, provider=provider)) as server,
    ):
        yield server


@pytest.fixture
async def browser(server):
    async with server.browser() as one:
        yield one


async def begun(browser, wanted="/"):
    """What the browser was sent to the provider with."""
    answer = await browser.get(f"/sign-in/company?next={quote(wanted)}")
    assert answer.status == 303, await answer.text()
    return {name: value for name, [value] in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


async def back(browser, **query):
    return await browser.client.get(BACK, params=query, allow_redirects=False)


async def told(answer):
    """The status, and the sentence that the page begins with."""
    found = re.search(r"<h1>(.*?)</h1>", await answer.text())
    return answer.status, found and found[1]


async def comes_in(browser):
    return (await browser.get("/me")).status == 200


def is_like(told, wanted):
    return told[0] == wanted[0] and wanted[1] in told[1]


async def try_token(browser, forger, make, clock):
    """Brings back a code for which the provider gives the token that `make` makes."""
    sent = await begun(browser)
    forger.id_token = make(forger, forger.claims(sent["nonce"], now=clock()))
    return await back(browser, code="c", state=sent["state"])


def saying(**changes):
    """A token that is right but for this; None takes a claim away."""

    def make(forger, claims):
        return sealed({name: value for name, value in (claims | changes).items() if value is not None}, forger.key)

    return make


def at(**seconds):
    """A token with times so many seconds from now."""
    return lambda forger, claims: sealed(
        claims | {name: claims["iat"] + more for name, more in seconds.items()}, forger.key
    )


def spoilt(forger, claims):
    head, body, seal = sealed(claims, forger.key).split(".")
    return f"{head}.{body}.{'A' if seal[0] != 'A' else 'B'}{seal[1:]}"


def other_content(forger, claims):
    head, _, seal = sealed(claims, forger.key).split(".")
    return f"{head}.{base64url(json.dumps(claims | {'groups': ['till-admins']}).encode())}.{seal}"


def as_a_secret(forger, claims):
    """The public key, which everybody knows, as if it were a secret that both share."""
    secret = forger.key.as_pem(private=False)
    return by_hand(claims, lambda signed: hmac.digest(secret, signed, "sha256"), alg="HS256", kid=forger.key.kid)


def demanding(forger, claims):
    """One whose signature holds, with a header that must not be passed over."""

    def seal(signed):
        return forger.key.private_key.sign(signed, PKCS1v15(), SHA256())

    return by_hand(claims, seal, alg="RS256", kid=forger.key.kid, crit=["till"], till=True)


FORGED = {
    "nobody signed it": lambda forger, claims: unsealed(claims),
    "nobody signed it, it names the key": lambda forger, claims: unsealed(claims, kid=forger.key.kid),
    "none, spelt otherwise": lambda forger, claims: unsealed(claims, alg="NONE"),
    "the public key as a secret": as_a_secret,
    "the client's secret": lambda _, claims: sealed(claims, OctKey.import_key(SECRET, {"kid": "one"}), "HS256"),
    "another's key of the same name": lambda _, claims: sealed(claims, OTHER, kid="one"),
    "a key that is not published": lambda _, claims: sealed(claims, OTHER, kid="two"),
    "it brings its key along": lambda _, claims: sealed(claims, OTHER, kid="two", jwk=OTHER.as_dict(private=False)),
    "it says where its key is": lambda _, claims: sealed(claims, OTHER, kid="two", jku="https://evil.example/keys"),
    "another algorithm than the key's": lambda forger, claims: sealed(claims, CURVE, "ES256", kid=forger.key.kid),
    "an algorithm that the provider does not use": lambda forger, claims: sealed(claims, forger.key, "RS512"),
    "a spoilt signature": spoilt,
    "another content": other_content,
    "it demands what is not known": demanding,
    "another issuer": saying(iss="https://evil.example"),
    "nearly the issuer": lambda forger, claims: sealed(claims | {"iss": forger.issuer + "/"}, forger.key),
    "no issuer": saying(iss=None),
    "an issuer that is a list": lambda forger, claims: sealed(claims | {"iss": [forger.issuer]}, forger.key),
    "for another client": saying(aud="another"),
    "for nobody": saying(aud=None),
    "for an empty list": saying(aud=[]),
    "for another client too, and does not say who asked": saying(aud=[CLIENT, "another"]),
    "for another client, who asked": saying(aud=[CLIENT, "another"], azp="another"),
    "another asked": saying(azp="another"),
    "another sign-in": saying(nonce="another"),
    "no sign-in": saying(nonce=None),
    "a nonce that is a list": lambda forger, claims: sealed(claims | {"nonce": [claims["nonce"]]}, forger.key),
    "over": at(exp=-CLOCK_SKEW_S),
    "of tomorrow": at(iat=CLOCK_SKEW_S + 1),
    "not yet good": at(nbf=CLOCK_SKEW_S + 1),
    "without an end": saying(exp=None),
    "without a beginning": saying(iat=None),
    "an end that is true": saying(exp=True),
    "an end that is a text": saying(exp="9999999999"),
    "an end that is no number": saying(exp=float("nan")),
    "an end in infinity": saying(exp=float("inf")),
    "of nobody": saying(sub=None),
    "of a number": saying(sub=7),
    "for another access token": saying(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    "no text": lambda *_: {"alg": "RS256"},
    "nothing": lambda *_: None,
    "empty": lambda *_: "",
    "dots": lambda *_: "..",
    "no token": lambda *_: "a.b.c",
    "no object in it": lambda forger, _: f"{base64url(b'[]')}.{base64url(b'[]')}.{base64url(b'x')}",
    "a list that is signed": lambda forger, _: sealed({}, forger.key),
    "deep": lambda *_: f"{base64url(b'[' * 30_000)}.e30.x",
    "Chinese": lambda *_: "令牌.令牌.令牌",
    "too long": lambda *_: "a" * (TOKEN_CHARS_MAX + 1),
}


@pytest.mark.parametrize("what", FORGED)
async def test_a_token_that_is_not_right_in_everything_signs_nobody_in(browser, forger, clock, desk, what):
    answer = await try_token(browser, forger, FORGED[what], clock)
    assert is_like(await told(answer), AGAIN)
    assert browser.cookie(SESSION_COOKIE) is None
    assert not await comes_in(browser)
    assert await desk.pool.fetchval("SELECT count(*) FROM people") == 0


RIGHT = {
    "as it should be": saying(),
    "without the key's name": lambda forger, claims: sealed(claims, forger.key, kid=None),
    "by a curve": lambda _, claims: sealed(claims, CURVE, "ES256"),
    "by Edwards": lambda _, claims: sealed(claims, EDWARDS, "Ed25519"),
    "by a probabilistic signature": lambda forger, claims: sealed(claims, forger.key, "PS256"),
    "for a list of one": saying(aud=[CLIENT]),
    "for others too, and we asked": saying(aud=["another", CLIENT], azp=CLIENT),
    "over, by a clock that goes wrong": at(exp=1 - CLOCK_SKEW_S),
    "of tomorrow, by a clock that goes wrong": at(iat=CLOCK_SKEW_S, nbf=CLOCK_SKEW_S),
    "with an unknown header": lambda forger, claims: sealed(claims, forger.key, typ="JWT", x5t="x"),
}


@pytest.mark.parametrize("what", RIGHT)
async def test_a_token_that_is_right_signs_its_person_in(browser, forger, clock, what):
    forger.published = [forger.key] if "name" in what else [forger.key, CURVE, EDWARDS]
    answer = await try_token(browser, forger, RIGHT[what], clock)
    assert (answer.status, answer.headers.get("Location")) == (303, "/")
    assert await comes_in(browser)


# --- what a browser brings back ---------------------------------------------------------------------------------------


async def test_what_is_asked_is_a_code_with_pkce_that_only_the_desk_can_use(browser, forger, clock):
    sent = await begun(browser)
    assert (sent["response_type"], sent["client_id"], sent["scope"]) == ("code", CLIENT, "openid email profile")
    assert (sent["redirect_uri"], sent["code_challenge_method"]) == (DESK_URL + BACK, "S256")
    forger.id_token = sealed(forger.claims(sent["nonce"], now=clock()), forger.key)
    await back(browser, code="the-code", state=sent["state"])
    [form] = forger.forms
    assert (form["code"], form["redirect_uri"]) == ("the-code", DESK_URL + BACK)
    assert len({form["code_verifier"], sent["state"], sent["nonce"], sent["code_challenge"]}) == 4
    assert "client_secret" not in form  # in the header


@pytest.mark.parametrize(
    "brought",
    [
        lambda sent: {"code": "c"},
        lambda sent: {"code": "c", "state": ""},
        lambda sent: {"code": "c", "state": sent["state"][:-1]},
        lambda sent: {"code": "c", "state": sent["nonce"]},
        lambda sent: {"code": "c", "state": "状态"},
        lambda sent: [("code", "c"), ("state", sent["state"]), ("state", sent["state"])],
        lambda sent: [("code", "c"), ("code", "d"), ("state", sent["state"])],
        lambda sent: {"state": sent["state"]},
        lambda sent: {"code": "c\r\n", "state": sent["state"]},
        lambda sent: {"code": "c" * 5000, "state": sent["state"]},
        lambda sent: {"code": "c", "state": sent["state"], "iss": "https://evil.example"},
        lambda sent: {"code": "c", "state": sent["state"], "error": "access_denied"},
        lambda sent: {"state": sent["state"], "error": "<script>"},
        lambda sent: {},
    ],
)
async def test_what_is_no_answer_to_this_browsers_sign_in_is_not_even_asked_about(browser, forger, brought):
    sent = await begun(browser)
    answer = await browser.client.get(BACK, params=brought(sent), allow_redirects=False)
    assert is_like(await told(answer), AGAIN)
    assert "script>" not in await answer.text() or "<script>" not in (await answer.text()).split("<h1>")[1]
    assert "/token" not in forger.asked


async def test_what_another_browser_began_signs_nobody_in(server, browser, forger, clock):
    """Neither a victim as the attacker, by a link with the attacker's code, nor the other way round."""
    async with server.browser() as attacker:
        sent = await begun(attacker)
        forger.id_token = sealed(forger.claims(sent["nonce"], now=clock()), forger.key)
        assert is_like(await told(await back(browser, code="c", state=sent["state"])), AGAIN)
        await begun(browser)  # also where the victim has begun one of their own
        assert is_like(await told(await back(browser, code="c", state=sent["state"])), AGAIN)
        assert "/token" not in forger.asked
        assert (await back(attacker, code="c", state=sent["state"])).status == 303


async def test_a_sign_in_opens_one_session_also_where_the_provider_takes_a_code_twice(browser, forger, clock, desk):
    sent = await begun(browser)
    kept = browser.cookie(FLOW_COOKIE)
    forger.id_token = sealed(forger.claims(sent["nonce"], now=clock()), forger.key)
    assert (await back(browser, code="c", state=sent["state"])).status == 303
    assert browser.cookie(FLOW_COOKIE) is None
    assert is_like(await told(await back(browser, code="c", state=sent["state"])), AGAIN)
    browser.set_cookie(FLOW_COOKIE, kept)
    assert is_like(await told(await back(browser, code="c", state=sent["state"])), AGAIN)
    assert len(forger.forms) == 2
    assert await desk.pool.fetchval("SELECT count(*) FROM sessions") == 1


async def test_a_provider_that_names_itself_must(browser, forger, clock):
    forger.discovery = {"authorization_response_iss_parameter_supported": True}
    sent = await begun(browser)
    assert is_like(await told(await back(browser, code="c", state=sent["state"])), AGAIN)
    sent = await begun(browser)
    forger.id_token = sealed(forger.claims(sent["nonce"], now=clock()), forger.key)
    assert (await back(browser, code="c", state=sent["state"], iss=forger.issuer)).status == 303


@pytest.mark.parametrize("cookie", ["", "x", ".", "a.%", "a.gA", "a.!!", "x" * 4000])
async def test_a_made_up_cookie_is_no_sign_in(browser, cookie):
    answer = await browser.client.get(
        BACK, params={"code": "c", "state": "s"}, headers={"Cookie": f"tk_flow={cookie}"}, allow_redirects=False
    )
    assert is_like(await told(answer), AGAIN)


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "/\\evil.example", "https://evil.example", "/x\r\nSet-Cookie: a=b"]
)
async def test_nobody_is_sent_to_another_site(browser, forger, clock, wanted):
    sent = await begun(browser, wanted)
    secret = browser.cookie(FLOW_COOKIE).partition(".")[0]
    forger.id_token = sealed(forger.claims(sent["nonce"], now=clock()), forger.key)
    browser.set_cookie(FLOW_COOKIE, f"{secret}.{base64url(wanted.encode())}")  # also where somebody wrote the cookie
    assert (await back(browser, code="c", state=sent["state"])).headers["Location"] == "/"


async def test_a_session_that_was_there_before_is_not_the_one_that_is_signed_in(browser, forger, clock):
    browser.set_cookie(SESSION_COOKIE, "planted-by-somebody")
    await try_token(browser, forger, saying(), clock)
    first = browser.cookie(SESSION_COOKIE)
    await try_token(browser, forger, saying(), clock)
    assert len({first, browser.cookie(SESSION_COOKIE), "planted-by-somebody"}) == 3


async def test_over_https_the_cookie_is_bound_to_the_host_and_goes_after_a_while(browser):
    browser.headers = {"X-Forwarded-Proto": "https"}
    answer = await browser.get("/sign-in/company")
    cookie = answer.cookies[f"__Host-{FLOW_COOKIE}"]
    assert (cookie["secure"], cookie["httponly"], cookie["path"]) == (True, True, "/")
    assert (cookie["samesite"], cookie["max-age"]) == ("Lax", "600")


# --- a provider that changes, and fails -------------------------------------------------------------------------------


async def test_a_new_key_is_fetched_when_it_is_first_used_and_no_oftener_than_strangers_may_ask(browser, forger, clock):
    assert (await try_token(browser, forger, saying(), clock)).status == 303
    new = a_key("two")
    forger.published = [new]
    by_new = lambda _, claims: sealed(claims, new)  # noqa: E731 - it is one line
    assert is_like(await told(await try_token(browser, forger, by_new, clock)), AGAIN)
    assert forger.asked.count("/keys") == 1
    clock.move(seconds=KEYS_AGAIN_S + 1)
    assert (await try_token(browser, forger, by_new, clock)).status == 303
    assert forger.asked.count("/keys") == 2
    assert is_like(await told(await try_token(browser, forger, saying(), clock)), AGAIN)  # the old one is gone
    assert forger.asked.count("/keys") == 2


async def test_a_key_that_is_withdrawn_is_believed_no_longer_than_what_was_fetched_is_fresh(browser, forger, clock):
    assert (await try_token(browser, forger, saying(), clock)).status == 303
    forger.published = [a_key("two")]
    clock.move(seconds=FRESH_S + 1)
    assert is_like(await told(await try_token(browser, forger, saying(), clock)), AGAIN)
    assert forger.asked.count(DISCOVERY) == 2


FAILING = {
    "breaks down": lambda: web.Response(status=500),
    "is overloaded": lambda: web.Response(status=503),
    "says something else": lambda: web.Response(text="<html>"),
    "says a list": lambda: web.json_response([]),
    "says a thing twice": lambda: web.Response(text='{"keys": [], "keys": []}'),
    "sends on": lambda: web.Response(status=302, headers={"Location": "http://169.254.169.254/"}),
    "is compressed": lambda: web.Response(body=b"x", headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("what", FAILING)
@pytest.mark.parametrize("path", [DISCOVERY, "/keys", "/token"])
async def test_a_provider_that_fails_is_said_to_and_passwords_are_offered(browser, forger, clock, path, what):
    sent = {"state": "", "nonce": ""} if path == DISCOVERY else await begun(browser)
    forger.id_token = sealed(forger.claims(sent["nonce"], now=clock()), forger.key)
    forger.answers[path] = FAILING[what]
    answer = await (
        browser.get("/sign-in/company") if path == DISCOVERY else back(browser, code="c", state=sent["state"])
    )
    text = await answer.text()
    is_no_code = path == "/token" and answer.status == 400  # neither tokens nor a failure
    assert is_no_code == (path == "/token" and what == "sends on")
    assert is_no_code or is_like(await told(answer), AWAY)
    assert is_no_code or "A password works, too." in text
    assert "Traceback" not in text
    assert forger.issuer not in text


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"keys": []},
        {"keys": 7},
        {"keys": [7]},
        {"keys": [{"kty": "RSA"}]},
        {"keys": [{"kty": "RSA", "n": 1, "e": 1}]},
    ],
)
async def test_keys_that_are_none_are_said_to_fail(browser, forger, clock, keys):
    forger.answers["/keys"] = lambda: web.json_response({} if keys is None else {"keys": keys})
    assert is_like(await told(await try_token(browser, forger, saying(), clock)), AWAY)


@pytest.mark.parametrize(
    "says",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": "http://evil.example/token"},
        {"token_endpoint": "https://me:secret@evil.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": 7},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"userinfo_endpoint": "http://evil.example/"},
        {"token_endpoint": "https://[::1"},
        {"token_endpoint": "https://evil.example:port/"},
    ],
)
async def test_a_provider_that_is_another_or_unsafe_is_not_gone_to(browser, forger, says):
    forger.discovery = says
    assert is_like(await told(await browser.get("/sign-in/company")), MISFIT)


async def test_an_address_at_which_no_provider_is_is_not_gone_to(browser, forger):
    forger.answers[DISCOVERY] = lambda: web.Response(status=404)
    assert is_like(await told(await browser.get("/sign-in/company")), MISFIT)


@pytest.mark.parametrize(
    ("status", "error", "wanted"),
    [
        (401, {"error": "invalid_client"}, MISFIT),
        (400, {"error": "unauthorized_client"}, MISFIT),
        (400, {"error": "invalid_grant"}, AGAIN),
        (400, {"error": ["invalid_client"]}, AGAIN),
        (400, [], AGAIN),
        (429, {}, AWAY),
    ],
)
async def test_a_code_that_is_not_taken_tells_whose_fault_it_is(browser, forger, status, error, wanted):
    sent = await begun(browser)
    forger.answers["/token"] = lambda: web.json_response(error, status=status)
    assert is_like(await told(await back(browser, code="c", state=sent["state"])), wanted)


async def test_a_provider_that_takes_the_secret_in_the_form_alone_gets_it_there(browser, forger, clock):
    forger.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert (await try_token(browser, forger, saying(), clock)).status == 303
    assert forger.forms[0]["client_secret"] == SECRET


async def test_codes_that_strangers_make_up_are_not_all_asked_about(browser, forger, clock):
    sent = await begun(browser)
    kept = browser.cookie(FLOW_COOKIE)
    forger.answers["/token"] = lambda: web.json_response({"error": "invalid_grant"}, status=400)
    for _ in range(CODES_AT_ONCE + 3):
        browser.set_cookie(FLOW_COOKIE, kept)
        answer = await back(browser, code="c", state=sent["state"])
    assert is_like(await told(answer), AWAY)
    assert forger.asked.count("/token") == CODES_AT_ONCE
    del forger.answers["/token"]
    clock.move(seconds=1 / CODES_PER_S)
    assert (await try_token(browser, forger, saying(), clock)).status == 303


async def test_a_provider_that_is_gone_leaves_the_desk_with_passwords(browser, forger):
    forger.answers[DISCOVERY] = lambda: web.Response(status=500)
    page = await (await browser.get("/sign-in")).text()
    assert "Sign in with <bdi>Shop Ltd</bdi>" in page
    assert 'name="password"' in page


# --- what no token says -----------------------------------------------------------------------------------------------


async def test_what_no_token_says_is_asked_of_the_provider_and_of_the_same_person(browser, forger, clock):
    shorter = saying(email=None, email_verified=None, groups=None)
    forger.userinfo = {"sub": "00u1", "email": "mei@shop.example", "email_verified": True, "groups": ["till-viewers"]}
    assert (await try_token(browser, forger, shorter, clock)).status == 303
    forger.userinfo = forger.userinfo | {"sub": "00u2"}
    assert is_like(await told(await try_token(browser, forger, shorter, clock)), AGAIN)
    forger.userinfo = forger.userinfo | {"sub": None}
    assert is_like(await told(await try_token(browser, forger, shorter, clock)), AGAIN)


async def test_what_a_token_says_counts_more_than_what_is_said_besides(browser, forger, clock, desk):
    forger.userinfo = {"sub": "00u1", "email": "boss@shop.example", "email_verified": True, "groups": ["till-admins"]}
    assert (await try_token(browser, forger, saying(email_verified=None), clock)).status == 303
    assert await desk.pool.fetchval(
        "SELECT p.name || ' ' || s.role FROM people p JOIN sessions s ON s.person_id = p.id"
    ) == ("mei@shop.example operator")


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"email_verified": False}, "Your mail address is not verified"),
        ({"email": "mei lin"}, "Your account has no name that can be used here"),
        ({"sub": "a\0b"}, "Your account has no number that can be used here"),
        ({"groups": ["cooks"]}, "Your account has no role here"),
        ({"groups": {"till-admins": True}}, "Your account has no role here"),
    ],
)
async def test_who_may_not_come_in_is_told_why_and_whom_to_ask(browser, forger, clock, changes, wanted):
    answer = await try_token(browser, forger, saying(**changes), clock)
    assert (answer.status, "Ask: <bdi>the till team, 4711</bdi>" in await answer.text()) == (403, True)
    assert (await told(answer))[1] == wanted
    assert not await comes_in(browser)
