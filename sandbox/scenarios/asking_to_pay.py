"""Finds notices that asked a payer to pay while the gateway had the payment under way, or paid."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tillkeeper.domain.order.registration import Payer
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.ledger.payments import PaymentState
from tillkeeper.sandbox.story import Story
from tillkeeper.store.reports.recorded import RecordedNotice

ASKS_TO_PAY: Final = frozenset({"payer.failed", "payer.reminder", "payer.instalment_due"})
MAY_BE_PAID: Final = frozenset({PaymentState.PENDING, PaymentState.AUTHORIZED, PaymentState.SUCCEEDED})


def payer_of(story: Story) -> Payer:
    """With a mail address; by turns Chinese and English."""
    number = int(story.order_ref.rpartition("-")[2])
    return Payer(email=f"payer{number}@shop.example", locale="zh-CN" if number % 2 else "en")


def asked_wrongly(stories: Iterable[Story], ledger: Ledger, notices: Sequence[RecordedNotice]) -> Iterator[str]:
    """Law 11, by the gateways' books: each notice that asks for what the gateway had by then, a line each."""
    accounts = {story.order_ref: story.account for story in stories}
    for notice in notices:
        if notice.topic not in ASKS_TO_PAY or notice.order_ref is None:
            continue
        known = ledger.of(accounts[notice.order_ref]).payment_of_order(notice.order_ref, notice.created_at)
        if known is not None and known.state in MAY_BE_PAID:
            told = f"{notice.topic} was told at {notice.created_at:%d. %H:%M}"
            yield f"{notice.order_ref}: {told}, and its payment was {known.state}"
