"""Implements Checkout.com: HMAC over the body, then one event a delivery; captures and refunds are known by their
actions.

`webhook` reads deliveries, `api` puts queries and reads responses, and `objects` has what both share.

Sources: checkout.com/docs, "Set up your webhook receiver", "Event types", "API response codes" and "Format the amount
value".  Its packages sign and verify nothing.
"""

from datetime import datetime
from typing import ClassVar, Final, cast

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.checkout import api, webhook
from tillkeeper.gateways.checkout.settings import ABOUT, CheckoutSettings
from tillkeeper.gateways.checkout.statements import FinancialActions
from tillkeeper.gateways.errors import CannotQuery
from tillkeeper.gateways.kit.answers import answered_at
from tillkeeper.gateways.kit.fact import query_event
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Verified
from tillkeeper.gateways.statement_form import StatementForm

SIGNATURE_HEADER: Final = "cko-signature"


class Checkout(Gateway):
    """One webhook of one account."""

    name: ClassVar[str] = "checkout"
    settings: ClassVar[type[AccountModel]] = CheckoutSettings
    about: ClassVar[About] = ABOUT
    statement_forms: ClassVar[tuple[type[StatementForm], ...]] = (FinancialActions,)
    queryable: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    refunds_in_payments: ClassVar[bool] = True
    kept_headers: ClassVar[frozenset[str]] = frozenset({SIGNATURE_HEADER, "content-type", "user-agent"})

    def __init__(self, account: str, settings: CheckoutSettings) -> None:
        self.account = account
        self._keys = HmacKeys("signature_keys", settings.signature_keys)
        self._secret_key = settings.secret_key
        self._api_base = settings.api_base

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - no time is signed
        """The bytes are signed as they came: written anew, numbers would differ."""
        return Verified(key=self._keys.label_in(request, SIGNATURE_HEADER, request.body), content=request.body)

    def key_labels(self) -> tuple[str, ...]:
        """There is one label for each key."""
        return self._keys.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Makes the events of a known type."""
        return webhook.events_in(cast("bytes", verified.content), self.account)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Names the payment of an event, and the merchant's reference of it."""
        return webhook.claimed_references(request.body)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """Asks about a payment by its id, the payments of a reference, or the actions of a payment."""
        path = api.path_of(query)
        if self._secret_key is None:
            raise CannotQuery("secret_key is not set")
        headers = {"Authorization": f"Bearer {self._secret_key}", "Accept": "application/json"}
        return Call(method="GET", url=f"{self._api_base}{path}", headers=headers)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Reads what each payment, or the refund among the actions, says of itself."""
        content = api.content_of(response)
        reported_at = answered_at(response, now)
        found = [] if content is None else list(api.objects_in(query, content))
        facts = (fact for subject in found for fact in api.facts_of(query, subject, reported_at))
        events = tuple(query_event(fact, account=self.account, reported_at=reported_at) for fact in facts)
        return Answer(found=bool(found), events=events)
