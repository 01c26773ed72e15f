"""Questions of deliveries on their way: what no gateway could be asked is refused, the rest comes out as it was."""

import pytest
from specimen import NOW

from tests.notify_only_gateway import NotifyOnlyGateway
from tillkeeper.domain.fetching import Fetch
from tillkeeper.gateways.about import About
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.fetching import fetches_of, query_of
from tillkeeper.gateways.messages import Call, Query, Request, Response, Verified
from tillkeeper.gateways.statement_offer import OfferedFile
from tillkeeper.gateways.stripe.gateway import Stripe

GATEWAY = NotifyOnlyGateway("telling-main")


def verified(body, *, proven=True):
    return Verified(key="key", content=body, proven=proven)


def test_a_delivery_that_tells_what_happened_has_nothing_to_fetch(specimen):
    if isinstance(specimen.gateway, Stripe):
        assert fetches_of(specimen.gateway, verified(specimen.valid.body)) == ()


@pytest.mark.parametrize("proven", [True, False])
def test_a_query_comes_out_as_it_went_in(proven):
    [fetch] = fetches_of(GATEWAY, verified(b'{"payment": "tr_1", "refund": "re_1"}', proven=proven))
    assert fetch == Fetch(about="refund", payment_ref="tr_1", refund_ref="re_1", proven=proven)
    assert query_of(fetch) == Query(about="refund", payment_ref="tr_1", refund_ref="re_1")


@pytest.mark.parametrize("body", [b"{}", b'{"payment": "\xe8\xae\xa2"}', b'{"payment": "' + b"x" * 300 + b'"}'])
def test_what_no_gateway_could_be_asked_is_refused(body):
    with pytest.raises(BadPayload):
        fetches_of(GATEWAY, verified(body))


class Plain(Gateway):
    """One whose provider has nothing of all that."""

    about = About(title="Plain", verifies="", dedupes_by="", acknowledges="", checked="", sources=(), refunds_seen="")


def test_a_gateway_has_the_plain_answer_to_what_its_provider_does_not_have():
    gateway, request, response = Plain(), Request(headers={}, body=b""), Response(status=200, headers={}, body=b"")
    query = Query(about="payment", payment_ref="tr_1")
    call = Call(method="GET", url="https://api.example/", headers={})
    offer = OfferedFile(url="https://api.example/")
    assert gateway.queries_for(verified(b"")) == ()
    assert gateway.claimed_references(request) is None
    assert gateway.answer_challenge(request) is None
    assert gateway.missing_key_request(request, now=NOW, nonce="1") is None
    assert gateway.key_refresh_request(now=NOW, nonce="1") is None
    assert gateway.token_request(now=NOW) is None
    for asking in (
        lambda: gateway.query_request(query, now=NOW, nonce="1"),
        lambda: gateway.events_request(since=NOW, until=NOW, after=None),
        lambda: gateway.statement_request(NOW.date(), now=NOW, nonce="1"),
        lambda: gateway.statement_file_request(offer, now=NOW, nonce="1"),
    ):
        with pytest.raises(CannotQuery):
            asking()
    for hearing in (
        lambda: gateway.read_key(call, response, now=NOW),
        lambda: gateway.read_token(response, now=NOW),
        lambda: gateway.read_response(query, response, now=NOW),
        lambda: gateway.read_events(response),
        lambda: gateway.read_statement_offer(response, now=NOW),
        lambda: gateway.read_statement_file(offer, response),
    ):
        with pytest.raises(BadPayload):
            hearing()
