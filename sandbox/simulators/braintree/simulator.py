"""Simulates Braintree: base64 XML in a form, signed with HMAC-SHA1; few words, and an API to ask.

In life an ordinary sale says nothing by itself; here each settlement does, as those of bank debits do."""

import secrets
from collections.abc import Mapping
from typing import Final, cast

import msgspec

from tillkeeper.sandbox.formats import utc_seconds
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.base import Secret, Setting, Simulator
from tillkeeper.sandbox.simulators.braintree.api import BraintreeApi
from tillkeeper.sandbox.simulators.braintree.objects import DISPUTE_STATUSES, dispute_ref_of
from tillkeeper.sandbox.simulators.braintree.signing import BraintreeSigner
from tillkeeper.sandbox.simulators.braintree.templates import (
    DISBURSED,
    EVENT_TYPES,
    REFUND_FAILED,
    REFUND_SETTLED,
    SETTLED,
    TEMPLATES,
)
from tillkeeper.sandbox.story import Story, StoryEvent


def new_signer(account: str) -> BraintreeSigner:
    """Returns a merchant with fresh keys."""
    return BraintreeSigner(
        account=account,
        merchant_id=secrets.token_hex(8),
        public_key=secrets.token_hex(8),
        private_key=secrets.token_hex(16),
    )


def _impostor(signer: Signer) -> Signer:
    return msgspec.structs.replace(cast("BraintreeSigner", signer), private_key=secrets.token_hex(16))


def _settings(signer: Signer) -> Mapping[str, Setting]:
    ours = cast("BraintreeSigner", signer)
    return {"merchant_id": ours.merchant_id, "public_key": ours.public_key, "private_key": Secret(ours.private_key)}


def _event_id_of(story: Story, event: StoryEvent) -> str:
    """Kind, subject and time."""
    refs = {REFUND_SETTLED: event.refund_ref, REFUND_FAILED: event.refund_ref}
    refs |= dict.fromkeys(DISPUTE_STATUSES, dispute_ref_of(story))
    kind = SETTLED if event.event_type == REFUND_SETTLED else event.event_type
    return f"{kind}:{refs.get(event.event_type, story.payment_ref)}:{utc_seconds(event.at)}"


SIMULATOR: Final = Simulator(
    gateway="braintree",
    event_types=EVENT_TYPES,
    ignored=frozenset({"subscription_charged_successfully"}),
    fetched=frozenset({DISBURSED}),
    event_id_of=_event_id_of,
    templates=TEMPLATES,
    currencies=("USD", "EUR", "GBP", "JPY"),
    payment_prefix="bt",
    new_signer=new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: BraintreeApi(cast("BraintreeSigner", signer), ledger),
)
