"""Implements Flutterwave: v4 signs the body with HMAC; v3 sends a secret along that proves nothing of it, and is asked.

Checked against documents only, for no official package verifies its webhooks.
Sources: Flutterwave's pages "Webhooks", "Transaction verification" and "Authentication", of v3 and of v4.
"""

import hmac
from datetime import datetime
from typing import ClassVar, Final
from urllib.parse import urlencode

import msgspec

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, BadSignature, CannotQuery
from tillkeeper.gateways.flutterwave import api, v3
from tillkeeper.gateways.flutterwave.objects import (
    CHARGE_STATUSES,
    IGNORED,
    READERS,
    charge_fact,
    made_at,
    order_ref_of,
    refund_fact,
)
from tillkeeper.gateways.flutterwave.settings import ABOUT, BASE_V3, BASE_V4, FlutterwaveSettings
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.answers import answered_at
from tillkeeper.gateways.kit.fact import Fact, query_event, webhook_event
from tillkeeper.gateways.kit.fields import (
    at,
    integer,
    moment_from_unix,
    number,
    number_or_none,
    reference_or_none,
    text,
    text_or_none,
)
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.kit.key_labels import key_label
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Token, Verified

SIGNATURE_HEADER: Final = "flutterwave-signature"
SECRET_HEADER: Final = "verif-hash"  # v3: it is the secret itself, and is never kept  # noqa: S105


class Flutterwave(Gateway):
    """One account at Flutterwave, of either version."""

    name: ClassVar[str] = "flutterwave"
    settings: ClassVar[type[AccountModel]] = FlutterwaveSettings
    about: ClassVar[About] = ABOUT
    queryable: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    kept_headers: ClassVar[frozenset[str]] = frozenset({SIGNATURE_HEADER, "content-type", "user-agent"})

    def __init__(self, account: str, settings: FlutterwaveSettings) -> None:
        self.account = account
        self._is_v3 = settings.version == "v3"
        self._keys = HmacKeys("secret_hashes", settings.secret_hashes, encoding="base64")
        self._secrets = [
            (key_label("secret_hashes", index, secret), secret.encode())
            for index, secret in enumerate(settings.secret_hashes)
        ]
        self._settings = settings
        self._base = BASE_V3 if self._is_v3 and settings.api_base == BASE_V4 else settings.api_base

    def key_labels(self) -> tuple[str, ...]:
        """Returns one label for each secret hash."""
        return self._keys.labels

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - no time is signed
        """Checks the signature of v4, or the secret of v3; never the other version's."""
        if self._is_v3:
            label = self._label_of_secret(request.header(SECRET_HEADER))
        else:
            label = self._keys.label_in(request, SIGNATURE_HEADER, request.body)
        return Verified(key=label, content=request.body)

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Returns one event of v4 for a type that is known; none of v3, whose body anybody may have written."""
        if self._is_v3:
            self.queries_for(verified)
            return ()
        delivery = strictjson.json_of(verified)
        event_type = text(delivery, "type")
        read = READERS.get(event_type.partition(".")[0])
        if read is None:
            IGNORED.note(event_type)
            return ()
        data, occurred_at = at(delivery, ["data"]), moment_from_unix(integer(delivery, "timestamp") // 1000)
        fact = read(data, self._settings.currency)
        if fact is None:
            return ()
        event_id = text_or_none(delivery, "id") or text_or_none(delivery, "webhook_id")
        made_id = f"{event_type}:{number(data, 'id')}:{text(data, 'status')}"
        return (webhook_event(fact, account=self.account, event_id=event_id or made_id, reported_at=occurred_at),)

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """Queries what a delivery of v3 says has changed."""
        if not self._is_v3:
            return ()
        return v3.queries_for(strictjson.json_of(verified), self._settings.currency)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Returns the payment and the order in a delivery about a charge."""
        try:
            data = at(strictjson.loads_unsigned(request.body), ["data"])
            if at(data, ["status"]) not in CHARGE_STATUSES:
                return None
            payment_ref = reference_or_none(number_or_none(data, "id"))
            order_ref = reference_or_none(order_ref_of(data))
        except (BadPayload, TypeError):  # a status may be anything
            return None
        return ClaimedReferences.of(order_ref=order_ref, payment_ref=payment_ref)

    def token_request(self, *, now: datetime) -> Call | None:  # noqa: ARG002
        """Exchanges client_id and client_secret for v4's token."""
        if self._is_v3 or self._settings.client_id is None:
            return None
        credentials = {"client_id": self._settings.client_id, "client_secret": self._settings.client_secret}
        body = urlencode(credentials | {"grant_type": "client_credentials"}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        return Call(method="POST", url=self._settings.token_url, headers=headers, body=body)

    def read_token(self, response: Response, *, now: datetime) -> Token:
        """Returns the token, and until when it lives."""
        return api.token_in(response, now)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """Fetches a charge by its id, or by the merchant's reference; a refund by its id."""
        headers = {"Accept": "application/json"}
        if self._is_v3 or self._settings.client_id is None:
            if self._settings.secret_key is None:
                raise CannotQuery("neither client_id and client_secret nor secret_key are set")
            headers["Authorization"] = f"Bearer {self._settings.secret_key}"
        return Call(method="GET", url=f"{self._base}{api.path_of(query, is_v3=self._is_v3)}", headers=headers)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Reads the charge or the refund."""
        data = api.data_of(response)
        if data is None:
            return Answer(found=False)
        if query.about == "refund":
            facts, is_found = [self._refund_fact(query, data)], True
        else:
            charges = api.charges_in(query, data)
            facts, is_found = [_charge_fact(charge) for charge in charges], bool(charges)
        reported_at = answered_at(response, now)
        events = tuple(
            query_event(fact, account=self.account, reported_at=reported_at) for fact in facts if fact is not None
        )
        return Answer(found=is_found, events=events)

    def _label_of_secret(self, sent: str) -> str:
        """Compares with each of the secrets in constant time."""
        for label, secret in self._secrets:
            if hmac.compare_digest(secret, sent.encode(errors="surrogatepass")):
                return label
        raise BadSignature(f"{SECRET_HEADER} is none of the secret_hashes")

    def _refund_fact(self, query: Query, refund: object) -> Fact | None:
        """Reads a refund since it was made; since the response where it failed, for when is not known.

        A refund that replaces a failed one begins after that.
        """
        if number(refund, "id") != query.refund_ref:
            raise BadPayload("the response is about another refund than the query")
        fact = refund_fact(refund, self._settings.currency)
        return fact and msgspec.structs.replace(
            fact,
            occurred_at=None if fact.kind is Kind.REFUND_FAILED else made_at(refund),
            order_ref=query.order_ref,
            payment_ref=fact.payment_ref or query.payment_ref,
        )


def _charge_fact(charge: object) -> Fact | None:
    """Reads a charge as paid when it was made, for when it was paid is not known."""
    fact = charge_fact(charge)
    is_paid = fact is not None and fact.kind is Kind.PAYMENT_SUCCEEDED
    return fact and msgspec.structs.replace(fact, occurred_at=made_at(charge) if is_paid else None)
