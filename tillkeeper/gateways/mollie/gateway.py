"""Implements Mollie: two sorts of webhooks at one address, told apart by what arrives.

Classic, which each payment names by its `webhookUrl`: a form with the payment's id, no signature, and on purpose no
status.  Anybody can send one, so that it is a hint to ask Mollie, and no more.  Next-gen, to which an account
subscribes: JSON under an HMAC of the body.  A request without the header is a classic call, also where there are
signing secrets; one with the header must verify, and JSON without it is refused.

`webhook` reads both sorts, `api` puts queries and reads responses, and `objects` says what Mollie's objects mean.

Sources: Mollie's documentation, "Webhooks" and "Next-gen webhooks"; mollie-api-php, `src/Webhooks/SignatureValidator`.
"""

from datetime import datetime
from typing import ClassVar, Final, cast

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import Gateway, Queryable
from tillkeeper.gateways.errors import BadSignature, VerificationStep
from tillkeeper.gateways.kit.answers import answered_at
from tillkeeper.gateways.kit.fact import query_event
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Verified
from tillkeeper.gateways.mollie import api, webhook
from tillkeeper.gateways.mollie.objects import Profile
from tillkeeper.gateways.mollie.settings import ABOUT, MollieSettings
from tillkeeper.gateways.mollie.statements import SettlementReport
from tillkeeper.gateways.statement_form import StatementForm

SIGNATURE_HEADER: Final = "x-mollie-signature"
SIGNATURE_PREFIX: Final = "sha256="
UNSIGNED: Final = "unsigned"
LIVE_BY_KEY_PREFIX: Final = {"live_": True, "test_": False}


class Mollie(Gateway):
    """One profile at Mollie, in one mode."""

    name: ClassVar[str] = "mollie"
    settings: ClassVar[type[AccountModel]] = MollieSettings
    about: ClassVar[About] = ABOUT
    statement_forms: ClassVar[tuple[type[StatementForm], ...]] = (SettlementReport,)
    queryable: ClassVar[frozenset[Queryable]] = frozenset({"payment", "refund"})
    refunds_in_payments: ClassVar[bool] = True
    kept_headers: ClassVar[frozenset[str]] = frozenset({SIGNATURE_HEADER, "content-type", "user-agent"})

    def __init__(self, account: str, settings: MollieSettings) -> None:
        self.account = account
        self.live = LIVE_BY_KEY_PREFIX.get(settings.api_key[:5])
        self._keys = HmacKeys("signing_secrets", settings.signing_secrets)
        self._has_keys = bool(settings.signing_secrets)
        self._api_key = settings.api_key
        self._api_base = settings.api_base
        self._profile = Profile(order_ref_path=tuple(settings.order_ref_path.split(".")), live=self.live)

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - Mollie signs no time
        """Takes any signature in the header, by any of the secrets; without the header it is a classic call."""
        if not request.headers.get(SIGNATURE_HEADER):
            if webhook.is_event(request.body):
                raise BadSignature("a next-gen event is signed, and this one is not", VerificationStep.HEADER)
            return Verified(key=UNSIGNED, content=request.body, proven=False)
        if not self._has_keys:
            raise BadSignature("signing_secrets is not set", VerificationStep.KEY)
        label = self._keys.label_in(request, SIGNATURE_HEADER, request.body, prefix=SIGNATURE_PREFIX)
        return Verified(key=label, content=request.body)

    def key_labels(self) -> tuple[str, ...]:
        """There is one label for each secret."""
        return self._keys.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Makes events of the payment or the refund within an event; a classic call says nothing."""
        body = cast("bytes", verified.content)
        return webhook.events_in(body, self.account, self._profile) if verified.proven else ()

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """Mollie is asked about the payment, link or order that a call names, unless an event within said all."""
        ref = webhook.queried_ref(cast("bytes", verified.content))
        return () if ref is None else (Query(about="payment", payment_ref=ref),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Names the payment that a next-gen event is about; classic calls need no proof."""
        return webhook.claimed_references(request.body)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """Asks for a payment with what went back of it, the payments of a link, or one refund of a payment."""
        headers = {"Authorization": f"Bearer {self._api_key}", "Accept": "application/hal+json"}
        return Call(method="GET", url=f"{self._api_base}/v2/{api.path_of(query)}", headers=headers)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Reads where the payments, or the refund, stand."""
        content = api.content_of(response)
        if content is None:
            return Answer(found=False)
        reported_at = answered_at(response, now)
        found = api.read(query, content, self._profile, reported_at)
        events = tuple(query_event(fact, account=self.account, reported_at=reported_at) for fact in found.facts)
        return Answer(found=found.is_known, events=events, also=found.also)
