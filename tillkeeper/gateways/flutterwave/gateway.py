"""Flutterwave: v4 signs the body with HMAC; v3 sends a secret along that proves nothing of it, and is asked.

Checked against documents only, for no official package verifies its webhooks.
Sources: Flutterwave's pages "Webhooks", "Transaction verification" and "Authentication", of v3 and of v4.
"""

import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final, Literal, Self, cast
from urllib.parse import quote, urlencode

import msgspec
from pydantic import Field, model_validator

from tillkeeper.domain.events import Kind, PaymentEvent, problem_with
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalSecret, Secrets, key_label
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, BadSignature, CannotQuery
from tillkeeper.gateways.flutterwave.objects import (
    CHARGE_STATUSES,
    charge_event,
    chargeback_event,
    made_at,
    number,
    number_or_none,
    order_ref_of,
    refund_event,
)
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.answers import answered_at, queried
from tillkeeper.gateways.kit.fields import at, integer, moment_from_unix, reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.kit.http_status import BAD_REQUEST, DENIED_STATUSES, NOT_FOUND, OK, check_status, status_error
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Token, Verified

SIGNATURE_HEADER: Final = "flutterwave-signature"
SECRET_HEADER: Final = "verif-hash"  # v3: it is the secret itself, and is never kept  # noqa: S105
BASE_V3: Final = "https://api.flutterwave.com"
BASE_V4: Final = "https://f4bexperience.flutterwave.com"
TOKEN_URL: Final = "https://idp.flutterwave.com/realms/flutterwave/protocol/openid-connect/token"  # noqa: S105
FLAT_TRANSACTION: Final = "_TRANSACTION"  # v3's older form: CARD_TRANSACTION, ACCOUNT_TRANSACTION; also Transfer, ...
TOKEN_S_MAX: Final = 3600  # it is said to live for ten minutes

_REFERENCE: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", re.ASCII)
BAD_CREDENTIALS_STATUSES: Final = DENIED_STATUSES | {BAD_REQUEST}  # the last is OAuth's word for them
_NOT_FOUND: Final = ("not found", "not_found", "no transaction was found")


class FlutterwaveSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "flutterwave"`."""

    gateway: Literal["flutterwave"]
    version: Literal["v3", "v4"] = Field(
        default="v4", description="Of Flutterwave's API and of its webhooks, v3 or v4.  With v3 secret_key is needed."
    )
    secret_hashes: Secrets = Field(
        description="The secret hash of the webhook (Settings > Webhooks): v4 signs with it, v3 sends it along.  While "
        "it is replaced, name both."
    )
    secret_key: OptionalSecret = Field(
        default=None, description="The API's secret key (FLWSECK-...), with which v3 is asked."
    )
    client_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="The client id with which v4 is asked, together with client_secret."
    )
    client_secret: OptionalSecret = Field(default=None, description="The secret that belongs to client_id.")
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = Field(
        default=None,
        description="The currency of refunds that tell none, as v3's never do.  None refuses them.",
    )
    api_base: ApiBase = BASE_V4
    token_url: ApiBase = Field(default=TOKEN_URL, description="Where v4 gives tokens for client_id and client_secret.")

    @model_validator(mode="after")
    def _can_ask(self) -> Self:
        if self.version == "v3" and self.secret_key is None:
            raise ValueError("version v3 needs secret_key: its webhooks prove nothing, and payments are fetched")
        if (self.client_id is None) is not (self.client_secret is None):
            raise ValueError("client_id and client_secret belong together")
        return self


ABOUT: Final = About(
    title="Flutterwave",
    verifies="v4: HMAC-SHA256 of the body, in base64, with the secret hash; v3: the header `verif-hash` is the secret "
    "hash itself; several hashes at once",
    uncovered="with v3 all of the body, for whoever has seen one delivery knows the secret: it only has the payment or "
    "refund fetched",
    dedupes_by="v4: the webhook's `id`; v3: what the fetched payment says",
    acknowledges="200 without a body",
    queries="charges (v3: transactions) by id, and by the reference that the merchant gave them; refunds by id",
    refunds_seen="nothing: a refund is asked about by its number; register it",
    checked="documents only; unsure are the events and statuses of refunds and chargebacks in v4",
    sources=("Flutterwave's pages on webhooks, verification, refunds and authentication, of v3 and of v4",),
)


class Flutterwave(Gateway):
    """One account at Flutterwave, of either version."""

    name: ClassVar[str] = "flutterwave"
    settings: ClassVar[type[AccountModel]] = FlutterwaveSettings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    kept_headers: ClassVar[frozenset[str]] = frozenset({SIGNATURE_HEADER, "content-type", "user-agent"})

    def __init__(self, account: str, settings: FlutterwaveSettings) -> None:
        self.account = account
        self._is_v3 = settings.version == "v3"
        self._keys = HmacKeys("secret_hashes", settings.secret_hashes, encoding="base64")
        self._secrets = [
            (key_label("secret_hashes", at, secret), secret.encode())
            for at, secret in enumerate(settings.secret_hashes)
        ]
        self._settings = settings
        self._base = BASE_V3 if self._is_v3 and settings.api_base == BASE_V4 else settings.api_base

    def key_labels(self) -> tuple[str, ...]:
        """One for each of the secret hashes."""
        return self._keys.labels

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - no time is signed
        """The signature of v4, or the secret of v3; never the other version's."""
        if self._is_v3:
            label = self._label_of_secret(request.header(SECRET_HEADER))
        else:
            label = self._keys.label_in(request, SIGNATURE_HEADER, request.body)
        return Verified(key=label, content=request.body)

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """One event of v4 for a type that is known, none for others, and none of v3, whose body is anybody's."""
        if self._is_v3:
            self.queries_for(verified)
            return ()
        delivery = strictjson.loads(cast("bytes", verified.content))
        told = text(delivery, "type")
        read = READERS.get(told.partition(".")[0])
        if read is None:
            return ()
        data, occurred_at = at(delivery, ["data"]), moment_from_unix(integer(delivery, "timestamp") // 1000)
        event = read(self.account, data, occurred_at, self._settings.currency)
        if event is None:
            return ()
        event_id = text_or_none(delivery, "id") or text_or_none(delivery, "webhook_id")
        made_id = f"{told}:{number(data, 'id')}:{text(data, 'status')}"
        event = msgspec.structs.replace(event, event_id=event_id or made_id)
        if problem := problem_with(event):
            raise BadPayload(problem)
        return (event,)

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """What a delivery of v3 says has changed."""
        if not self._is_v3:
            return ()
        delivery = strictjson.loads(cast("bytes", verified.content))
        event, data = text_or_none(delivery, "event"), at(delivery, ["data"])
        if event is None:
            return _flat_question(delivery)
        match event:
            case "charge.completed":
                return (Query(about="payment", payment_ref=_narrow(number(data, "id"))),)
            case "refund.completed":
                if self._settings.currency is None:
                    raise BadPayload("v3's refunds tell no currency, and the setting `currency` is not there")
                payment_ref = number_or_none(data, "TransactionId") or number_or_none(data, "tx_id")
                return (
                    Query(
                        about="refund",
                        payment_ref=None if payment_ref is None else _narrow(payment_ref),
                        refund_ref=_narrow(number(data, "id")),
                    ),
                )
            case _:
                return ()

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """The payment and the order that a delivery about a charge names."""
        try:
            data = at(strictjson.loads_unsigned(request.body), ["data"])
            if at(data, ["status"]) not in CHARGE_STATUSES:
                return None
            payment_ref = reference_or_none(number_or_none(data, "id"))
            order_ref = reference_or_none(order_ref_of(data))
        except (BadPayload, TypeError):  # a status may be anything
            return None
        return ClaimedReferences(order_ref=order_ref, payment_ref=payment_ref) if order_ref or payment_ref else None

    def token_request(self, *, now: datetime) -> Call | None:  # noqa: ARG002
        """v4's token, which client_id and client_secret are exchanged for."""
        if self._is_v3 or self._settings.client_id is None:
            return None
        told = {"client_id": self._settings.client_id, "client_secret": self._settings.client_secret}
        body = urlencode(told | {"grant_type": "client_credentials"}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        return Call(method="POST", url=self._settings.token_url, headers=headers, body=body)

    def read_token(self, response: Response, *, now: datetime) -> Token:
        """The token and how long it lives."""
        check_status(response, denied=BAD_CREDENTIALS_STATUSES)
        content = strictjson.loads(response.body)
        lives_s = integer(content, "expires_in")
        if not 0 < lives_s <= TOKEN_S_MAX:
            raise BadPayload("a token lives for a strange time")
        return Token(value=text(content, "access_token"), until=now + timedelta(seconds=lives_s))

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """A charge by its id, or by the reference that the merchant gave it; a refund by its id."""
        headers = {"Accept": "application/json"}
        if self._is_v3 or self._settings.client_id is None:
            if self._settings.secret_key is None:
                raise CannotQuery("neither client_id and client_secret nor secret_key are set")
            headers["Authorization"] = f"Bearer {self._settings.secret_key}"
        return Call(method="GET", url=f"{self._base}{self._path(query)}", headers=headers)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """What the charge or the refund says of itself."""
        data = _data_of(response)
        if data is None:
            return Answer(found=False)
        told_at = answered_at(response, now)
        if query.about == "refund":
            return Answer(found=True, events=tuple(map(queried, self._refund_said(query, data, told_at))))
        charges = list(_listed(data) if query.payment_ref is None else [data])
        if query.payment_ref is not None and number(data, "id") != query.payment_ref:
            raise BadPayload("the answer is about another charge than the question")
        ours = [it for it in charges if query.payment_ref or order_ref_of(it) == query.order_ref]
        events = tuple(queried(event) for it in ours for event in self._charge_said(it, told_at))
        return Answer(found=bool(ours), events=events)

    def _label_of_secret(self, told: str) -> str:
        """In constant time for each of the secrets."""
        for label, secret in self._secrets:
            if hmac.compare_digest(secret, told.encode(errors="surrogatepass")):
                return label
        raise BadSignature(f"{SECRET_HEADER} is none of the secret_hashes")

    def _path(self, query: Query) -> str:
        prefix = "/v3" if self._is_v3 else ""
        if query.about == "refund":
            return f"{prefix}/refunds/{_quoted(query.refund_ref)}"
        if query.payment_ref is not None:
            ref = _quoted(query.payment_ref)
            return f"/v3/transactions/{ref}/verify" if self._is_v3 else f"/charges/{ref}"
        if not query.order_ref:
            raise CannotQuery("neither the charge's id nor its reference is known")
        if self._is_v3:
            return f"/v3/transactions/verify_by_reference?{urlencode({'tx_ref': query.order_ref})}"
        return f"/charges?{urlencode({'reference': query.order_ref})}"

    def _charge_said(self, charge: object, told_at: datetime) -> Iterator[PaymentEvent]:
        event = charge_event(self.account, charge, told_at)
        if event is not None:
            since = made_at(charge) if event.kind is Kind.PAYMENT_SUCCEEDED else None
            yield msgspec.structs.replace(event, occurred_at=since or told_at)

    def _refund_said(self, query: Query, refund: object, told_at: datetime) -> Iterator[PaymentEvent]:
        """Begun when it was made: what replaced one that failed began after that.  When it failed is not told."""
        if number(refund, "id") != query.refund_ref:
            raise BadPayload("the answer is about another refund than the question")
        event = refund_event(self.account, refund, told_at, self._settings.currency)
        if event is None:
            return
        yield msgspec.structs.replace(
            event,
            occurred_at=(None if event.kind is Kind.REFUND_FAILED else made_at(refund)) or told_at,
            order_ref=query.order_ref,
            payment_ref=event.payment_ref or query.payment_ref,
        )


# What v4's types are about, by the word before the dot; all others are answered with success and change nothing.
READERS: Final[Mapping[str, Callable[[str, object, datetime, str | None], PaymentEvent | None]]] = {
    "charge": lambda account, data, occurred_at, _: charge_event(account, data, occurred_at),
    "refund": refund_event,
    "chargeback": chargeback_event,
}


def _flat_question(delivery: object) -> tuple[Query, ...]:
    """v3's older form, without an object of its own: the transaction stands beside what the event is called."""
    if not text(delivery, "event.type").upper().endswith(FLAT_TRANSACTION):
        return ()
    return (Query(about="payment", payment_ref=_narrow(number(delivery, "id"))),)


def _narrow(ref: str) -> str:
    if reference_or_none(ref) is None:
        raise BadPayload("an id has characters that Flutterwave does not use")
    return ref


def _quoted(ref: str | None) -> str:
    if ref is None or not _REFERENCE.fullmatch(ref):
        raise CannotQuery("a reference is missing, or has characters that Flutterwave does not use")
    return quote(ref, safe="")


def _listed(data: object) -> Iterator[object]:
    """v4 lists charges, v3 gives the one transaction."""
    if isinstance(data, list):
        yield from data
    else:
        yield data


def _data_of(response: Response) -> object:
    """What an answer holds; None where Flutterwave knows of no such thing."""
    check_status(response, accepted={OK, BAD_REQUEST, NOT_FOUND})
    content = strictjson.loads(response.body)
    status = text_or_none(content, "status")
    if response.status == OK and status == "success":
        return [] if (data := at(content, ["data"])) is None else data
    if response.status != OK and status in {"error", "failed"}:
        # v3 says it in the message, v4 by the error's type.
        error = at(content, ["error"])
        told = [text_or_none(content, "message"), text_or_none(error, "type") if isinstance(error, dict) else None]
        if any(words in f"{it}".lower() for it in told for words in _NOT_FOUND):
            return None
    raise status_error(response)
