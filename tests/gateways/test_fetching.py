"""Questions of deliveries on their way: what no gateway could be asked is refused, the rest comes out as it was."""

import pytest
from specimen import NOW

from tests.telling import Telling
from tillkeeper.domain.fetching import Fetch
from tillkeeper.gateways.about import About
from tillkeeper.gateways.base import BadPayload, Call, CannotAsk, Gateway, Heard, Question, Request, Verified
from tillkeeper.gateways.fetching import fetches_of, question_of
from tillkeeper.gateways.stripe.gateway import Stripe

GATEWAY = Telling("telling-main")


def verified(body, *, proven=True):
    return Verified(key="key", content=body, proven=proven)


def test_a_delivery_that_tells_what_happened_has_nothing_to_fetch(specimen):
    if isinstance(specimen.gateway, Stripe):
        assert fetches_of(specimen.gateway, verified(specimen.valid.body)) == ()


@pytest.mark.parametrize("proven", [True, False])
def test_a_question_comes_out_as_it_went_in(proven):
    [fetch] = fetches_of(GATEWAY, verified(b'{"payment": "tr_1", "refund": "re_1"}', proven=proven))
    assert fetch == Fetch(about="refund", payment_ref="tr_1", refund_ref="re_1", proven=proven)
    assert question_of(fetch) == Question(about="refund", payment_ref="tr_1", refund_ref="re_1")


@pytest.mark.parametrize("body", [b"{}", b'{"payment": "\xe8\xae\xa2"}', b'{"payment": "' + b"x" * 300 + b'"}'])
def test_what_no_gateway_could_be_asked_is_refused(body):
    with pytest.raises(BadPayload):
        fetches_of(GATEWAY, verified(body))


class Plain(Gateway):
    """One whose provider has nothing of all that."""

    about = About(title="Plain", verifies="", dedupes_by="", acknowledges="", checked="", sources=(), setup="")


def test_a_gateway_has_the_plain_answer_to_what_its_provider_does_not_have():
    gateway, request, heard = Plain(), Request(headers={}, body=b""), Heard(status=200, headers={}, body=b"")
    question = Question(about="payment", payment_ref="tr_1")
    call = Call(method="GET", url="https://api.example/", headers={})
    assert gateway.to_fetch(verified(b"")) == ()
    assert gateway.named(request) is None
    assert gateway.challenged(request) is None
    assert gateway.lacks(request, now=NOW, nonce="1") is None
    assert gateway.refresh(now=NOW, nonce="1") is None
    assert gateway.sign_in(now=NOW) is None
    for asking in (
        lambda: gateway.ask(question, now=NOW, nonce="1"),
        lambda: gateway.ask_events(since=NOW, until=NOW, after=None),
    ):
        with pytest.raises(CannotAsk):
            asking()
    for hearing in (
        lambda: gateway.learn(call, heard, now=NOW),
        lambda: gateway.hear_sign_in(heard, now=NOW),
        lambda: gateway.hear(question, heard, now=NOW),
        lambda: gateway.hear_events(heard),
    ):
        with pytest.raises(BadPayload):
            hearing()
