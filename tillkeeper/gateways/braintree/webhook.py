"""Decodes Braintree's notifications: base64 XML in a form, beside signatures for each of the merchant's keys.

Sources: the package `braintree` (`webhook_notification_gateway.py`, `util/crypto.py`); Braintree's "Webhooks: Parse".
"""

import re
from base64 import b64decode
from typing import Final

from tillkeeper.gateways.braintree import objects
from tillkeeper.gateways.errors import BadPayload, BadSignature, VerificationStep
from tillkeeper.gateways.kit import form, strictxml
from tillkeeper.gateways.kit.fields import at
from tillkeeper.gateways.messages import Request

SIGNATURE: Final = "bt_signature"
PAYLOAD: Final = "bt_payload"
SIGNATURES_CHARS_MAX: Final = 4096  # one pair of a public key and a digest has about 60
PAIRS_MAX: Final = 20

_PAYLOAD: Final = re.compile(r"[A-Za-z0-9+/=\n]+", re.ASCII)


def form_of(request: Request) -> tuple[str, str]:
    """Returns the payload and the signatures.  Raises BadSignature or BadPayload."""
    fields = form.decode(request.body).fields
    if not fields.get(SIGNATURE) or not fields.get(PAYLOAD):
        raise BadSignature("bt_signature or bt_payload is missing", VerificationStep.HEADER)
    if fields.keys() != {SIGNATURE, PAYLOAD}:
        raise BadPayload("the form holds more than bt_signature and bt_payload")
    if not _PAYLOAD.fullmatch(fields[PAYLOAD]):
        raise BadSignature("bt_payload is not base64", VerificationStep.HEADER)
    return fields[PAYLOAD], fields[SIGNATURE]


def signatures_in(pairs: str, public_key: str) -> list[str]:
    """Returns the digests beside our public key, of `public_key|digest` joined by ampersands."""
    if len(pairs) > SIGNATURES_CHARS_MAX:
        raise BadSignature("bt_signature is too long", VerificationStep.HEADER)
    cut = [pair.partition("|") for pair in pairs.split("&")[:PAIRS_MAX]]
    found = [digest for key, _, digest in cut if key == public_key]
    if not found:
        raise BadSignature("bt_signature holds none for the account's public_key", VerificationStep.KEY)
    return found


def unsigned_notification(request: Request) -> object:
    """Returns the notification in the payload, whoever signed it.  Raises BadPayload."""
    return notification_in(form.decode(request.body).fields.get(PAYLOAD, ""))


def notification_in(payload: str) -> object:
    """Returns the notification in the payload."""
    try:
        body = b64decode(payload.replace("\n", ""), validate=True)
    except ValueError:
        raise BadPayload("bt_payload is not base64") from None
    top = strictxml.loads(body)
    if top.name != "notification":
        raise BadPayload("the payload is no notification")
    return objects.content_of(top)


def transaction_in(kind: str, notification: object) -> object | None:
    """Returns the transaction of a notification.

    A completed local payment may have none yet: then the merchant is still to make it.
    """
    path = objects.TRANSACTIONS.get(kind)
    if path is None:
        if kind not in objects.LOCAL_PAYMENT_ENDS and kind not in objects.DISPUTES:
            objects.IGNORED.note(kind)
        return None
    transaction = at(notification, ["subject", *path])
    if transaction is None and kind != objects.MAY_BE_BEFORE:
        raise BadPayload("the notification holds no transaction")
    return transaction
