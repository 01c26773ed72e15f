"""A gateway of the tests' own that posts references and no more, as several real ones do.

    POST /webhooks/ACCOUNT?key=SECRET    {"payment": "tr_1"}       GET {api_base}/payments/tr_1

Without `key` a delivery is taken unproven, where the account says so.
"""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

import msgspec
from pydantic import Field

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import AccessDenied, BadPayload, BadSignature, Unavailable, VerificationStep
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.answers import answered_at, queried
from tillkeeper.gateways.kit.fields import text_or_none
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import Answer, Call, Query, Reply, Request, Response, Verified

OK, NOT_FOUND, DENIED = 200, 404, 401
KINDS = {"open": Kind.PAYMENT_PENDING, "paid": Kind.PAYMENT_SUCCEEDED, "failed": Kind.PAYMENT_FAILED}


class NotifyOnlySettings(AccountModel):
    gateway: Literal["telling"] = "telling"
    key: str = Field(default="key-of-the-tests", description="What the query must say.")
    unsigned: bool = False
    acknowledges: bool = False
    api_base: Annotated[str, Field()] = "http://127.0.0.1:9"


class NotifyOnlyGateway(Gateway):
    name: ClassVar[str] = "telling"
    settings: ClassVar[type[AccountModel]] = NotifyOnlySettings
    about: ClassVar[About] = About(
        title="NotifyOnlyGateway",
        title_zh="测试",
        verifies="",
        dedupes_by="",
        acknowledges="",
        queries="",
        checked="",
        sources=(),
        refunds_seen="",
    )
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type"})

    def __init__(self, account: str, settings: NotifyOnlySettings | None = None, **more: object) -> None:
        self.account = account
        self.told = settings or NotifyOnlySettings(**more)
        self.keys: set[str] = set()  # learnt

    def verify(self, request: Request, now: datetime) -> Verified:
        if request.query == f"key={self.told.key}":
            return Verified(key="key", content=request.body)
        if self.told.unsigned and not request.query:
            return Verified(key="unsigned", content=request.body, proven=False)
        name = request.query.partition("=")[2]
        if name in self.keys:
            return Verified(key=f"learnt:{name}", content=request.body)
        raise BadSignature("no such key", VerificationStep.KEY if name.startswith("new") else None)

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        return ()

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        told = strictjson.loads(verified.content)
        if (mood := text_or_none(told, "mood")) not in {None, "good"}:
            unknown_word("mood", mood)
        payment_ref, refund_ref = text_or_none(told, "payment"), text_or_none(told, "refund")
        if refund_ref:
            return (Query(about="refund", payment_ref=payment_ref, refund_ref=refund_ref),)
        return (Query(about="payment", payment_ref=payment_ref),)

    def answer_challenge(self, request: Request) -> Reply | None:
        return Reply(status=200, body=request.query[7:].encode()) if request.query.startswith("verify=") else None

    def missing_key_request(self, request: Request, *, now: datetime, nonce: str) -> Call | None:
        name = request.query.partition("=")[2]
        if name == "newly-refused":
            raise BadSignature("that address is not the gateway's")
        if name in self.keys:
            return None
        return Call(method="GET", url=f"{self.told.api_base}/keys/{name}", headers={"X-Nonce": nonce})

    def read_key(self, call: Call, response: Response, *, now: datetime) -> None:
        if response.status >= 500:
            raise Unavailable("broken")
        if response.status == DENIED:
            raise AccessDenied("denied")
        if response.status != OK:
            raise BadPayload("no key")
        self.keys.add(response.body.decode())

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:
        return Call(method="GET", url=f"{self.told.api_base}/payments/{query.payment_ref}", headers={})

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        if response.status == NOT_FOUND:
            return Answer(found=False)
        if response.status != OK:
            raise Unavailable(f"status {response.status}")
        told = msgspec.json.decode(response.body)
        if told["status"] not in KINDS:
            unknown_word("status", told["status"])
            return Answer(found=True)
        event = queried(
            PaymentEvent(
                event_id="-",
                kind=KINDS[told["status"]],
                account=self.account,
                occurred_at=datetime.fromtimestamp(told["at"], UTC) if "at" in told else answered_at(response, now),
                order_ref=told["order"],
                payment_ref=query.payment_ref,
                amount=told["amount"],
                currency="CNY",
            )
        )
        then = (Call(method="POST", url=f"{self.told.api_base}/acknowledge/{query.payment_ref}", headers={}),)
        return Answer(found=True, events=(event,), then=then if self.told.acknowledges else ())
