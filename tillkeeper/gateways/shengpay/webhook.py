"""Reads ShengPay's notices of payments and refunds.

Source: ShengPay's own repository shengpay-h5-pay-integration, `references/`: async-notify, payment-notify,
refund-notify, card-notify.
"""

from datetime import datetime

import msgspec

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.fact import webhook_event
from tillkeeper.gateways.kit.fields import reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.times import moment_from_compact
from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.shengpay import objects
from tillkeeper.gateways.shengpay.objects import FAIL, OK, REFUND_ID, REFUNDED_AT
from tillkeeper.gateways.shengpay.signature import Fields


class Notice(msgspec.Struct, frozen=True):
    """The fields of one notice, and when it came: a failed payment has no time of its own."""

    fields: Fields
    received_at: datetime

    @property
    def is_of_refund(self) -> bool:
        """A refund's notice repeats the payment's numbers; only its own tells it apart."""
        return text_or_none(self.fields, REFUND_ID) is not None

    @property
    def is_refund_without_time(self) -> bool:
        """Says whether it says how a refund stands, and not since when."""
        if not self.is_of_refund:
            return False
        state, _ = objects.refund_state(self.fields)
        is_refunded = state is not None and state.kind is Kind.REFUND_SUCCEEDED
        return not is_refunded or text_or_none(self.fields, REFUNDED_AT) is None


def is_of_card(fields: Fields) -> bool:
    """A card's notice has a type of event, and no returnCode."""
    return text_or_none(fields, "eventType") is not None


def check_return_code(fields: Fields) -> None:
    """Raises BadPayload for a signed notice of an error."""
    if text(fields, "returnCode") != OK:
        raise BadPayload("returnCode is not SUCCESS, yet the notice is signed")


def event_of(account: str, notice: Notice) -> PaymentEvent | None:
    """Returns the event of a payment or a refund; None for a word that is not known."""
    return (_refund_event if notice.is_of_refund else _payment_event)(account, notice)


def _payment_event(account: str, notice: Notice) -> PaymentEvent | None:
    """A failure has a name of its own, for another attempt under the same number may succeed."""
    state, word = objects.notice_state(notice.fields)
    if state is None:
        return None
    fact = objects.payment_fact(notice.fields, state, word)
    event_id = fact.payment_ref or ""
    return webhook_event(
        fact,
        account=account,
        event_id=event_id if word == OK else f"{event_id}:{FAIL}:{word}",
        reported_at=notice.received_at,
    )


def _refund_event(account: str, notice: Notice) -> PaymentEvent | None:
    """Returns None for one on its way that cannot be asked about: a time that is not its own could undo its end."""
    fields = notice.fields
    state, word = objects.refund_state(fields)
    if state is None or state.kind is Kind.REFUND_PENDING:
        return None
    refunded_at = None if notice.is_refund_without_time else moment_from_compact(text(fields, REFUNDED_AT))
    return webhook_event(
        objects.refund_fact(fields, state, word, refunded_at),
        account=account,
        event_id=f"refund:{text(fields, REFUND_ID)}:{word}",
        reported_at=notice.received_at,
    )


def refund_query(notice: Notice) -> Query:
    """Returns the query about the refund of a notice.  Raises BadPayload."""
    refund_ref = reference_or_none(text(notice.fields, "outRefundNo"))
    if refund_ref is None:
        raise BadPayload("outRefundNo has characters that we do not ask with")
    order_ref, payment_ref = references_in(notice.fields)
    return Query(about="refund", order_ref=order_ref, payment_ref=payment_ref, refund_ref=refund_ref)


def references_in(fields: Fields) -> tuple[str | None, str | None]:
    """Returns the order's and the payment's reference, where they are of the usual form."""
    return reference_or_none(fields.get("outTradeNo")), reference_or_none(fields.get("transactionId"))
