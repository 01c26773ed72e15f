"""PayPal's certificates: which are fetched, believed and kept."""

from datetime import timedelta

import pytest
from certificates import issue
from paypal_samples import a_gateway, a_learner, refused, signed
from specimen import NOW, response_of, with_header
from specimen_paypal import URL, identity

from tillkeeper.api_client.key_fetching import KeyFetcher, KeyUnavailable
from tillkeeper.gateways.errors import BadSignature, Unavailable, VerificationStep
from tillkeeper.gateways.messages import Call
from tillkeeper.gateways.paypal.certificates import (
    FETCHED_MAX,
    KEPT_FOR,
    LIVE_NAME,
    REFUSED_FOR,
    REFUSED_MAX,
    SANDBOX_NAME,
    Certificates,
    trust_in,
)
from tillkeeper.sandbox.simulators.paypal.signing import paypal_identity

CALL = Call(method="GET", url=URL, headers={})


def response(pem, status=200):
    return response_of(({}, pem.encode() if isinstance(pem, str) else pem), status)


def test_an_unknown_certificate_is_fetched_once_and_kept_for_some_days():
    gateway, request = a_learner(), signed()
    assert refused(gateway, request) is VerificationStep.KEY
    assert gateway.key_labels() == ()
    call = gateway.missing_key_request(request, now=NOW, nonce="n")
    assert (call.method, call.url, call.body) == ("GET", URL, b"")
    assert not any(name.lower() == "authorization" for name in call.headers)
    gateway.read_key(call, response(identity().chain), now=NOW)
    assert gateway.missing_key_request(request, now=NOW, nonce="n") is None
    assert (gateway.verify(request, NOW).key,) == gateway.key_labels()
    later = NOW + KEPT_FOR
    assert refused(gateway, request, later) is VerificationStep.KEY
    assert gateway.missing_key_request(request, now=later, nonce="n").url == URL


@pytest.mark.parametrize("host", ["api.paypal.com", "api-m.paypal.com", "api.paypal.com:443"])
def test_live_certificates_have_the_live_name(host):
    gateway = a_learner(api_base="https://api-m.paypal.com")
    request = signed(url=f"https://{host}/v1/notifications/certs/CERT-1")
    call = gateway.missing_key_request(request, now=NOW, nonce="n")
    with pytest.raises(BadSignature, match=r"messageverificationcerts\.paypal\.com"):
        gateway.read_key(call, response(identity().chain), now=NOW)


def test_a_delivery_that_could_not_verify_has_nothing_fetched():
    gateway = a_learner()
    for name in ("paypal-transmission-sig", "paypal-transmission-id", "paypal-transmission-time", "paypal-auth-algo"):
        with pytest.raises(BadSignature):
            gateway.missing_key_request(with_header(signed(), name, []), now=NOW, nonce="n")


def test_certificates_of_two_addresses_do_not_get_in_each_others_way():
    gateway, other = a_learner(), URL[:-1] + "9"
    calls = [gateway.missing_key_request(signed(url=url), now=NOW, nonce="n") for url in (URL, other)]
    assert [call.url for call in calls] == [URL, other]
    gateway.read_key(calls[1], response(identity().chain), now=NOW)
    assert gateway.verify(signed(url=other), NOW)
    assert refused(gateway, signed()) is VerificationStep.KEY


def test_the_certificate_in_use_is_fetched_anew_before_it_lapses():
    gateway = a_learner()
    assert gateway.key_refresh_request(now=NOW, nonce="n") is None
    gateway.read_key(CALL, response(identity().chain), now=NOW)
    later = NOW + KEPT_FOR / 2
    again = gateway.key_refresh_request(now=later, nonce="n")
    assert again.url == URL
    gateway.read_key(again, response(identity().chain), now=later)
    assert gateway.verify(signed(), NOW + KEPT_FOR)


def test_the_certificate_in_use_is_the_one_that_verified_last():
    """Anybody can have another of PayPal's fetched after it."""
    gateway, other = a_learner(), URL[:-1] + "9"
    for url in (URL, other):
        gateway.read_key(Call(method="GET", url=url, headers={}), response(identity().chain), now=NOW)
    assert gateway.key_refresh_request(now=NOW, nonce="n").url == other
    assert gateway.verify(signed(), NOW)
    assert gateway.key_refresh_request(now=NOW, nonce="n").url == URL


@pytest.mark.parametrize(("pem", "status"), [("", 404), ("<html>", 200)])
def test_an_address_that_yields_none_is_left_alone_for_a_while(pem, status):
    gateway = a_learner()
    for at in (NOW, NOW + REFUSED_FOR):
        assert gateway.missing_key_request(signed(), now=at, nonce="n")
        with pytest.raises(BadSignature):
            gateway.read_key(CALL, response(pem, status), now=at)
        with pytest.raises(BadSignature, match="a short time ago"):
            gateway.missing_key_request(signed(), now=at + REFUSED_FOR / 2, nonce="n")
    later = NOW + 3 * REFUSED_FOR
    gateway.read_key(CALL, response(identity().chain), now=later)
    assert gateway.verify(signed(), later)


def test_addresses_without_end_are_not_remembered_without_end():
    certificates = Certificates({}, trust_in(identity().authority))
    for at in range(REFUSED_MAX + 1):
        certificates.refuse(f"{URL}{at}", NOW)
    assert not certificates.is_refused(f"{URL}0", NOW)
    assert certificates.is_refused(f"{URL}1", NOW)


