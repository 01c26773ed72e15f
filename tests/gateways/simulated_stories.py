"""Tells the templates of a play to its gateway: every delivery in order, and what the API answers at the end."""

from datetime import timedelta
from functools import cache
from urllib.parse import parse_qsl, urlsplit

from specimen import NOW, request_of

from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.gateways.errors import AccessDenied, BadPayload, BadSignature, Unavailable
from tillkeeper.gateways.messages import Query, Response
from tillkeeper.sandbox.apis.base import ApiRequest
from tillkeeper.sandbox.ledger.payments import RefundState
from tillkeeper.sandbox.simulators.registry import ledger_of, simulator_of
from tillkeeper.sandbox.story import ExpectedOrder, Story, StoryEvent, bare

AMOUNT = 50_000
ORDER_REF = "till-000007"
STEP = timedelta(seconds=7)
ENDS = NOW + timedelta(hours=1)


@cache
def signer_of(gateway):
    """Its account's keys, made once: those of RSA take longer than a story."""
    return simulator_of(gateway).new_signer(f"{gateway}-main")


class SimulatedStory:
    """One template as a story, at a gateway that is configured as the play says."""

    def __init__(self, simulator, gateway_type, template, currency=None):
        self.simulator = simulator
        self.signer = signer_of(simulator.gateway)
        said = {"gateway": simulator.gateway, **simulator.settings(self.signer)}
        self.gateway = gateway_type(self.signer.account, gateway_type.settings.model_validate(said))
        self.story = a_story(simulator, template, self.signer.account, currency or simulator.currencies[0])
        ledger = ledger_of({self.signer.account: simulator.gateway}, [self.story])
        self.api = simulator.api(self.signer, ledger) if simulator.api else None

    def deliveries(self):
        """What each delivery brings, by itself or by what it has us fetch."""
        events = []
        for event in self.story.events:
            for again in (0, 1):
                events += self.taken(event, again)
        return events

    def taken(self, event, again):
        signed = self.signer.sign(self.story, event, now=event.at, again=again)
        verified = self.gateway.verify(request_of(signed, self.simulator.query_of(self.story, event)), event.at)
        events, queries = self.gateway.parse(verified), self.gateway.queries_for(verified)
        simulator = self.simulator
        assert bool(queries) == (event.event_type in simulator.fetched)
        assert bool(events) == simulator.carries_event(event.event_type)
        if events:
            assert events[0].event_id == simulator.event_id(self.story, event)
        return [*events, *(told for each in queries for told in self.answer(each, at=event.at).events)]

    def answers(self):
        """What the API says at the end of all that the gateway can be asked."""
        events = []
        for query in self.queries():
            if self.is_asked(query):
                events += self.answer(query).events
        return events

    def queries(self):
        payment_ref, refs = self.payment_ref, {event.refund_ref for event in self.story.events if self.is_refund(event)}
        yield Query(about="payment", order_ref=ORDER_REF, payment_ref=payment_ref)
        yield Query(about="payment", order_ref=ORDER_REF)
        for ref in sorted(refs):
            yield Query(about="refund", order_ref=ORDER_REF, payment_ref=payment_ref, refund_ref=ref)

    @property
    def payment_ref(self):
        told = self.deliveries()
        return next((event.payment_ref for event in told if event.payment_ref), self.story.payment_ref)

    def is_refund(self, event):
        return isinstance(self.simulator.event_types.get(event.event_type), RefundState)

    def is_asked(self, query):
        by_order = query.about == "payment" and query.payment_ref is None
        return ("order" if by_order else query.about) in self.gateway.queryable

    def answer(self, query, at=ENDS):
        call = self.gateway.query_request(query, now=at, nonce="0123456789abcdef")
        url = urlsplit(call.url)
        put = ApiRequest(
            method=call.method,
            path=url.path,
            target=call.url,
            query=parse_qsl(url.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in call.headers.items()},
            body=call.body,
        )
        sealed = self.api.signed(self.api.respond(put, now=at, as_of=at), now=at)
        headers = {name.lower(): [value] for name, value in sealed.headers.items()}
        return self.gateway.read_response(
            query, Response(status=sealed.status, headers=headers, body=sealed.body), now=at
        )

    def end(self, events):
        """The status and the sums that the events make."""
        story, facts = self.story, OrderFacts()
        order = Order(
            order_ref=story.order_ref,
            amount=story.amount,
            currency=story.due_currency,
            accounts=frozenset({story.due_at}),
        )
        for event in events:
            facts = apply(facts, event)
        summary = summarize(order, facts)
        return ExpectedOrder(status=summary.status, paid=summary.captured, refunded=summary.refunded)


def a_story(simulator, template, account, currency):
    events = tuple(
        StoryEvent(
            event_type=say.event_type,
            event_id=f"evt_{step}",
            at=NOW + STEP * step,
            amount=AMOUNT // 10 * say.tenths,
            refund_ref=f"re_{bare(ORDER_REF)}{say.part}",
        )
        for step, say in enumerate(template.events)
    )
    return Story(
        name=template.name,
        account=account,
        order_ref=ORDER_REF,
        payment_ref=f"{simulator.payment_prefix}{bare(ORDER_REF)}",
        amount=AMOUNT,
        currency=currency,
        due_currency=simulator.currencies[1] if template.in_other_currency else currency,
        due_at="another" if template.at_other_account else account,
        started_at=NOW,
        events=events,
        expected=ExpectedOrder(
            status=template.status, paid=AMOUNT // 10 * template.paid, refunded=AMOUNT // 10 * template.refunded
        ),
    )


def broken_answers(told):
    """What the gateway makes of an API that is broken, busy, or answers somebody else."""
    put = ApiRequest(method="POST", path="/nowhere", target="/nowhere", query=[], headers={}, body=b"")
    sealed = [told.api.signed(told.api.error_response(status, put), now=NOW) for status in (429, 500)]
    sealed.append(told.api.signed(told.api.respond(put, now=NOW, as_of=NOW), now=NOW))
    query = Query(about="payment", order_ref=ORDER_REF, payment_ref=told.payment_ref)
    outcomes = []
    for each in sealed:
        try:
            headers = {name.lower(): [value] for name, value in each.headers.items()}
            told.gateway.read_response(query, Response(status=each.status, headers=headers, body=each.body), now=NOW)
        except (Unavailable, AccessDenied, BadPayload, BadSignature) as error:
            outcomes.append(type(error).__name__)
    return outcomes


def with_amount_raised(signed, after):
    """A delivery with one digit changed where the play says that nobody may."""
    headers, body = signed
    at = body.index(after) + len(after)
    return headers, body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def impostor_of(told):
    """The same, with the signer of somebody whose keys are not configured."""
    return told.simulator.impostor(told.signer)
