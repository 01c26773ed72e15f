"""Describes the receiver's HTTP as OpenAPI 3.1, made of the types that decode requests and encode responses.

What operations there are, and which errors each has, stands in one table; tests/system/test_openapi.py holds a running
receiver to it.
"""

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Final, Literal

import msgspec
import orjson
from aiohttp import web
from multidict import CIMultiDict

from tillkeeper import __version__
from tillkeeper.domain.events import REF_CHARS_MAX
from tillkeeper.domain.order.refund_registration import REFUND_REF_CHARS_MAX
from tillkeeper.domain.order.view import OrderView
from tillkeeper.ingest.api_types import (
    Alive,
    OrderBody,
    Problem,
    Ready,
    RefundBody,
    RefundRegistered,
    RefundWithdrawn,
    Registered,
)
from tillkeeper.ingest.responses import RETRY_AFTER_S, SERVER, Handler
from tillkeeper.openapi import JSON, Json, fixed_headers, merged, received, reference, sent
from tillkeeper.store.reports.shown_order import HistoryEntry, OrderDetails

Method = Literal["get", "put", "delete", "post"]

BEARER: Final = "token"  # the scheme's name within the document
ORDER: Final = "/orders/{order_ref}"
REFUND: Final = "/orders/{order_ref}/refunds/{refund_ref}"

# What may be wrong with a request for an order, whatever it asks for.
ALWAYS: Final = {
    400: "The reference in the path is not percent-encoded UTF-8, has NUL in it, or is too long.",
    401: "The header `Authorization: Bearer TOKEN` is missing, or the token is none of `api_tokens`.",
    503: "The database is out of reach, or others hold the order.  Nothing is lost by asking again.",
}
WITH_BODY: Final = {
    400: "The reference or the body is wrong; `error` names the field.",
    408: "The body was not complete after 5 s.",
    413: "The body is larger than `ingest.max_body_bytes`.",
    415: "The body is compressed.",
}
NO_ORDER: Final = {404: "No such order is registered."}
HEADERS: Final[Mapping[int, Mapping[str, str]]] = {
    401: {"WWW-Authenticate": "Bearer"},
    503: {"Retry-After": str(RETRY_AFTER_S)},
}