async def test_strange_addresses_keep_no_receiver_from_the_certificate_neither_before_nor_after_a_restart():
    """Somebody posts one a second, well formed, and each answer is 404; PayPal's delivery comes between."""

    class Secret:
        learnt = ()

        async def keys_of(self, account):
            return list(self.learnt)

        async def put(self, account, key):
            self.learnt = (key,)

    async def send(call):
        assert is_reachable
        return response(identity().chain) if call.url == URL else response("", 404)

    def a_receiver():
        return KeyFetcher(a_learner(), send, key_store=kept, now=lambda: NOW, monotonic_s=lambda: passed_s)

    kept, passed_s, is_reachable = Secret(), 0.0, True
    receiver = a_receiver()
    for passed_s in range(120):
        with pytest.raises((BadSignature, KeyUnavailable)):
            await receiver.fetch_for(signed(url=f"{URL}{passed_s}"))
    with pytest.raises(KeyUnavailable):
        await receiver.fetch_for(signed())
    with pytest.raises(KeyUnavailable):
        await receiver.fetch_for(signed(url=f"{URL}x"))
    assert await receiver.fetch_for(signed())  # PayPal sends again
    is_reachable = False
    assert await a_receiver().fetch_for(signed())


@pytest.mark.parametrize(
    ("pem", "status", "error"),
    [
        ("", 429, Unavailable),
        ("", 503, Unavailable),
        ("", 404, BadSignature),
        ("", 302, BadSignature),
        ("", 200, BadSignature),
        ("<html>", 200, BadSignature),
        (b"\xff", 200, BadSignature),
        ("x" * 100_000, 200, BadSignature),
    ],
)
def test_what_is_fetched_and_is_no_certificate(pem, status, error):
    gateway = a_learner()
    gateway.missing_key_request(signed(), now=NOW, nonce="n")
    with pytest.raises(error):
        gateway.read_key(CALL, response(pem, status), now=NOW)
    assert gateway.key_labels() == ()
    assert refused(gateway, signed()) is VerificationStep.KEY
    assert gateway.missing_key_request(
        signed(url=URL[:-1] + "9"), now=NOW, nonce="n"
    )  # nobody waits for the first any more


HOST = SANDBOX_NAME
END = "-----END CERTIFICATE-----\n"


def test_a_certificate_of_paypals_is_learnt():
    learn_at(HOST, NOW, lambda identity: identity.chain)


def learn_at(name, at, chain_of):
    """Learns what an authority that is trusted issued for this name."""
    told = paypal_identity(name, at)
    gateway = a_learner(trusted_ca=told.authority)
    gateway.missing_key_request(signed(), now=NOW, nonce="n")
    gateway.read_key(CALL, response(chain_of(told)), now=NOW)


@pytest.mark.parametrize(
    ("name", "at", "chain_of"),
    [
        (HOST, NOW, lambda _: identity().chain),  # by another authority
        ("www.paypal.com", NOW, lambda identity: identity.chain),
        (LIVE_NAME, NOW, lambda identity: identity.chain),
        (f"{HOST}.evil.example", NOW, lambda identity: identity.chain),
        (HOST, NOW - timedelta(days=800), lambda identity: identity.chain),
        (HOST, NOW + timedelta(days=800), lambda identity: identity.chain),
        (HOST, NOW, lambda identity: identity.chain.partition(END)[0] + END),  # without the one between
        (HOST, NOW, lambda identity: identity.chain.partition(END)[2]),  # the one between alone
        (HOST, NOW, lambda identity: identity.authority),
        (HOST, NOW, lambda identity: identity.chain + identity.authority * 20),
    ],
)
def test_a_certificate_that_is_not_paypals_is_not_learnt(name, at, chain_of):
    with pytest.raises(BadSignature) as caught:
        learn_at(name, at, chain_of)
    assert caught.value.step is VerificationStep.KEY


def test_a_certificate_that_signed_itself_is_not_learnt(keys):
    gateway = a_learner()
    gateway.missing_key_request(signed(), now=NOW, nonce="n")
    with pytest.raises(BadSignature):
        gateway.read_key(CALL, response(issue(HOST, keys.own).pem), now=NOW)


def test_a_configured_certificate_is_checked_as_well():
    told = paypal_identity("www.paypal.com", NOW)
    gateway = a_gateway(certs={URL: told.chain}, trusted_ca=told.authority)
    assert refused(gateway, signed(key=told.key)) is VerificationStep.KEY


@pytest.mark.parametrize("days", [-366, 366])
def test_a_certificate_is_believed_while_it_is_valid(days):
    gateway = a_gateway()
    assert gateway.verify(signed(), NOW)
    assert refused(gateway, signed(), NOW + timedelta(days=days)) is VerificationStep.KEY
    assert gateway.verify(signed(), NOW)


def test_public_authorities_are_trusted_unless_others_are_named():
    gateway = a_gateway(trusted_ca=None)
    assert refused(gateway, signed()) is VerificationStep.KEY


def test_only_a_few_certificates_are_kept():
    certificates = Certificates({}, trust_in(identity().authority))
    urls = [f"{URL}{at}" for at in range(FETCHED_MAX + 1)]
    for url in (*urls, urls[1]):
        certificates.add(url, identity().chain, NOW)
    assert certificates.at_hand(urls[0], NOW) is None
    assert all(certificates.at_hand(url, NOW) for url in urls[1:])
    assert len(certificates.labels) == 1
