"""Walks the stories of a gateway's play: what its deliveries and its API say, folded by the domain's own rules."""

from datetime import timedelta
from functools import cache
from random import Random
from urllib.parse import parse_qsl, urlsplit

from specimen import NOW, request_of, response_of

from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.registry import GATEWAYS, build
from tillkeeper.sandbox.apis.base import ApiRequest
from tillkeeper.sandbox.simulators.registry import ledger_of, simulator_of
from tillkeeper.sandbox.story import ExpectedOrder, Story, StoryEvent

AMOUNT = 12900
ACCOUNT = "played-main"


@cache
def signer_of(gateway):
    """Its account's keys, made once: three of RSA take as long as a whole walk."""
    return simulator_of(gateway).new_signer(ACCOUNT)


class Walk:
    """One account of a play and the gateway that is built from its settings."""

    def __init__(self, simulator):
        self.simulator = simulator
        self.signer = signer_of(simulator.gateway)
        settings = {"gateway": simulator.gateway, **simulator.settings(self.signer)}
        self.gateway = build(ACCOUNT, GATEWAYS[simulator.gateway].settings.model_validate(settings))

    def told_by(self, story):
        """What each delivery brings, in order: its events, or what the gateway answers to what it asks."""
        for event in story.events:
            request = request_of(
                self.signer.sign(story, event, now=NOW, again=0),
                query=simulator_of(self.signer.gateway).query_of(story, event),
            )
            verified = self.gateway.verify(request, NOW)
            events = self.gateway.parse(verified)
            queries = self.gateway.queries_for(verified)
            tells = event.event_type not in self.simulator.ignored | self.simulator.fetched
            event_id_of = self.simulator.event_id_of
            event_id = event_id_of(story, event) if event_id_of else event.event_id
            assert [each.event_id for each in events] == ([event_id] if tells else []), event.event_type
            assert bool(queries) is (event.event_type in self.simulator.fetched), event.event_type
            yield from events
            for query in queries:  # asked at once, when the books hold no more than happened by then
                yield from self.answer(story, query, as_of=event.at, now=event.at).events

    def answer(self, story, query, *, as_of=NOW, now=NOW, **headers):
        """What the played API says."""
        call = self.gateway.query_request(query, now=now, nonce="0123456789abcdef")
        api = self.simulator.api(self.signer, ledger_of({ACCOUNT: self.simulator.gateway}, [story]))
        told = api.respond(put_of(call, **headers), now=now, as_of=as_of)
        sealed = api.signed(told, now=now)
        return self.gateway.read_response(query, response_of((sealed.headers, sealed.body), sealed.status), now=now)

    def asked_at_the_end(self, story):
        """What whoever heard no delivery at all is told."""
        query = Query(about="payment", order_ref=story.order_ref, payment_ref=story.payment_ref)
        return self.answer(story, query).events


def put_of(call, **headers):
    """A call as the played API receives it."""
    url = urlsplit(call.url)
    return ApiRequest(
        method=call.method,
        path=url.path,
        target=f"{url.path}?{url.query}",
        query=tuple(parse_qsl(url.query, keep_blank_values=True)),
        headers={name.lower(): value for name, value in call.headers.items()} | headers,
        body=call.body,
    )


def story_of(simulator, template, *, currency="EUR", gap_s=30):
    """A story of one kind, its words one after another until a moment ago."""
    order_ref = "T-000001"
    bare = order_ref.replace("-", "")
    started_at = NOW - timedelta(seconds=gap_s * (len(template.events) + 1))
    return Story(
        name=template.name,
        account=ACCOUNT,
        order_ref=order_ref,
        payment_ref=f"{simulator.payment_prefix}{bare}",
        amount=AMOUNT,
        currency=currency,
        due_currency=currency,
        due_at="elsewhere" if template.at_other_account else ACCOUNT,
        started_at=started_at,
        events=tuple(
            StoryEvent(
                event_type=say.event_type,
                event_id=f"evt_{bare}{at:02d}",
                at=started_at + timedelta(seconds=gap_s * (at + 1)),
                amount=AMOUNT // 10 * say.tenths,
                refund_ref=f"re_{bare}{say.part}",
            )
            for at, say in enumerate(template.events)
        ),
        expected=ExpectedOrder(
            status=template.status, paid=AMOUNT // 10 * template.paid, refunded=AMOUNT // 10 * template.refunded
        ),
    )


def facts_after(events):
    facts = OrderFacts()
    for event in events:
        facts = apply(facts, event)
    return facts


def assert_ends_as_told(story, events):
    """In order, and shuffled."""
    order = Order(
        order_ref=story.order_ref,
        amount=story.amount,
        currency=story.due_currency,
        accounts=frozenset({story.due_at}),
    )
    events = list(events)
    for at in range(4):
        summary = summarize(order, facts_after(events))
        found = (summary.status, summary.captured, summary.refunded)
        assert found == (story.expected.status, story.expected.paid, story.expected.refunded), story.name
        Random(at).shuffle(events)
