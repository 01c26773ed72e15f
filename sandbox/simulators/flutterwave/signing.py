"""Signs as Flutterwave does."""

import hmac
from base64 import b64encode
from datetime import datetime
from typing import Any, ClassVar, Final

import msgspec

from tillkeeper.sandbox.formats import Json, Signed, compact_json, major_units, utc_milliseconds
from tillkeeper.sandbox.simulators.flutterwave.objects import flutterwave_charge, flutterwave_refund
from tillkeeper.sandbox.story import Story, StoryEvent, bare

DECLINE: Final[Json] = {"status": "failed", "processor_response": {"type": "insufficient_funds", "code": "51"}}


def flutterwave_signed(secret_hash: str, body: bytes) -> Signed:
    """Any body with v4's headers."""
    signature = b64encode(hmac.digest(secret_hash.encode(), body, "sha256")).decode()
    return {"Content-Type": "application/json", "Flutterwave-Signature": signature}, body


def flutterwave_v3(secret_hash: str, event: str, data: Json) -> Signed:
    """Returns a delivery of v3: the secret itself stands in a header."""
    body = compact_json({"event": event, "data": data, "event.type": "CARD_TRANSACTION"})
    return {"Content-Type": "application/json", "Verif-Hash": secret_hash}, body


def flutterwave_body(event: str, at: datetime, data: Json, /, **more: Any) -> bytes:
    """v4's event around an object."""
    content = {"id": "wbk_5QkPzUuaPFtcDmCGbOj1", "timestamp": int(at.timestamp() * 1000), "type": event, "data": data}
    return compact_json(content | more)


class FlutterwaveSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Flutterwave's, of v4, with a secret hash."""

    gateway: ClassVar[str] = "flutterwave"
    pays: ClassVar[str] = "charge.completed"
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"amount":'

    account: str
    secret_hash: str
    secret_key: str

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """Returns the same event each time."""
        name, data = event.event_type.partition(" ")[0], _data(story, event)
        body = flutterwave_body(name, event.at, data, id=event.event_id)
        return flutterwave_signed(self.secret_hash, body)


def _data(story: Story, event: StoryEvent) -> Json:
    name, _, outcome = event.event_type.partition(" ")
    status = {"status": outcome.strip("()")} if outcome else {}
    charge, amount, currency = story.payment_ref, event.amount, story.currency
    match name.partition(".")[0]:
        case "charge":
            more = DECLINE if outcome else {"status": "pending"} if name == "charge.pending" else {}
            more = {"created_datetime": utc_milliseconds(story.started_at), **more}
            return flutterwave_charge(charge, amount, currency, story.order_ref, **more)
        case "refund":
            return flutterwave_refund(event.refund_ref, charge, amount, currency, **status)
        case "chargeback":
            more = {"status": "initiated", "amount": major_units(amount, currency)}
            return flutterwave_refund(f"chb_{bare(story.order_ref)}", charge, amount, currency, **more)
        case _:
            return {"id": f"trf_{bare(story.order_ref)}", "status": "successful"}
