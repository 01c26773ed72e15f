"""Shopee for the conformance suite."""

from decimal import Decimal

from specimen import NOW, Asked, Keys, Layer, Specimen, request_of, response_of, with_header

from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.shopee.gateway import Shopee
from tillkeeper.gateways.shopee.settings import ShopeeSettings
from tillkeeper.sandbox.simulators.shopee.api import shopee_answer
from tillkeeper.sandbox.simulators.shopee.objects import shopee_order
from tillkeeper.sandbox.simulators.shopee.signing import shopee_push, shopee_signed

KEY = "shpk_conformance_of_the_till"
URL = "https://till.example/webhooks/shopee-main"
SETTINGS = {
    "gateway": "shopee",
    "partner_keys": [KEY],
    "push_url": URL,
    "partner_id": "2000639",
    "shop_id": "37698001",
    "access_token": "access_token_of_conformance",
}
BODY = shopee_push("ORDER-1", "READY_TO_SHIP", shop_id=37698001, at=int(NOW.timestamp()))
ORDER = shopee_order("ORDER-1", Decimal("129.00"), "SGD", "READY_TO_SHIP")


def asked(query):
    def seal(body):
        return response_of(({"Content-Type": "application/json", "Date": "Mon, 05 Oct 2026 12:00:00 GMT"}, body))

    return Asked(query=query, plain=shopee_answer(ORDER), seal=seal, foreign=None)


def specimen(keys: Keys) -> Specimen:
    def seal(body, *, key=KEY):
        return request_of(shopee_signed(key, URL, body))

    return Specimen(
        settings=SETTINGS,
        gateway=Shopee("shopee-main", ShopeeSettings.model_validate(SETTINGS)),
        valid=seal(BODY),
        foreign=seal(BODY, key="of_somebody_else"),
        with_signature=lambda request, signatures: with_header(request, "authorization", signatures),
        layers={"body": Layer(plain=BODY, seal=seal)},
        at=None,
        asked={
            "payment": asked(Query(about="payment", order_ref="ORDER-1", payment_ref="ORDER-1")),
            "order": asked(Query(about="payment", order_ref="ORDER-1")),
        },
    )
