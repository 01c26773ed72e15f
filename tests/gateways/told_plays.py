"""Tells the templates of a play to its gateway: every delivery in order, and what the API answers at the end."""

from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

from specimen import NOW, request_of

from sandbox.apis.base import Put
from sandbox.story import Happening, Story, Truth, bare
from sandbox.truth import books
from sandbox.truth.ledger import Ledger
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.summary import Order, summarize
from tillkeeper.gateways.errors import AccessDenied, BadPayload, BadSignature, Unavailable
from tillkeeper.gateways.messages import Query, Response

AMOUNT = 50_000
ORDER_REF = "till-000007"
STEP = timedelta(seconds=7)
ENDS = NOW + timedelta(hours=1)


class Told:
    """One template as a story, at a gateway that is configured as the play says."""

    def __init__(self, play, gateway_type, template, currency=None):
        self.play = play
        self.voice = play.new_voice(f"{play.gateway}-main")
        said = {"gateway": play.gateway, **play.settings(self.voice)}
        self.gateway = gateway_type(self.voice.account, gateway_type.settings.model_validate(said))
        self.story = a_story(play, template, self.voice.account, currency or play.currencies[0])
        ledger = Ledger({self.voice.account: play.gateway}, [self.story])
        self.api = play.api(self.voice, ledger) if play.api else None

    def deliveries(self):
        """What each delivery brings, by itself or by what it has us fetch."""
        events = []
        for happening in self.story.happenings:
            for again in (0, 1):
                events += self.taken(happening, again)
        return events

    def taken(self, happening, again):
        signed = self.voice.say(self.story, happening, now=happening.at, again=again)
        verified = self.gateway.verify(request_of(signed, self.voice.query(self.story, happening)), happening.at)
        events, queries = self.gateway.parse(verified), self.gateway.queries_for(verified)
        play = self.play
        assert bool(queries) == (happening.word in play.fetched)
        assert bool(events) == play.tells(happening.word)
        if events:
            assert events[0].event_id == play.event_id(self.story, happening)
        return [*events, *(it for each in queries for it in self.answer(each, at=happening.at).events)]

    def answers(self):
        """What the API says at the end of all that the gateway can be asked."""
        events = []
        for query in self.queries():
            if self.is_asked(query):
                events += self.answer(query).events
        return events

    def queries(self):
        payment_ref, refs = self.payment_ref, {it.refund_ref for it in self.story.happenings if self.is_refund(it)}
        yield Query(about="payment", order_ref=ORDER_REF, payment_ref=payment_ref)
        yield Query(about="payment", order_ref=ORDER_REF)
        for ref in sorted(refs):
            yield Query(about="refund", order_ref=ORDER_REF, payment_ref=payment_ref, refund_ref=ref)

    @property
    def payment_ref(self):
        told = self.deliveries()
        return next((it.payment_ref for it in told if it.payment_ref), self.story.payment_ref)

    def is_refund(self, happening):
        return isinstance(self.play.words.get(happening.word), books.RefundState)

    def is_asked(self, query):
        by_order = query.about == "payment" and query.payment_ref is None
        return ("order" if by_order else query.about) in self.gateway.queryable

    def answer(self, query, at=ENDS):
        call = self.gateway.query_request(query, now=at, nonce="0123456789abcdef")
        url = urlsplit(call.url)
        put = Put(
            method=call.method,
            path=url.path,
            target=call.url,
            query=parse_qsl(url.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in call.headers.items()},
            body=call.body,
        )
        sealed = self.api.sealed(self.api.answer(put, now=at, knows_at=at), now=at)
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
        return Truth(status=summary.status, paid=summary.captured, refunded=summary.refunded)


def a_story(play, template, account, currency):
    happenings = tuple(
        Happening(
            word=say.word,
            event_id=f"evt_{step}",
            at=NOW + STEP * step,
            amount=AMOUNT // 10 * say.tenths,
            refund_ref=f"re_{bare(ORDER_REF)}{say.part}",
        )
        for step, say in enumerate(template.says)
    )
    return Story(
        name=template.name,
        account=account,
        order_ref=ORDER_REF,
        payment_ref=f"{play.payment_prefix}{bare(ORDER_REF)}",
        amount=AMOUNT,
        currency=currency,
        due_currency=play.currencies[1] if template.in_other_currency else currency,
        due_at="another" if template.at_other_account else account,
        started_at=NOW,
        happenings=happenings,
        truth=Truth(
            status=template.status, paid=AMOUNT // 10 * template.paid, refunded=AMOUNT // 10 * template.refunded
        ),
    )


def broken_answers(told):
    """What the gateway makes of an API that is broken, busy, or answers somebody else."""
    put = Put(method="POST", path="/nowhere", target="/nowhere", query=[], headers={}, body=b"")
    sealed = [told.api.sealed(told.api.broken(status, put), now=NOW) for status in (429, 500)]
    sealed.append(told.api.sealed(told.api.answer(put, now=NOW, knows_at=NOW), now=NOW))
    query = Query(about="payment", order_ref=ORDER_REF, payment_ref=told.payment_ref)
    outcomes = []
    for it in sealed:
        try:
            headers = {name.lower(): [value] for name, value in it.headers.items()}
            told.gateway.read_response(query, Response(status=it.status, headers=headers, body=it.body), now=NOW)
        except (Unavailable, AccessDenied, BadPayload, BadSignature) as error:
            outcomes.append(type(error).__name__)
    return outcomes


def with_amount_raised(signed, after):
    """A delivery with one digit changed where the play says that nobody may."""
    headers, body = signed
    at = body.index(after) + len(after)
    return headers, body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def impostor_of(told):
    """The same, with the voice of somebody whose keys are not configured."""
    return told.play.impostor(told.voice)
