"""Implements ShengPay H5 quick pay: JSON whose `sign` field is RSA over the other fields, in notices and in answers
alike.

There is no package of ShengPay's: everything is checked against its documents.
"""

from datetime import datetime
from typing import ClassVar, Final, cast

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import QUERYABLE_ALL, Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit.answers import answered_at
from tillkeeper.gateways.kit.claimed_references import claimed_in_object
from tillkeeper.gateways.kit.fact import query_event
from tillkeeper.gateways.kit.fields import text, text_or_none
from tillkeeper.gateways.kit.rsa import rsa_private_key, rsa_public_key
from tillkeeper.gateways.kit.stand_in import with_stand_in_closed
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Reply, Request, Response, Verified
from tillkeeper.gateways.shengpay import api, webhook
from tillkeeper.gateways.shengpay.settings import ABOUT, ShengPaySettings
from tillkeeper.gateways.shengpay.signature import Fields, verified_fields
from tillkeeper.gateways.shengpay.webhook import Notice

KEY_LABEL: Final = "shengpay_public_key"


class ShengPay(Gateway):
    """One merchant number at ShengPay."""

    name: ClassVar[str] = "shengpay"
    settings: ClassVar[type[AccountModel]] = ShengPaySettings
    about: ClassVar[About] = ABOUT
    queryable: ClassVar[frozenset[Queryable]] = QUERYABLE_ALL
    single_payment: ClassVar[bool] = True  # an outTradeNo is one payment's
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type"})

    def __init__(self, account: str, settings: ShengPaySettings) -> None:
        self.account = account
        self._merchant = settings
        self._key = rsa_public_key(settings.shengpay_public_key)
        self._signer = _signer(settings)

    def verify(self, request: Request, now: datetime) -> Verified:
        """Checks the signature over the fields as they are written; signType is one of them, and must be the
        account's."""
        fields = verified_fields(request.body, self._key, self._merchant.sign_type)
        return Verified(key=KEY_LABEL, content=Notice(fields, now.replace(microsecond=0)))

    def key_labels(self) -> tuple[str, ...]:
        """ShengPay signs with one key at a time."""
        return (KEY_LABEL,)

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Makes one event of a payment or a refund, and none of a card."""
        notice = cast("Notice", verified.content)
        if not self._is_taken(notice) or self._is_asked_about(notice):
            return ()
        event = webhook.event_of(self.account, notice)
        return () if event is None else (event,)

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """Returns the refund of a notice without a time of its own, for that could undo what came before it."""
        notice = cast("Notice", verified.content)
        if not self._is_taken(notice) or not self._is_asked_about(notice):
            return ()
        return (webhook.refund_query(notice),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Returns the payment that a notice names, as a refund's does too."""
        return claimed_in_object(request.body, webhook.references_in)

    def acknowledge(self) -> Reply:
        """Returns the word that ShengPay asks for, in capitals."""
        return Reply(status=200, body=b"SUCCESS")

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - no time is signed
        """Asks by ShengPay's own number where it is known, else by the order's reference."""
        if self._signer is None:
            raise CannotQuery("app_id and mch_private_key are not both set")
        return self._signer.call(self._merchant.api_base, query, nonce)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Returns what a signed answer to this query says."""
        api.check_unsigned(response)
        fields = verified_fields(response.body, self._key, self._merchant.sign_type)
        if not api.is_found(fields):
            return Answer(found=False)
        if not self._is_ours(fields):
            raise BadPayload("the answer is about another merchant's or app's payment")
        fact, reported_at = api.fact_of(query, fields), answered_at(response, now)
        facts = with_stand_in_closed(query, fact) if query.about == "payment" else [fact] if fact else []
        events = (query_event(each, account=self.account, reported_at=reported_at) for each in facts)
        return Answer(found=True, events=tuple(events))

    def _is_taken(self, notice: Notice) -> bool:
        """Says whether a notice is ours, and about money."""
        if webhook.is_of_card(notice.fields) or not self._is_ours(notice.fields):
            return False
        webhook.check_return_code(notice.fields)
        return True

    def _is_ours(self, fields: Fields) -> bool:
        """Several merchants, or several apps of one, may share an address."""
        app_id = text_or_none(fields, "appId")
        return text(fields, "mchId") == self._merchant.mch_id and self._merchant.app_id in {None, app_id}

    def _is_asked_about(self, notice: Notice) -> bool:
        return self._signer is not None and notice.is_refund_without_time


def _signer(settings: ShengPaySettings) -> api.Signer | None:
    if settings.mch_private_key is None or settings.app_id is None:
        return None
    return api.Signer(
        mch_id=settings.mch_id,
        app_id=settings.app_id,
        key=rsa_private_key(settings.mch_private_key),
        sign_type=settings.sign_type,
    )
