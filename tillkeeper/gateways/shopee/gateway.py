"""Implements Shopee Open Platform: a push says that an order changed, signed over our own URL; its API says what became
of it.

Checked against documents only, for there is no official package.
Sources: minchao/shopee-php (`SignatureGenerator`, `examples/webhook`) for the push; Shopee's page on push mechanism.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar, Final

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fact import query_event
from tillkeeper.gateways.kit.fields import at, integer, reference_or_none, text
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.kit.ignored_types import IgnoredTypes
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Verified
from tillkeeper.gateways.shopee import api, objects
from tillkeeper.gateways.shopee.settings import ABOUT, ShopeeSettings

SIGNATURE_HEADER: Final = "authorization"  # holds the signature alone, and no credential
ORDER_STATUS_PUSH: Final = 3
# Of shops, goods, parcels and chats, by Shopee's page "Push mechanism"; 0 tests the URL when it is saved, and a return
# (29) changes its order's status, too.
OTHER_PUSHES: Final = IgnoredTypes(
    field="code", names=frozenset(str(code) for code in (0, 1, 2, *range(4, 14), 15, 16, *range(22, 31)))
)


class Shopee(Gateway):
    """One shop of one app."""

    name: ClassVar[str] = "shopee"
    settings: ClassVar[type[AccountModel]] = ShopeeSettings
    about: ClassVar[About] = ABOUT
    queryable: ClassVar[frozenset[Queryable]] = frozenset({"payment", "order"})
    single_payment: ClassVar[bool] = True  # an order is its payment
    own_url: ClassVar[str | None] = "push_url"
    kept_headers: ClassVar[frozenset[str]] = frozenset({SIGNATURE_HEADER, "content-type", "user-agent"})

    def __init__(self, account: str, settings: ShopeeSettings) -> None:
        self.account = account
        self._keys = HmacKeys("partner_keys", settings.partner_keys)
        self._signed_prefix = f"{settings.push_url}|".encode()
        self._shop_id = int(settings.shop_id)
        self._signer = api.Signer(
            partner_id=settings.partner_id,
            partner_key=settings.partner_keys[0],
            shop_id=settings.shop_id,
            access_token=settings.access_token,
            api_base=settings.api_base,
        )

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - no time is signed
        """Verifies with the registered URL, for behind a proxy the receiver sees another."""
        key = self._keys.label_of(self._signed_prefix + request.body, request.header(SIGNATURE_HEADER))
        return Verified(key=key, content=request.body)

    def key_labels(self) -> tuple[str, ...]:
        """Each partner key has one."""
        return self._keys.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:  # noqa: ARG002 - see queries_for
        """Makes no event: a push says neither an amount nor whether it is cash on delivery."""
        return ()

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """Returns the order that a push about this shop's orders names, unless nobody paid yet."""
        push = strictjson.json_of(verified)
        code = integer(push, "code")
        if code != ORDER_STATUS_PUSH:
            OTHER_PUSHES.note(str(code))
            return ()
        if integer(push, "shop_id") != self._shop_id:
            return ()
        ref = reference_or_none(text(push, "data", "ordersn"))
        if ref is None:
            raise BadPayload("data.ordersn is no order's number")
        if text(push, "data", "status") == objects.UNPAID:
            return ()
        return (Query(about="payment", order_ref=ref, payment_ref=ref),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Returns the order that a push names."""
        try:
            ref = reference_or_none(at(strictjson.loads_unsigned(request.body), ["data", "ordersn"]))
        except BadPayload:
            return None
        return None if ref is None else ClaimedReferences(order_ref=ref, payment_ref=ref)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - no nonce is signed
        """Asks for the order of that number."""
        return self._signer.call(query, now)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Returns what the order says of its payment.  A merchant may have registered it under a reference of their
        own."""
        order = api.order_in(query, response)
        if order is None:
            return Answer(found=False)
        return Answer(found=True, events=tuple(self._events_of(order, query.order_ref, now)))

    def _events_of(self, order: object, order_ref: str | None, now: datetime) -> Iterator[PaymentEvent]:
        for fact in objects.facts_of(order):
            event = query_event(fact, account=self.account, reported_at=now)  # each has a time of its own
            yield msgspec.structs.replace(event, order_ref=order_ref or event.order_ref)
