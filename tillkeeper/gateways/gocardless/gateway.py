"""Implements GoCardless: HMAC over the body, up to 250 events in one delivery, and no amount in any of them.

An event becomes one of ours where it needs neither an amount nor what came before it, and names the order: a payment
on its way, cancelled, or charged back.  A success needs its amount.  A failure may be late, which is to say that the
money was there and went back: that is a reversal, after which it may be collected again, and only the payment's own
history tells which.  For these GoCardless is asked, once for each payment of a delivery: not GET /payments/{id}, which
tells neither the cause nor what was before, but its list of that payment's events with the payment along
(`include=payment`).

`webhook` reads deliveries, `api` puts queries and reads responses, `objects` says what an event or a refund means, and
`history` what a payment's events mean together.

Sources: the package `gocardless-pro` (`webhooks.py`, services) and GoCardless's API reference.
"""

from datetime import datetime
from typing import ClassVar, Final, cast

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import Gateway, Queryable
from tillkeeper.gateways.gocardless import api
from tillkeeper.gateways.gocardless.settings import ABOUT, GoCardlessSettings
from tillkeeper.gateways.gocardless.statements import PayoutBreakdown
from tillkeeper.gateways.gocardless.webhook import WebhookReader, claimed_references
from tillkeeper.gateways.kit.answers import answered_at
from tillkeeper.gateways.kit.fact import query_event
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Verified
from tillkeeper.gateways.statement_form import StatementForm

SIGNATURE_HEADER: Final = "webhook-signature"
API_VERSION: Final = "2015-07-06"


class GoCardless(Gateway):
    """One endpoint of one GoCardless account."""

    name: ClassVar[str] = "gocardless"
    settings: ClassVar[type[AccountModel]] = GoCardlessSettings
    about: ClassVar[About] = ABOUT
    statement_forms: ClassVar[tuple[type[StatementForm], ...]] = (PayoutBreakdown,)
    queryable: ClassVar[frozenset[Queryable]] = frozenset({"payment", "refund"})
    kept_headers: ClassVar[frozenset[str]] = frozenset({SIGNATURE_HEADER, "content-type", "user-agent"})

    def __init__(self, account: str, settings: GoCardlessSettings) -> None:
        self.account = account
        self._keys = HmacKeys("webhook_secrets", settings.webhook_secrets)
        self._access_token = settings.access_token
        self._api_base = settings.api_base
        self._order_ref_path = settings.order_ref_path.split(".")
        self._webhook = WebhookReader(account, self._order_ref_path, settings.organisation)

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - GoCardless signs no time
        """Any of the secrets will do."""
        label = self._keys.label_in(request, SIGNATURE_HEADER, request.body)
        return Verified(key=label, content=request.body)

    def key_labels(self) -> tuple[str, ...]:
        """There is one label for each secret."""
        return self._keys.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Makes events of those that say all by themselves."""
        return self._webhook.events_in(cast("bytes", verified.content))

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """GoCardless is asked about each payment and each refund that other events are about."""
        return self._webhook.queries_for(cast("bytes", verified.content))

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Names the first payment that any event is about."""
        return claimed_references(request.body)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """Asks for a payment's events with the payment, or for a refund."""
        headers = {
            "Authorization": f"Bearer {self._access_token}",
            "GoCardless-Version": API_VERSION,
            "Accept": "application/json",
        }
        return Call(method="GET", url=f"{self._api_base}{api.path_of(query)}", headers=headers)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Reads where the payment or the refund stands."""
        content = api.content_of(response)
        if content is None:
            return Answer(found=False)
        reported_at = answered_at(response, now)
        found = query.about == "refund" or bool(api.events_in(content))
        facts = api.facts_of(query, content, self._order_ref_path, reported_at)
        events = tuple(query_event(fact, account=self.account, reported_at=reported_at) for fact in facts)
        return Answer(found=found, events=events)
