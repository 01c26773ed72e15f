"""Prints docs/desk-api.md: the examples that stand here, and every operation and error of the desk's API.

Run it by `make docs`; a test fails when what it prints is not what is there, and another runs the examples.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tillkeeper.desk.access.roles import right_of
from tillkeeper.desk.api.table import OPERATIONS
from tillkeeper.desk.json_problems import KINDS

PAGE: Final = Path(__file__).parents[1] / "docs" / "desk-api.md"

BEGINNING: Final = """\
# The desk's API

All that the desk's pages show and do, for programs: JSON under `/api`, at the desk's own address. The desk describes it
itself: `/api/openapi.json` is OpenAPI 3.1, made of the types that queries, bodies and answers have, and `/api/docs`
shows it to people. This page has the calls that are wanted most; a test runs them in this order against a real desk.

Make a token at a terminal. It is a person's, may what its role and theirs both allow, and only reads without
`--may-act`:

    tillkeeper user tokens add mei nightly --role operator --may-act
    tillkeeper user tokens add mei checkout --role viewer --only health

- **Amounts** are whole numbers of the currency's minor unit; **times** are RFC 3339 with their offset.
- **References** in paths are percent-encoded UTF-8, a slash as `%2F`.
- **Lists** come in parts: send `next` as `after`. A cursor holds the key of the last row, so that rows that come or
  go meanwhile shift nothing. `limit` is 50, and 200 at most.
- **Acts** take a reason, and may carry an `Idempotency-Key`: for a day a repeated request is answered as the first was,
  with `Idempotent-Replayed: true`, and done no more. Of two at once one does it. The key with another request is 422.
  An act that was refused leaves no key. Each token has its own keys, the latest 10,000.
- **Who acted** stands as `mei/nightly` in histories of orders and cases, and with the token's name in the log of what
  people did. What takes two people is proposed (202) and confirmed at `/api/approvals` by another person: no token of
  the same one.
- **Texts** that people or libraries wrote (`note`, `reason`, `outcome`, `error`) are cut at 2,000 characters.
- **Errors** are of RFC 9457, `application/problem+json`: `detail` says what was wrong, `remedy` what would be right.
- **How often**: a token may make 100 requests at once, and 20 a second; then 429 with `Retry-After`. Ten of
  `/api/accounts/health` count as one. Each process of the desk counts by itself.
- A browser that is signed in may call it, too; its acts carry the session's `X-CSRF-Token`.
- What gateways sent is not in the API: it is looked at on the desk's pages, where each look is written down.

In the examples `$DESK` is the desk's address, `$TOKEN` the token of an operator who may act, and `$SECOND` that of
another one. Answers are shortened here: they have more fields, and lists have more rows.
"""

EXAMPLES: Final = """\
## Is the till true?
```sh
curl -sS "$DESK/api/now" -H "Authorization: Bearer $TOKEN"
```
```json
{"truth": "partial", "tone": "act", "looks": [{"concern": "parked", "count": 1}]}
```

## Find it by the last digits
```sh
curl -sS -G "$DESK/api/find" --data-urlencode "q=001422" -H "Authorization: Bearer $TOKEN"
```
```json
{"groups": [{"kind": "waiting",
             "hits": [{"payment_ref": "2026112822001422", "order_ref": "ORD-1O42", "amount": 12900}]}]}
```

## The customer says they paid
```sh
curl -sS "$DESK/api/orders/ORD-1042/claim" -H "Authorization: Bearer $TOKEN"
```
```json
{"verdict": "waits_elsewhere", "headline": {"en": "Money waits under another reference."},
 "possible": [{"account": "alipay-main", "payment_ref": "2026112822001422", "why": ["typing_error", "same_amount"]}]}
```

## Have its gateways asked now
Send the same key again after a failure: it is done once.
```sh
curl -sS "$DESK/api/orders/ORD-1042/ask" -H "Authorization: Bearer $TOKEN" \\
     -H "Content-Type: application/json" -H "Idempotency-Key: ask-ORD-1042-1" -d '{"reason": "the customer called"}'
```
```json
{"order_ref": "ORD-1042", "status": "unpaid", "amount": 12900, "paid": 0}
```

## Bind waiting money, in two
One operator proposes it:
```sh
curl -sS "$DESK/api/waiting/bind" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
     --data-binary @- <<'END'
{"account": "alipay-main", "payment_ref": "2026112822001422", "order_ref": "ORD-1042", "reason": "an O for a 0"}
END
```
```json
{"id": 1, "act": "bind waiting money", "subject": "payment alipay-main/2026112822001422", "proposed_by": "mei"}
```
They cannot confirm it themselves:
```sh
curl -sS "$DESK/api/approvals/1/confirm" -H "Authorization: Bearer $TOKEN" \\
     -H "Content-Type: application/json" -d '{"reason": "seen"}'
```
```json
{"type": "/api/docs#conflict", "title": "It cannot be done as things are", "status": 409, "detail": "you proposed it",
 "remedy": "Another person of the role must confirm it."}
```
Another operator can:
```sh
curl -sS "$DESK/api/approvals/1/confirm" -H "Authorization: Bearer $SECOND" \\
     -H "Content-Type: application/json" -d '{"reason": "same amount, same day"}'
```
```json
{"id": 1, "decision": "confirmed", "proposed_by": "mei", "decided_by": "jun"}
```

