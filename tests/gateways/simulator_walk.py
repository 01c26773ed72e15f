"""Walks every template of a play: what its deliveries and its API's answers add up to, by our own rules."""

from datetime import timedelta
from itertools import accumulate
from urllib.parse import parse_qsl, urlsplit

import msgspec
from specimen import NOW, request_of

from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.gateways.messages import Response
from tillkeeper.sandbox.apis.base import ApiRequest
from tillkeeper.sandbox.simulators.registry import ledger_of, simulator_of
from tillkeeper.sandbox.story import ExpectedOrder, Story, StoryEvent, bare

AMOUNT = 12_300
STEP_S = 60


def story_of(simulator, signer, template):
    """The story that a template tells, a minute between its words."""
    order_ref = "till-000005"
    begins = accumulate((STEP_S for _ in template.events), initial=0)
    events = tuple(
        StoryEvent(
            event_type=say.event_type,
            event_id=f"evt_{bare(order_ref)}{at:02d}",
            at=NOW - timedelta(hours=1) + timedelta(seconds=after_s),
            amount=AMOUNT // 10 * say.tenths,
            refund_ref=f"re_{bare(order_ref)}{say.part}",
        )
        for at, (say, after_s) in enumerate(zip(template.events, begins, strict=False))
    )
    currency = simulator.currencies[0]
    return Story(
        name=template.name,
        account=signer.account,
        order_ref=order_ref,
        payment_ref=f"{simulator.payment_prefix}{bare(order_ref)}",
        amount=AMOUNT,
        currency=currency,
        due_currency=simulator.currencies[1] if template.in_other_currency else currency,
        due_at="elsewhere" if template.at_other_account else signer.account,
        started_at=NOW - timedelta(hours=1, seconds=1),
        events=events,
        expected=ExpectedOrder(
            status=template.status, paid=AMOUNT // 10 * template.paid, refunded=AMOUNT // 10 * template.refunded
        ),
    )


def put_of(call):
    parts = urlsplit(call.url)
    return ApiRequest(
        method=call.method,
        path=parts.path,
        target=f"{parts.path}?{parts.query}" if parts.query else parts.path,
        query=parse_qsl(parts.query, keep_blank_values=True),
        headers={name.lower(): value for name, value in call.headers.items()},
        body=call.body,
    )


def asked(gateway, api, query, now, *, forged=False):
    """The answer to a query, through the sandbox's API."""
    call = gateway.query_request(query, now=now, nonce="0123456789abcdef0123456789abcdef")
    sealed = api.signed(api.respond(put_of(call), now=now, as_of=now), now=now, forged=forged)
    headers = {name.lower(): [value] for name, value in sealed.headers.items()}
    return gateway.read_response(query, Response(status=sealed.status, headers=headers, body=sealed.body), now=now)


def ledger_with(simulator, story):
    """The books of one story."""
    return ledger_of({story.account: simulator.gateway}, [story])


def delivered(gateway, simulator, signer, story, api):
    """The events of all deliveries, in order, and of what they have us fetch.  Their ids are as it says."""
    events = []
    for event in story.events:
        now = event.at + timedelta(seconds=2)
        request = request_of(
            signer.sign(story, event, now=now, again=0), simulator_of(signer.gateway).query_of(story, event)
        )
        again = request_of(
            signer.sign(story, event, now=now, again=1), simulator_of(signer.gateway).query_of(story, event)
        )
        verified = gateway.verify(request, now)
        told = gateway.parse(verified)
        queries = gateway.queries_for(verified)
        assert [each.event_id for each in gateway.parse(gateway.verify(again, now))] == [each.event_id for each in told]
        tells = event.event_type not in simulator.ignored | simulator.fetched
        renamed = event.event_id if simulator.event_id_of is None else simulator.event_id_of(story, event)
        assert [each.event_id for each in told] == ([renamed] if tells else [])
        assert queries or event.event_type not in simulator.fetched
        events += told
        for query in queries:
            events += asked(gateway, api, query, now).events
    assert all(story.order_ref == each.order_ref or story.payment_ref == each.payment_ref for each in events)
    return events


def outcome_of(story, events):
    """How the order stands once these events are known."""
    order = Order(
        order_ref=story.order_ref,
        amount=story.amount,
        currency=story.due_currency,
        accounts=frozenset({story.due_at}),
    )
    facts = OrderFacts()
    for event in events:
        facts = apply(facts, event)
    summary = summarize(order, facts)
    return summary.status, summary.captured, summary.refunded


def truth_of(story):
    return msgspec.structs.astuple(story.expected)
