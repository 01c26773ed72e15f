"""Prints docs/orders-api.md: each operation with its fields, answers and errors from the document that receivers serve
at /openapi.json, and beside them the examples that stand here.

Run it by `make docs`; a test fails when what it prints is not what is there, and another runs the examples.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tillkeeper.domain.money import AMOUNT_MINOR_MAX
from tillkeeper.ingest import openapi

PAGE: Final = Path(__file__).parents[1] / "docs" / "orders-api.md"
Json = Mapping[str, Any]

BEGINNING: Final = """\
# The orders API

How your systems register orders and read them. Printed by `make docs` from what a receiver itself publishes at
`GET /openapi.json`: OpenAPI 3.1, made of the types that decode requests and encode responses. Clients can be generated
from that.

The API is at the receiver's address, beside the webhooks; `deploy/nginx.conf` lets your own network alone reach
`/orders/`. Every request needs a token of `api_tokens` in the settings. In the examples `$TILLKEEPER` is the receiver's
address and `$TOKEN` such a token; a test runs them in this order against a real receiver.

- **Amounts** are whole numbers of the currency's minor unit: 12900 is 129.00 CNY, 12900 JPY, 12.900 KWD.
- **Times** are RFC 3339 with their offset: `2026-12-01T12:00:00+08:00`. Answers are in UTC.
- **References** in paths are percent-encoded UTF-8, a slash as `%2F`; 1 to 255 characters.
- **Repeating is safe.** `PUT` and `DELETE` may be sent again after any failure; 503 asks for it (`Retry-After`).
- **Errors** have one body, `{"error": "..."}`: what was wrong and what would be right, never what was sent.
- Fields that you do not know may be added to answers; an unknown field in a request is refused.
"""

SHELL: Final[Mapping[str, str]] = {
    "registerOrder": """\
```sh
curl -sS -X PUT "$TILLKEEPER/orders/A-1001" -H "Authorization: Bearer $TOKEN" --data-binary @- <<'END'
{"amount": 12900, "currency": "CNY", "accounts": ["alipay-main"],
 "payer": {"email": "payer@shop.example", "locale": "zh-CN"},
 "pay_url": "https://shop.example/pay/A-1001", "expires_at": "2099-12-01T12:00:00+08:00"}
END
```
```json
{"order_ref": "A-1001", "registration": "created"}
```
Other terms for the same order are a contradiction, 409:
```sh
curl -sS -X PUT "$TILLKEEPER/orders/A-1001" -H "Authorization: Bearer $TOKEN" \\
     -d '{"amount": 12800, "currency": "CNY", "accounts": ["alipay-main"]}'
```
```json
{"error": "amount contradicts what is already registered, here or for another order"}
```
A field that is wrong is named, 400:
```sh
curl -sS -X PUT "$TILLKEEPER/orders/A-1002" -H "Authorization: Bearer $TOKEN" \\
     -d '{"amount": 129.00, "currency": "CNY", "accounts": ["alipay-main"]}'
```
```json
{"error": "Expected `int`, got `decimal` - at `$.amount`"}
```
""",
    "showOrder": """\
```sh
curl -sS "$TILLKEEPER/orders/A-1001" -H "Authorization: Bearer $TOKEN"
```
```json
{"order_ref": "A-1001", "status": "unpaid", "status_zh": "未支付", "amount": 12900, "currency": "CNY",
 "paid": 0, "refunding": 0, "refunded": 0, "discount": 0, "charged_back": 0, "version": 1,
 "registered_at": "2026-12-01T03:00:00.123456+00:00", "changed_at": "2026-12-01T03:00:00.123456+00:00",
 "expires_at": "2099-12-01T04:00:00+00:00", "stands_since": "2026-12-01T03:00:00.123456+00:00",
 "swept_next_at": "2026-12-01T03:30:00.123456+00:00", "held_until": null, "closed_at": null, "erased_at": null,
 "payments": [], "refunds": [], "disputes": [], "cases": []}
```
Without a token, or with a wrong one, 401:
```sh
curl -sS "$TILLKEEPER/orders/A-1001"
```
```json
{"error": "send a header Authorization: Bearer TOKEN"}
```
""",
    "registerRefund": """\
```sh
curl -sS -X PUT "$TILLKEEPER/orders/A-1001/refunds/RF-1" -H "Authorization: Bearer $TOKEN" \\
     -d '{"account": "alipay-main", "amount": 900}'
```
```json
{"order_ref": "A-1001", "refund_ref": "RF-1", "refund": "created"}
```
""",
    "withdrawRefund": """\
```sh
curl -sS -X DELETE "$TILLKEEPER/orders/A-1001/refunds/RF-1" -H "Authorization: Bearer $TOKEN"
```
```json
{"order_ref": "A-1001", "refund_ref": "RF-1", "refund": "withdrawn"}
```
""",
    "showHistory": """\