## What was known at a moment?
Before it was bound, nothing was known of any payment:
```sh
curl -sS -G "$DESK/api/orders/ORD-1042/explain" --data-urlencode "at=2026-11-22T21:00:00+08:00" \\
     -H "Authorization: Bearer $TOKEN"
```
```json
{"status": "unpaid", "paid": 0, "line": "nothing", "because": "otherwise", "events": 0}
```
Now it is paid:
```sh
curl -sS "$DESK/api/orders/ORD-1042/explain" -H "Authorization: Bearer $TOKEN"
```
```json
{"status": "paid", "status_zh": "已支付", "paid": 12900, "line": "covered",
 "because": "what was captured covers what is due", "events": 1, "latest": {"kind": "payment.succeeded"}}
```

## Replay a parked event
First what it would do: that is tried, and rolled back.
```sh
curl -sS "$DESK/api/parked/1/preview" -H "Authorization: Bearer $TOKEN"
```
```json
{"outcome": "replayed", "error": null,
 "events": [{"order_ref": "ORD-9002", "status_before": "unpaid", "status_after": "paid"}]}
```
```sh
curl -sS "$DESK/api/parked/1/replay" -H "Authorization: Bearer $TOKEN" \\
     -H "Content-Type: application/json" -H "Idempotency-Key: replay-1" -d '{"reason": "the order is registered now"}'
```
```json
{"id": 1, "outcome": "replayed", "closed_by": "mei/nightly", "note": "the order is registered now"}
```

## Take a case, and resolve it
`seen` is the last entry that you know of: if somebody acted meanwhile, nothing is done, and you are told who.
A case that another person has is taken with it alone.
```sh
curl -sS "$DESK/api/cases/1/take" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{}'
```
```json
{"id": 1, "kind": "overpaid", "order_ref": "ORD-9001", "owner": "mei", "level": 1}
```
```sh
curl -sS "$DESK/api/cases/1/resolve" -H "Authorization: Bearer $TOKEN" \\
     -H "Content-Type: application/json" -d '{"outcome": "71.00 refunded by hand", "seen": 1}'
```
```json
{"status": 409, "detail": "mei/nightly acted on the case meanwhile: assigned",
 "remedy": "Read the case again, and send its `seen`."}
```

## Which ways of paying fail now?
For a checkout that hides them. Cheap: it is read once a second, however many ask.
```sh
curl -sS "$DESK/api/accounts/health" -H "Authorization: Bearer $TOKEN"
```
```json
{"accounts": [{"account": "stripe-main", "gateway": "stripe", "state": "ok", "since": null, "failing": []}]}
```

## Have a dead notice sent again
```sh
curl -sS "$DESK/api/outbox?state=dead" -H "Authorization: Bearer $TOKEN"
```
```json
{"items": [{"audience": "merchant", "topic": "order.status_changed", "state": "dead", "order_ref": "ORD-9003",
            "last_error": "connection refused"}], "next": null}
```

"""

PYTHON: Final = '''\
## The same from Python

The standard library is enough. What may pass by itself is repeated with the same key, so that an act is done once;
every other refusal is yours to read.

```python
import json
import os
import time
import urllib.error
import urllib.request
import uuid
from urllib.parse import quote, urlencode


class Refused(Exception):
    """The request must be changed; the text says how."""


def call(method, *path, query=None, body=None, tries=5):
    url = "/".join([os.environ["DESK"], "api", *(quote(part, safe="") for part in path)])
    url += "?" + urlencode(query) if query else ""
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}", "Content-Type": "application/json"}
    if method == "POST":
        headers["Idempotency-Key"] = str(uuid.uuid4())
    content = None if body is None else json.dumps(body).encode()
    for left in reversed(range(tries)):
        request = urllib.request.Request(url, data=content, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503) or not left:
                problem = json.load(error)
                raise Refused(f"{problem['detail']}  {problem['remedy']}") from None
            time.sleep(int(error.headers["Retry-After"]))
        except OSError:
            if not left:
                raise
            time.sleep(3)


def every(*path, **query):
    """All rows of a list, a part at a time."""
    while True:
        part = call("GET", *path, query=query)
        yield from part["items"]
        if part["next"] is None:
            return
        query["after"] = part["next"]


for case in every("cases", limit=1, kind="overpaid"):
    print(case["id"], case["kind"], case["order_ref"], case["owner"])
for notice in every("outbox", state="dead"):
    print(call("POST", "outbox", "retry", body={"key": notice["key"], "reason": "the shop is back"})["state"])
try:
    call("POST", "orders", "A/1", "hold", body={"until": "2099-01-01T00:00:00Z", "reason": "why not"})
except Refused as refused:
    print(refused)
```
```text
1 overpaid ORD-9001 mei
pending
until: it is over, or so late that the order would be forgotten  Send one within 90 days.
```

'''


def page() -> str:
    """docs/desk-api.md."""
    rows = (
        (
            f"`{operation.method} {operation.path}`",
            f"{operation.summary}",
            f"{right_of(operation.right).role}{', in two' if right_of(operation.right).takes_two else ''}",
        )
        for operation in OPERATIONS
    )
    errors = ((f"{kind.status}", f"`{kind.name}`", kind.title, kind.remedy) for kind in KINDS)
    return "\n".join(
        [
            BEGINNING,
            EXAMPLES + PYTHON + "## Every operation",
            "",
            *_table(("request", "what it does", "role"), rows),
            "## Errors",
            "",
            *_table(("status", "type", "title", "what to do"), errors),
        ]
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{' --- |' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE.name}: written")
