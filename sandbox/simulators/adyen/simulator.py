"""Simulates Adyen: standard webhooks in JSON of an account that captures by itself, one item each.

Its own words are event codes; those that come with success "false" are told as `REFUND false`."""

import secrets
from collections.abc import Mapping
from typing import Final, cast

import msgspec

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.adyen.signing import AdyenSigner, code_of, psp_ref
from tillkeeper.sandbox.simulators.adyen.templates import TEMPLATES
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.story import Story, StoryEvent


def _event_id_of(story: Story, event: StoryEvent) -> str:
    """Adyen's items have no name: they are told apart by reference, code and outcome."""
    return ":".join((psp_ref(story, event), *code_of(event)))


def _new_signer(account: str) -> AdyenSigner:
    return AdyenSigner(account=account, hmac_key=secrets.token_hex(32).upper(), merchant_account="TillECOM")


def _impostor(signer: Signer) -> AdyenSigner:
    return msgspec.structs.replace(cast("AdyenSigner", signer), hmac_key=secrets.token_hex(32).upper())


def _settings(signer: Signer) -> Mapping[str, Setting]:
    own = cast("AdyenSigner", signer)
    return {"hmac_keys": [Secret(own.hmac_key)], "merchant_account": own.merchant_account, "live": False}


SIMULATOR: Final = Simulator(
    gateway="adyen",
    event_types={
        "AUTHORISATION": PaymentState.SUCCEEDED,
        "AUTHORISATION false": PaymentState.FAILED,
        "PENDING": PaymentState.PENDING,
        "OFFER_CLOSED": PaymentState.CANCELLED,
        "CAPTURE": PaymentState.SUCCEEDED,
        "CAPTURE_FAILED": PaymentState.REVERSED,
        "CANCELLATION": PaymentState.REVERSED,
        "CANCEL_OR_REFUND": RefundState.SUCCEEDED,
        "REFUND": RefundState.SUCCEEDED,
        "REFUND false": RefundState.FAILED,
        "REFUND_FAILED": RefundState.FAILED,
        "REFUNDED_REVERSED": RefundState.FAILED,
        "NOTIFICATION_OF_CHARGEBACK": None,
        "CHARGEBACK": None,
        "CHARGEBACK_REVERSED": None,
        "REPORT_AVAILABLE": None,
    },
    ignored=frozenset({"REPORT_AVAILABLE"}),
    event_id_of=_event_id_of,
    second_events={"CANCELLATION": "reversed"},
    templates=TEMPLATES,
    currencies=("EUR", "USD", "GBP", "SEK", "JPY", "KWD"),
    payment_prefix="PSP",
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=None,
)
