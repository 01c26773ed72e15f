"""All that a gateway's simulator tells, read by its gateway and applied to a database."""

from datetime import timedelta
from itertools import count
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from tests.database.factories import NOON, a_registration
from tests.signers import signer_at
from tillkeeper.domain.delivery import Delivery
from tillkeeper.domain.order.registration import Payer
from tillkeeper.gateways.fetching import fetches_of, query_of
from tillkeeper.gateways.messages import Request, Response
from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.policy import load_policy
from tillkeeper.sandbox.apis.base import ApiRequest
from tillkeeper.sandbox.simulators.registry import ledger_of, simulator_of
from tillkeeper.sandbox.story_generator import generate_story
from tillkeeper.store.apply.batch import apply_deliveries, apply_found
from tillkeeper.store.apply.registration import register
from tillkeeper.store.postgres.transactions import repeat_on_conflict

EMAIL, PHONE = "payer@shop.example", "+86 138 0000 0000"  # the address is in what several simulators send
SHIPPED = load_policy()
LATER = NOON + timedelta(hours=1)


class Played:
    """Every story of one gateway, told by its simulator, read by its gateway and applied."""

    def __init__(self, pool, gateway):
        self.pool = pool
        self.signer = signer_at(gateway)
        self.simulator = simulator_of(gateway)
        said = {"gateway": gateway, **self.simulator.settings(self.signer)}
        account_type = GATEWAYS[gateway]
        self.gateway = account_type(self.signer.account, account_type.settings.model_validate(said))
        self.run, self.numbers, self.raw = uuid4(), count(1), dict[int, bytes]()
        accounts = {self.signer.account: gateway}
        self.stories = [
            generate_story(1, number, run="ERASE", now=NOON, accounts=accounts, templates={gateway: (template,)})
            for number, template in enumerate(each for each in self.simulator.templates if not each.at_other_account)
        ]
        ledger = ledger_of(accounts, self.stories)
        self.api = self.simulator.api(self.signer, ledger) if self.simulator.api else None

    async def registered(self):
        for story in self.stories:
            registration = a_registration(
                story.order_ref,
                amount=story.amount,
                currency=story.due_currency,
                accounts=(story.due_at,),
                payer=Payer(email=EMAIL, phone=PHONE),
                pay_url=f"https://shop.example/pay/{story.order_ref}",
            )
            await register(self.pool, registration, policy=SHIPPED, now=NOON)

    async def delivered(self, again=0):
        """All that the gateway posts, and what it answers to the queries that some of it leads to."""
        for story in self.stories:
            told = [self.delivery(story, event, again) for event in story.events]
            answered = [
                event for delivery in told for query in delivery.fetches for event in self.answers(query_of(query))
            ]

            async def work(conn, told=told, answered=answered):
                await apply_deliveries(conn, told, policy=SHIPPED, now=NOON)
                await apply_found(conn, answered, policy=SHIPPED, now=NOON)

            await repeat_on_conflict(self.pool, work)

    def answers(self, query):
        token_call = self.gateway.token_request(now=LATER)
        token = None if token_call is None else self.gateway.read_token(self.answer(token_call), now=LATER)
        call = self.gateway.query_request(query, now=LATER, nonce="0123456789abcdef")
        more = {} if token is None else {"authorization": f"Bearer {token.value}"}
        return self.gateway.read_response(query, self.answer(call, **more), now=LATER).events

    def answer(self, call, **more):
        url = urlsplit(call.url)
        put = ApiRequest(
            method=call.method,
            path=url.path,
            target=call.url,
            query=parse_qsl(url.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in call.headers.items()} | more,
            body=call.body,
        )
        sealed = self.api.signed(self.api.respond(put, now=LATER, as_of=LATER), now=LATER)
        headers = {name.lower(): [value] for name, value in sealed.headers.items()}
        return Response(status=sealed.status, headers=headers, body=sealed.body)

    def delivery(self, story, event, again):
        headers, body = self.signer.sign(story, event, now=event.at, again=again)
        query = self.simulator.query_of(story, event)
        read = {name.lower(): [value] for name, value in headers.items()}
        verified = self.gateway.verify(Request(read, body, query), event.at)
        number = next(self.numbers)
        if event.event_type not in self.simulator.ignored:  # those may be about no order at all
            self.raw[number] = body
        return Delivery(
            run=self.run,
            number=number,
            account=self.signer.account,
            received_at=event.at,
            key=verified.key,
            headers=tuple((name, *values) for name, values in read.items() if name in self.gateway.kept_headers),
            body=body,
            events=self.gateway.parse(verified),
            fetches=fetches_of(self.gateway, verified),
            query=query,
        )
