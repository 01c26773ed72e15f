"""Builds the objects of a simulated Braintree, for webhooks and responses."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, TypeAlias
from xml.sax.saxutils import escape

from tillkeeper.sandbox.formats import major_units, utc_seconds
from tillkeeper.sandbox.story import Story, StoryEvent, bare

Xml: TypeAlias = "str | Mapping[str, Xml] | list[tuple[str, Xml]] | None"

Transaction = dict[str, Xml]

DISPUTE_STATUSES: Final = {"dispute_opened": "open", "dispute_won": "won", "dispute_lost": "lost"}


def notification(kind: str, at: datetime, subject: Mapping[str, Xml]) -> bytes:
    """Returns the notification around a subject."""
    timestamp = f'<timestamp type="datetime">{utc_seconds(at)}</timestamp>'
    content = f"{timestamp}{_element('kind', kind)}{_element('subject', subject)}"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<notification>\n{content}\n</notification>\n'.encode()


def document(name: str, content: Xml) -> bytes:
    """Returns an object as the API answers with it."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_element(name, content)}'.encode()


def _element(name: str, content: Xml) -> str:
    if content is None:
        return f'<{name} nil="true"/>'
    if isinstance(content, list):
        return f'<{name} type="array">{"".join(_element(*each) for each in content)}</{name}>'
    if isinstance(content, str):
        return f"<{name}>{escape(content)}</{name}>"
    return f"<{name}>\n{''.join(_element(*each) for each in content.items())}</{name}>\n"


def major(amount: int, currency: str) -> str:
    """129.00, and 12900 where the currency has no decimals."""
    return f"{major_units(amount, currency):f}"


def sale(story: Story, amount: int, status: str, at: datetime) -> Transaction:
    """Returns the transaction of a payment."""
    step: Transaction = {
        "timestamp": utc_seconds(at),
        "status": status,
        "amount": major(amount, story.currency),
        "user": None,
    }
    return {
        "id": story.payment_ref,
        "status": status,
        "type": "sale",
        "currency-iso-code": story.currency,
        "amount": major(amount, story.currency),
        "merchant-account-id": "ogaotkivejpfayqfeaimuktty",
        "order-id": story.order_ref,
        "payment-instrument-type": "us_bank_account",
        "processor-response-code": "1000" if status in {"settled", "submitted_for_settlement"} else "2001",
        "gateway-rejection-reason": None,
        "refund-ids": [],
        "refunded-transaction-id": None,
        "status-history": [("status-event", step)],
        "tax-amount": "0",
    }


def credit(story: Story, refund_ref: str, amount: int, status: str, at: datetime) -> Transaction:
    """Returns the transaction of a refund."""
    return sale(story, amount, status, at) | {
        "id": refund_ref,
        "type": "credit",
        "refunded-transaction-id": story.payment_ref,
    }


def dispute(story: Story, event: StoryEvent) -> Transaction:
    """Returns a chargeback of what was paid."""
    status = DISPUTE_STATUSES[event.event_type]
    return {
        "id": dispute_ref_of(story),
        "amount": major(event.amount, story.currency),
        "amount-disputed": major(event.amount, story.currency),
        "amount-won": "0.00",
        "case-number": "CASE-12345",
        "currency-iso-code": story.currency,
        "kind": "chargeback",
        "reason": "fraud",
        "status": status,
        "status-history": [("status-history", {"status": status, "timestamp": utc_seconds(event.at)})],
        "evidence": [],
        "transaction": {
            "id": story.payment_ref,
            "amount": major(story.amount, story.currency),
            "order-id": story.order_ref,
        },
    }


def dispute_ref_of(story: Story) -> str:
    """Returns the one dispute of a story."""
    return f"dp_{bare(story.order_ref)}"