class OrdersOperation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path: what it takes, what it answers, and what may be wrong."""

    path: str
    method: Method
    name: str
    summary: str
    description: str
    takes: type | None = None
    answers: Mapping[int, str]  # what each successful status means
    content: str | type  # the name of a schema, or the type
    errors: Mapping[int, str]
    is_open: bool = False  # without a token


OPERATIONS: Final = (
    OrdersOperation(
        path=ORDER,
        method="put",
        name="registerOrder",
        summary="Register an order",
        description="Says what is due and at which accounts.  Events that came before are applied in the same "
        "transaction.  Repeat it as often as you like: the same terms change nothing.",
        takes=OrderBody,
        answers={201: "Registered now.", 200: "It was registered before, with the same terms."},
        content=Registered,
        errors={
            **ALWAYS,
            **WITH_BODY,
            409: "It is registered with other terms, or a payment that it claims is another order's; `error` begins "
            "with the field.",
        },
    ),
    OrdersOperation(
        path=ORDER,
        method="get",
        name="showOrder",
        summary="Show an order",
        description="Its status and sums, its payments, refunds, disputes and cases, as of now.",
        answers={200: "The order."},
        content="Order",
        errors={**ALWAYS, **NO_ORDER},
    ),
    OrdersOperation(
        path="/orders/{order_ref}/history",
        method="get",
        name="showHistory",
        summary="Show an order's history",
        description="Every event, act and step of the ladder, the oldest first by our clock.",
        answers={200: "The history."},
        content="History",
        errors={**ALWAYS, **NO_ORDER},
    ),
    OrdersOperation(
        path=REFUND,
        method="put",
        name="registerRefund",
        summary="Register a refund that you requested",
        description="Say it when you request the refund from the gateway.  The order is `refunding` at once, and the "
        "gateway is asked about it until it is done.",
        takes=RefundBody,
        answers={201: "Registered now.", 200: "It is known, and says the same."},
        content=RefundRegistered,
        errors={
            **ALWAYS,
            **WITH_BODY,
            **NO_ORDER,
            409: "It differs from what is known of this refund, or its account is none of the order's; `error` begins "
            "with the field.",
        },
    ),
    OrdersOperation(
        path=REFUND,
        method="delete",
        name="withdrawRefund",
        summary="Withdraw a refund that was never made",
        description="For a refund that you registered and that its gateway then refused.",
        answers={200: "It counts for nothing any more."},
        content=RefundWithdrawn,
        errors={
            **ALWAYS,
            404: "The order has no refund of this reference, or is not registered.",
            409: "The gateway knows of this refund: what becomes of it is the gateway's to say.",
        },
    ),
    OrdersOperation(
        path="/webhooks/{account}",
        method="post",
        name="receiveDelivery",
        summary="Receive a webhook",
        description="For gateways: the address that you enter at the gateway's console.  The body is verified as it "
        "came over the wire and is durable before the answer.  Answers and refusals have the gateway's own form, "
        "without detail; `tillkeeper refused list` tells why a delivery was refused.",
        answers={200: "Durable, in the form that most gateways expect.", 204: "Durable, for WeChat Pay."},
        content="Form",
        errors={
            400: "Its signature is good, and its content is not.",
            401: "Its signature is missing, wrong, or too old.",
            404: "No such account is configured.",
            **{status: WITH_BODY[status] for status in (408, 413, 415)},
            503: "It could not be made durable, or a key of the gateway's is not at hand.  The gateway sends it again.",
        },
        is_open=True,
    ),
    OrdersOperation(
        path="/healthz",
        method="get",
        name="isAlive",
        summary="Is the process alive",
        description="Says nothing about broker or database.",
        answers={200: "It is."},
        content=Alive,
        errors={},
        is_open=True,
    ),
    OrdersOperation(
        path="/readyz",
        method="get",
        name="isReady",
        summary="Can a delivery be taken",
        description="For load balancers: whether a delivery would be made durable, and could be applied.",
        answers={200: "It can."},
        content=Ready,
        errors={503: "No lane can make a delivery durable, or the schema of the database is not this program's."},
        is_open=True,
    ),
    OrdersOperation(
        path="/openapi.json",
        method="get",
        name="describe",
        summary="This document",
        description="OpenAPI 3.1.",
        answers={200: "The document."},
        content="Document",
        errors={},
        is_open=True,
    ),
)

PARAMETERS: Final[Mapping[str, Json]] = {
    "order_ref": {
        "description": "Your reference of the order, percent-encoded UTF-8; a slash in it is %2F.",
        "schema": {"type": "string", "minLength": 1, "maxLength": REF_CHARS_MAX, "pattern": "^[^\\u0000]*$"},
        "example": "A-1001",
    },
    "refund_ref": {
        "description": "The gateway's name for the refund, percent-encoded: Stripe's re_..., Alipay's out_request_no, "
        "WeChat Pay's out_refund_no.",
        "schema": {"type": "string", "minLength": 1, "maxLength": REFUND_REF_CHARS_MAX, "pattern": "^[^\\u0000]*$"},
        "example": "re_3MmlLrLkdIwHu7ix0uhszkEj",
    },
    "account": {
        "description": "The name of the account in the settings.",
        "schema": {"type": "string", "minLength": 1},
        "example": "stripe-main",
    },
}
EXAMPLES: Final[Mapping[type, Json]] = {
    OrderBody: {
        "amount": 12900,
        "currency": "CNY",
        "accounts": ["alipay-main"],
        "payer": {"email": "payer@shop.example", "locale": "zh-CN"},
        "pay_url": "https://shop.example/pay/A-1001",
        "expires_at": "2026-12-01T12:00:00+08:00",
    },
    RefundBody: {"account": "alipay-main", "amount": 900},
}
# Bodies that are no struct of ours.
OTHER_SCHEMAS: Final[Mapping[str, Json]] = {
    "History": {
        "description": "Every event, act and step, the oldest first.",
        "type": "array",
        "items": reference("HistoryEntry"),
    },
    "Document": {"description": "An OpenAPI document.", "type": "object", "required": ["openapi", "info", "paths"]},
}


def routes() -> dict[str, dict[str, Handler]]:
    """Returns the handler of each method, by path.  Anybody may read it: it names no account."""
    body = orjson.dumps(document())

    async def describe(_request: web.Request) -> web.Response:
        headers = CIMultiDict({"Server": SERVER, "Content-Type": "application/json"})
        return web.Response(body=body, headers=headers)

    return {"/openapi.json": {"GET": describe, "HEAD": describe}}


@cache
def document() -> Json:
    """Returns the whole document."""
    paths: Json = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {"parameters": _parameters(operation.path)})[operation.method] = _operation(
            operation
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tillkeeper",
            "version": __version__,
            "description": "Keeps a merchant's order payment state true.  Amounts are whole numbers of a currency's "
            "minor unit; times are RFC 3339.  Every error of the orders API has a body of the schema Problem; a path "
            "answers 405 to methods that it does not take.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This receiver."}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                BEARER: {"type": "http", "scheme": "bearer", "description": "One of `api_tokens` in the settings."}
            },
        },
    }


def _parameters(path: str) -> list[Json]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, **PARAMETERS[name]} for name in names]


def _operation(operation: OrdersOperation) -> Json:
    described: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": operation.description,
        "security": [] if operation.is_open else [{BEARER: []}],
        "responses": {
            **{str(status): _answer(operation, status) for status in sorted(operation.answers)},
            **{str(status): _error(operation, status) for status in sorted(operation.errors)},
        },
    }
    if operation.takes is not None:
        content = {"schema": _reference(operation.takes), "example": EXAMPLES[operation.takes]}
        described["requestBody"] = {"required": True, "content": {JSON: content}}
    if operation.content == "Form":
        described["requestBody"] = {"required": True, "content": {"*/*": {}}}
    return described


def _answer(operation: OrdersOperation, status: int) -> Json:
    meaning = {"description": operation.answers[status]}
    if operation.content == "Form":
        return meaning if status == HTTPStatus.NO_CONTENT else {**meaning, "content": {"*/*": {}}}
    return {**meaning, "content": {JSON: {"schema": _reference(operation.content)}}}


def _error(operation: OrdersOperation, status: int) -> Json:
    is_forms = operation.content == "Form" and status != HTTPStatus.NOT_FOUND
    content: Json = {"*/*": {}} if is_forms else {JSON: {"schema": _reference(Problem)}}
    described: Json = {"description": operation.errors[status], "content": content}
    headers = {} if operation.is_open and status == HTTPStatus.UNAUTHORIZED else HEADERS.get(status, {})
    if headers:
        described["headers"] = fixed_headers(headers)
    return described


def _reference(content: str | type) -> Json:
    return reference(content if isinstance(content, str) else content.__name__)


def _schemas() -> Json:
    """Returns the schema of each body, and of what is in it."""
    encoded = sent(
        [
            *(Registered, RefundRegistered, RefundWithdrawn, Problem, Alive, Ready),
            *(OrderView, OrderDetails, HistoryEntry),
        ]
    )
    parts = [encoded.pop("OrderView"), encoded.pop("OrderDetails")]
    order = merged("Order", "An order as it stands.  Amounts are in minor units of `currency`.", parts)
    return {**received([OrderBody, RefundBody]), "Order": order, **encoded, **OTHER_SCHEMAS}
