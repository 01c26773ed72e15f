"""Implements Adyen: each item of a delivery is signed by itself, and what became of it hangs on the signed fields
alone.

A payment goes by the pspReference of its AUTHORISATION, which all that happens to it later has as originalReference;
its own pspReference is that of the capture, refund or dispute.  `webhook` verifies items and makes their events,
`items` reads them, `codes` says what their event codes mean, and `methods` which methods are captured at once.
"""

from datetime import datetime
from typing import ClassVar, cast

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.adyen.items import BOOLEANS, AdyenItem, items_of
from tillkeeper.gateways.adyen.methods import CaptureMode
from tillkeeper.gateways.adyen.settings import ABOUT, AdyenSettings
from tillkeeper.gateways.adyen.statements import SettlementDetail
from tillkeeper.gateways.adyen.webhook import events_of, label_of
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import BadPayload, VerificationStep
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import reference_or_none, text
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.messages import ClaimedReferences, Reply, Request, Verified
from tillkeeper.gateways.statement_form import StatementForm


class Adyen(Gateway):
    """One merchant account of one company."""

    name: ClassVar[str] = "adyen"
    settings: ClassVar[type[AccountModel]] = AdyenSettings
    about: ClassVar[About] = ABOUT
    statement_forms: ClassVar[tuple[type[StatementForm], ...]] = (SettlementDetail,)
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type", "user-agent"})

    def __init__(self, account: str, settings: AdyenSettings) -> None:
        self.account = account
        self.live = settings.live
        self._keys = HmacKeys("hmac_keys", [bytes.fromhex(key) for key in settings.hmac_keys], encoding="base64")
        self._merchant_account = settings.merchant_account
        self._capture_mode = CaptureMode(
            auto_capture=settings.auto_capture,
            without_capture=settings.methods_without_capture,
            by_hand=settings.methods_captured_by_hand,
            releases_rest=not settings.multiple_captures,
        )

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - no time is signed
        """Each item must be signed, or none is taken."""
        delivery = strictjson.loads_unsigned(request.body)
        items = tuple(items_of(delivery))
        labels = [label_of(item, self._keys) for item in items]
        if self.live is not None and BOOLEANS.get(text(delivery, "live")) is not self.live:
            raise BadPayload("the delivery is of the other environment, test or live", VerificationStep.MODE)
        return Verified(key=labels[0], content=items)

    def key_labels(self) -> tuple[str, ...]:
        """There is one label for each key."""
        return self._keys.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Makes the events of each item that is of this merchant account and of a known code."""
        items = cast("tuple[AdyenItem, ...]", verified.content)
        ours = (item for item in items if item.merchant_account == self._merchant_account)
        return tuple(event for item in ours for event in events_of(item, self.account, self._capture_mode))

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Names the first item's payment and order."""
        try:
            item = next(items_of(strictjson.loads_unsigned(request.body)))
        except BadPayload:
            return None
        payment_ref, order_ref = reference_or_none(item.payment_ref), reference_or_none(item.order_ref)
        return ClaimedReferences.of(order_ref=order_ref, payment_ref=payment_ref)

    def acknowledge(self) -> Reply:
        """Older webhooks look for the word, newer ones for the status alone."""
        return Reply(status=200, body=b"[accepted]")