```sh
curl -sS "$TILLKEEPER/orders/NOBODY/history" -H "Authorization: Bearer $TOKEN"
```
```json
{"error": "no such order is registered"}
```
""",
}

PYTHON: Final = '''\
## The same from Python

The standard library is enough. What may pass by itself (503, no connection) is tried again; every other refusal is
yours to read. Register an order before you send the payer to the gateway, show it when you need to know, and never take
it for paid because the payer's browser came back.

```python
import json
import os
import time
import urllib.error
import urllib.request
from urllib.parse import quote


class Refused(Exception):
    """The request must be changed; the text says how."""


def call(method, *path, body=None, tries=5):
    url = "/".join([os.environ["TILLKEEPER"], *(quote(part, safe="") for part in path)])
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    for left in reversed(range(tries)):
        request = urllib.request.Request(url, data=content, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 503 or not left:
                raise Refused(json.load(error)["error"]) from None
            time.sleep(int(error.headers.get("Retry-After", 5)))
        except OSError:
            if not left:
                raise
            time.sleep(5)


print(call("PUT", "orders", "A/1003", body={"amount": 12900, "currency": "CNY", "accounts": ["alipay-main"]}))
order = call("GET", "orders", "A/1003")
print(order["status"], order["status_zh"], order["amount"] - order["paid"])
try:
    call("PUT", "orders", "A/1003", body={"amount": 1, "currency": "CNY", "accounts": ["alipay-main"]})
except Refused as refused:
    print(refused)
print([entry["kind"] for entry in call("GET", "orders", "A/1003", "history")])
```
```text
{'order_ref': 'A/1003', 'registration': 'created'}
unpaid 未支付 12900
amount contradicts what is already registered, here or for another order
[]
```
'''

ORDER: Final = ("registerOrder", "showOrder", "registerRefund", "withdrawRefund", "showHistory")
# What stands in answers and requests and is an object of its own.
PARTS: Final = (
    "ClaimedPaymentBody",
    "PayerBody",
    "InstalmentBody",
    "ShownPayment",
    "ShownRefund",
    "ShownDispute",
    "ShownCase",
    "HistoryEntry",
)


def page() -> str:
    """docs/orders-api.md."""
    document = openapi.document()
    operations = {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    }
    schemas: Json = document["components"]["schemas"]
    lines = [line for name in ORDER for line in _operation(*operations[name], schemas)]
    parts = [line for name in PARTS for line in _part(name, schemas)]
    heading = ["## Objects within these", "", "A field of a request that is not required may be left out or null.", ""]
    return "\n".join([BEGINNING, *lines, *heading, *parts, PYTHON, *_others(operations)])


def _operation(method: str, path: str, operation: Json, schemas: Json) -> Iterator[str]:
    yield f"## {method} {path}"
    yield ""
    yield f"**{operation['summary']}.** {_cell(operation['description'])}"
    yield ""
    yield SHELL[operation["operationId"]]
    if "requestBody" in operation:
        yield "The request's body:"
        yield ""
        yield from _fields(schemas[_name(operation["requestBody"]["content"]["application/json"]["schema"])])
    yield from _answers(operation, schemas)


def _answers(operation: Json, schemas: Json) -> Iterator[str]:
    responses = operation["responses"]
    rows = [
        (f"`{status}`", _headers(response), _cell(response["description"])) for status, response in responses.items()
    ]
    yield from _table(("status", "headers", "means"), rows)
    name = _name(next(iter(responses.values()))["content"]["application/json"]["schema"])
    schema = schemas[name]
    if "items" in schema:
        yield "The answer is an array of [HistoryEntry](#historyentry)."
        yield ""
        return
    yield "The answer's body:"
    yield ""
    yield from _fields(schema, is_answer=True)


def _headers(response: Json) -> str:
    return ", ".join(f"`{name}: {header['schema']['enum'][0]}`" for name, header in response.get("headers", {}).items())


def _part(name: str, schemas: Json) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    yield _cell(schemas[name]["description"])
    yield ""
    yield from _fields(schemas[name], is_answer=not name.endswith("Body"))


def _fields(schema: Json, *, is_answer: bool = False) -> Iterator[str]:
    required = schema.get("required", ())
    rows = [
        (
            f"`{name}`",
            _type(field),
            *(() if is_answer else ("yes" if name in required else "",)),
            _cell(field["description"]),
        )
        for name, field in schema["properties"].items()
    ]
    yield from _table(("field", "type", *(() if is_answer else ("required",)), "meaning"), rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("  ", " ")


def _name(schema: Json) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _type(schema: Json) -> str:
    """Says a field's type in words."""
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "$ref" in schema:
        name = _name(schema)
        known: Json = openapi.document()["components"]["schemas"][name]
        return _values(known["enum"]) if "enum" in known else f"[{name}](#{name.lower()})"
    return _values(schema["enum"]) if "enum" in schema else _plain_type(schema)


def _plain_type(schema: Json) -> str:
    match schema.get("type"):
        case "array":
            return f"array{_bounds(schema, 'minItems', 'maxItems')} of {_type(schema['items'])}"
        case "string":
            is_time = schema.get("format") == "date-time"
            return "time" if is_time else f"string{_bounds(schema, 'minLength', 'maxLength')}"
        case "integer":
            return f"integer{_bounds(schema, 'minimum', 'maximum')}"
        case kind:
            return str(kind)


def _values(values: Sequence[object]) -> str:
    return "a code of ISO 4217" if "CNY" in values else ", ".join(f"`{value}`" for value in values)


def _bounds(schema: Json, least: str, most: str) -> str:
    low, high = schema.get(least), schema.get(most)
    if high is None:
        return "" if low is None else f" ({low} or more)"
    written = "10^15" if high == AMOUNT_MINOR_MAX else str(high)
    return f" (at most {written})" if low is None else f" ({low} to {written})"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{' --- |' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _others(operations: Mapping[str, tuple[str, str, Json]]) -> Iterator[str]:
    yield "## Beside the orders"
    yield ""
    rows = [
        (
            f"`{method} {path}`",
            _cell(operation["description"]),
            ", ".join(f"`{status}`" for status in operation["responses"]),
        )
        for name, (method, path, operation) in operations.items()
        if name not in ORDER
    ]
    yield from _table(("request", "what it does", "statuses"), rows)


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE.name}: written")
