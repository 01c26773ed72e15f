"""Verifies and reads the items of Adyen's deliveries: each is signed over eight fields, and makes an event or two.

    pspReference:originalReference:merchantAccountCode:merchantReference:value:currency:eventCode:success

Nothing in that text is escaped.  Only merchantReference may hold a colon, or one signature would fit two readings.
What is not signed (reason, eventDate, paymentMethod, the rest of additionalData) says why, when and how: it moves no
money.

Source of the signature: the package `Adyen` (`util.py`).
"""

from collections.abc import Iterator
from typing import Final

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.adyen.codes import OF_NO_ORDER, READERS, Reader
from tillkeeper.gateways.adyen.items import BOOLEANS, AdyenItem
from tillkeeper.gateways.adyen.methods import CaptureMode
from tillkeeper.gateways.errors import BadSignature, VerificationStep
from tillkeeper.gateways.kit.fact import webhook_event
from tillkeeper.gateways.kit.fields import at
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.kit.units import is_currency
from tillkeeper.gateways.kit.unknown_words import unknown_word

COLON: Final = ":"


def label_of(item: AdyenItem, keys: HmacKeys) -> str:
    """Returns the label of the key that signed the item.  Raises BadSignature."""
    signature = at(item.raw, ["additionalData", "hmacSignature"])
    if not isinstance(signature, str):
        raise BadSignature("an item has no additionalData.hmacSignature", VerificationStep.HEADER)
    *head, _, value, currency, code, success = item.signed
    if any(COLON in field for field in (*head, value, currency, code, success)):
        raise BadSignature("a field holds a colon, so that what is signed could be read in two ways")
    return keys.label_of(COLON.join(item.signed).encode(), signature)


def events_of(item: AdyenItem, account: str, mode: CaptureMode) -> Iterator[PaymentEvent]:
    """Yields the events of one item; none where a word that decides is unknown.  Raises BadPayload."""
    read = _reader_of(item)
    for fact in read(item, mode) if read is not None else ():
        event_id = f"{item.psp_ref}:{item.code}:{item.success}"
        yield webhook_event(fact, account=account, event_id=event_id, reported_at=item.reported_at)


def _reader_of(item: AdyenItem) -> Reader | None:
    read = READERS.get(item.code)
    if read is None:
        if item.code not in OF_NO_ORDER:
            unknown_word("eventCode", item.code)
        return None
    if item.success not in BOOLEANS:
        unknown_word("success", item.success)
        return None
    return read if item.currency is None or is_currency(item.currency, "amount.currency") else None
