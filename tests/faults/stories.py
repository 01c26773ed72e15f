"""What gateways have to tell: orders with a story each, the webhooks that tell it, and how it ends.

How a story ends is written down here, by hand, and not asked of domain/order.py.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from random import Random
from typing import Final
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tillkeeper.sandbox.formats import Json, Signed
from tillkeeper.sandbox.simulators.alipay.objects import (
    AlipayTrade,
    alipay_closed,
    alipay_pending,
    alipay_refund,
    alipay_success,
)
from tillkeeper.sandbox.simulators.alipay.signing import alipay_delivery
from tillkeeper.sandbox.simulators.stripe.objects import stripe_charge, stripe_payment_intent, stripe_refund
from tillkeeper.sandbox.simulators.stripe.signing import stripe_body, stripe_signed
from tillkeeper.sandbox.simulators.wechatpay.objects import wechatpay_refund, wechatpay_transaction
from tillkeeper.sandbox.simulators.wechatpay.signing import WeChatPayKey, wechatpay_body, wechatpay_signed

DUPLICATES: Final = 0.20  # of all deliveries
FORGED: Final = 0.02
GATEWAYS: Final = {"stripe-main": 70, "alipay-main": 15, "wechat-main": 15}  # of a hundred orders
NEVER_REGISTERED: Final = 0.01  # of all orders
CURRENCIES: Final = {"stripe-main": "EUR", "alipay-main": "CNY", "wechat-main": "CNY"}

STRIPE_SECRET: Final = "whsec_of_the_fault_run"
ALIPAY_APP: Final = "2021004100000001"
ALIPAY_SELLER: Final = "2088000000000001"
WECHAT_MERCHANT: Final = "1900000100"
WECHAT_APP: Final = "wx8888888888888888"
WECHAT_APIV3_KEY: Final = "0123456789abcdef0123456789ABCDEF"
WECHAT_KEY_ID: Final = "PUB_KEY_ID_0114232134912410000000000000"


class KeyFetcher:
    """The gateways' own keys, and those of somebody who would like to be one.  Made once each, for that is slow."""

    @cached_property
    def own(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @cached_property
    def foreign(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)


KEYS: Final = KeyFetcher()


def account_settings() -> dict[str, Json]:
    """What a configuration says of the three accounts."""
    public = KEYS.own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    alipay = {"app_id": ALIPAY_APP, "seller_id": ALIPAY_SELLER, "alipay_public_key": public}
    wechat = {"mch_id": WECHAT_MERCHANT, "app_id": WECHAT_APP, "apiv3_key": WECHAT_APIV3_KEY}
    return {
        "stripe-main": {"gateway": "stripe", "webhook_secrets": [STRIPE_SECRET]},
        "alipay-main": {"gateway": "alipay", **alipay},
        "wechat-main": {"gateway": "wechatpay", **wechat, "public_keys": {WECHAT_KEY_ID: public}},
    }


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Something that a gateway wants delivered, or that a forger says in its name.

    Every attempt is signed at its own time, as gateways do; the body stays.
    """

    account: str
    event_id: str
    order_ref: str
    body: bytes
    sign: Callable[[datetime, bytes], Signed]
    forged: str = ""  # how

    def signed(self, now: datetime) -> Signed:
        return self.sign(now, self.body)


@dataclass(frozen=True, kw_only=True)
class Sale:
    """An order on its way through a story."""

    account: str
    order_ref: str
    payment_ref: str
    amount: int
    began_at: datetime

    @property
    def part(self) -> int:
        return self.amount // 4

    def at(self, step: int) -> datetime:
        return self.began_at + timedelta(seconds=step)


# --- Stripe -----------------------------------------------------------------------------------------------------------


def _stripe(sale: Sale, step: int, event_type: str, subject: Json) -> Webhook:
    event_id = f"evt_{sale.order_ref}_{step}"
    body = stripe_body(sale.at(step), event_type, subject, id=event_id)
    return _webhook(sale, event_id, body, partial(_sign_stripe, STRIPE_SECRET))


def _sign_stripe(secret: str, now: datetime, body: bytes) -> Signed:
    return stripe_signed(secret, now, body)


def _intent(event_type: str, **more: object) -> Callable[[Sale, int], Webhook]:
    def tell(sale: Sale, step: int) -> Webhook:
        currency = CURRENCIES[sale.account]
        intent = stripe_payment_intent(sale.payment_ref, sale.amount, currency, sale.order_ref, **more)
        return _stripe(sale, step, event_type, intent)

    return tell


def _stripe_refund(sale: Sale, step: int) -> Webhook:
    """A refund object of a quarter; like Stripe's own it does not name the order."""
    refund = stripe_refund(f"re_{sale.order_ref}", sale.payment_ref, sale.part, CURRENCIES[sale.account])
    return _stripe(sale, step, "refund.updated", refund)


def _stripe_total(share: Callable[[Sale], int]) -> Callable[[Sale, int], Webhook]:
    def tell(sale: Sale, step: int) -> Webhook:
        charge = stripe_charge(
            f"ch_{sale.order_ref}",
            sale.payment_ref,
            sale.amount,
            CURRENCIES[sale.account],
            amount_refunded=share(sale),
            metadata={"order_id": sale.order_ref},
        )
        return _stripe(sale, step, "charge.refunded", charge)

    return tell


# --- Alipay -----------------------------------------------------------------------------------------------------------


def _alipay(fields_of: Callable[[AlipayTrade, Sale, int], dict[str, str]]) -> Callable[[Sale, int], Webhook]:
    def tell(sale: Sale, step: int) -> Webhook:
        trade = AlipayTrade(
            app_id=ALIPAY_APP,
            seller_id=ALIPAY_SELLER,
            order_ref=sale.order_ref,
            payment_ref=sale.payment_ref,
            amount=sale.amount,
            created_at=sale.began_at,
        )
        event_id = f"notify-{sale.order_ref}-{step}"
        fields = fields_of(trade, sale, step) | {"notify_id": event_id}
        headers, body = alipay_delivery(KEYS.own, fields)
        return _webhook(sale, event_id, body, partial(_keep_headers, headers))

    return tell


def _keep_headers(headers: dict[str, str], _now: datetime, body: bytes) -> Signed:
    """Alipay's signature stands in the form and knows no time of sending."""
    return headers, body


# --- WeChat Pay -------------------------------------------------------------------------------------------------------


def _wechat(sale: Sale, step: int, event_type: str, resource: Json) -> Webhook:
    event_id = f"EV-{sale.order_ref}-{step}"
    plain = json.dumps(resource, ensure_ascii=False).encode()
    body = wechatpay_body(WECHAT_APIV3_KEY, sale.at(step), event_type, plain, id=event_id)
    return _webhook(sale, event_id, body, partial(_sign_wechat, KEYS.own))


def _sign_wechat(key: rsa.RSAPrivateKey, now: datetime, body: bytes) -> Signed:
    return wechatpay_signed(WeChatPayKey(WECHAT_KEY_ID, key), now, body)


def _wechat_paid(sale: Sale, step: int) -> Webhook:
    transaction = wechatpay_transaction(
        mch_id=WECHAT_MERCHANT,
        app_id=WECHAT_APP,
        order_ref=sale.order_ref,
        payment_ref=sale.payment_ref,
        amount=sale.amount,
        at=sale.at(step),
    )
    return _wechat(sale, step, "TRANSACTION.SUCCESS", transaction)


def _wechat_refund(share: Callable[[Sale], int]) -> Callable[[Sale, int], Webhook]:
    """One refund object of its own for each; they add up."""

    def tell(sale: Sale, step: int) -> Webhook:
        refund = wechatpay_refund(
            mch_id=WECHAT_MERCHANT,
            order_ref=sale.order_ref,
            payment_ref=sale.payment_ref,
            refund_ref=f"50{sale.order_ref}{step}",
            refund=share(sale),
            total=sale.amount,
            at=sale.at(step),
            out_refund_no=f"R{sale.order_ref}-{step}",
        )
        return _wechat(sale, step, "REFUND.SUCCESS", refund)

    return tell


def _webhook(sale: Sale, event_id: str, body: bytes, sign: Callable[[datetime, bytes], Signed]) -> Webhook:
    return Webhook(account=sale.account, event_id=event_id, order_ref=sale.order_ref, body=body, sign=sign)


# --- the stories ------------------------------------------------------------------------------------------------------


def _nothing(_sale: Sale) -> int:
    return 0


def _part(sale: Sale) -> int:
    return sale.part


def _rest(sale: Sale) -> int:
    return sale.amount - sale.part


def _all(sale: Sale) -> int:
    return sale.amount


@dataclass(frozen=True)
class Story:
    """The acts, told by one webhook each, and where they end: status, what was captured, what was given back."""

    acts: Sequence[Callable[[Sale, int], Webhook]]
    status: str
    paid: Callable[[Sale], int]
    refunded: Callable[[Sale], int]


_PROCESSING: Final = _intent("payment_intent.processing", amount_received=0, status="processing")
_DECLINED: Final = _intent(
    "payment_intent.payment_failed",
    amount_received=0,
    status="requires_payment_method",
    last_payment_error={"code": "card_declined", "decline_code": "insufficient_funds"},
)
_PAID: Final = _intent("payment_intent.succeeded")
_ALIPAY_PENDING: Final = _alipay(lambda trade, _sale, _step: alipay_pending(trade))
_ALIPAY_PAID: Final = _alipay(lambda trade, sale, step: alipay_success(trade, sale.at(step)))
_ALIPAY_CLOSED: Final = _alipay(lambda trade, sale, step: alipay_closed(trade, sale.at(step)))


def _alipay_total(share: Callable[[Sale], int]) -> Callable[[Sale, int], Webhook]:
    return _alipay(
        lambda trade, sale, step: alipay_refund(
            trade, sale.at(1), sale.at(step), total=share(sale), refund_ref=f"back-{sale.order_ref}-{step}"
        )
    )


STORIES: Final = {
    "stripe-main": (
        Story((_PAID,), "paid", _all, _nothing),
        Story((_PROCESSING, _PAID), "paid", _all, _nothing),
        Story((_DECLINED, _PAID), "paid", _all, _nothing),
        Story((_PROCESSING,), "processing", _nothing, _nothing),
        Story((_PROCESSING, _DECLINED), "failed", _nothing, _nothing),
        Story((_PAID, _stripe_refund), "partially_refunded", _all, _part),
        Story((_PAID, _stripe_total(_part), _stripe_total(_all)), "refunded", _all, _all),
    ),
    "alipay-main": (
        Story((_ALIPAY_PENDING, _ALIPAY_PAID), "paid", _all, _nothing),
        Story((_ALIPAY_PENDING,), "processing", _nothing, _nothing),
        Story((_ALIPAY_PENDING, _ALIPAY_CLOSED), "failed", _nothing, _nothing),
        Story((_ALIPAY_PAID, _alipay_total(_part)), "partially_refunded", _all, _part),
        Story((_ALIPAY_PAID, _alipay_total(_part), _alipay_total(_all)), "refunded", _all, _all),
    ),
    "wechat-main": (
        Story((_wechat_paid,), "paid", _all, _nothing),
        Story((_wechat_paid, _wechat_refund(_part)), "partially_refunded", _all, _part),
        Story((_wechat_paid, _wechat_refund(_part), _wechat_refund(_rest)), "refunded", _all, _all),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What must stand in the database for an order."""

    sale: Sale
    status: str
    paid: int
    refunded: int
    registered: bool


@dataclass(frozen=True)
class Script:
    """All of a run: every order with its ending, and every delivery in the order of sending."""

    endings: dict[str, Ending]
    webhooks: list[Webhook]

    @property
    def to_register(self) -> list[Sale]:
        return [ending.sale for ending in self.endings.values() if ending.registered]


def write_script(deliveries: int, *, now: datetime, seed: int) -> Script:
    """So many deliveries: some told twice, some forged, all shuffled."""
    chance = Random(seed)
    forged, repeated = round(deliveries * FORGED), round(deliveries * DUPLICATES)
    endings: dict[str, Ending] = {}
    webhooks: list[Webhook] = []
    while len(webhooks) < deliveries - forged - repeated:
        sale, story = _sale(len(endings), now, chance)
        webhooks += [act(sale, step + 1) for step, act in enumerate(story.acts)]
        endings[sale.order_ref] = Ending(
            sale=sale,
            status=story.status,
            paid=story.paid(sale),
            refunded=story.refunded(sale),
            registered=chance.random() >= NEVER_REGISTERED,
        )
    webhooks += [_again(webhook) for webhook in chance.choices(webhooks, k=deliveries - forged - len(webhooks))]
    webhooks += list(_forgeries(chance.choices(list(endings.values()), k=forged), chance))
    chance.shuffle(webhooks)
    return Script(endings, webhooks)


def _sale(number: int, now: datetime, chance: Random) -> tuple[Sale, Story]:
    [account] = chance.choices(list(GATEWAYS), weights=list(GATEWAYS.values()))
    sale = Sale(
        account=account,
        order_ref=f"F{number:06}",
        payment_ref=f"pay-{number:06}",
        amount=chance.randrange(400, 90_000),
        began_at=now.replace(microsecond=0) - timedelta(minutes=chance.randrange(5, 300)),
    )
    return sale, chance.choice(STORIES[account])


def _again(webhook: Webhook) -> Webhook:
    """Stripe's body differs harmlessly from delivery to delivery; the event in it is the same."""
    return replace(webhook, body=webhook.body.replace(b'"pending_webhooks": 1', b'"pending_webhooks": 0'))


def _forgeries(endings: Sequence[Ending], chance: Random) -> Iterator[Webhook]:
    """ "It is paid", for orders that may well be not, under ids that no gateway ever gave."""
    paid = {"stripe-main": _PAID, "alipay-main": _ALIPAY_PAID, "wechat-main": _wechat_paid}
    for number, ending in enumerate(endings):
        webhook = paid[ending.sale.account](ending.sale, 900_000 + number)
        yield chance.choice(FORGERIES[ending.sale.account])(webhook)


def _by_another_key(webhook: Webhook) -> Webhook:
    return replace(webhook, sign=partial(_sign_as_forger, webhook.account), forged="another key")


def _sign_as_forger(account: str, now: datetime, body: bytes) -> Signed:
    if account == "stripe-main":
        return _sign_stripe("whsec_of_somebody_else", now, body)
    if account == "wechat-main":
        return _sign_wechat(KEYS.foreign, now, body)
    fields = {name: value for name, value in parse_qsl(body.decode()) if name not in ("sign", "sign_type")}
    return alipay_delivery(KEYS.foreign, fields)


def _touched(webhook: Webhook) -> Webhook:
    """Signed, and then the order's reference is another's."""

    def sign(now: datetime, body: bytes) -> Signed:
        headers, sealed = webhook.sign(now, body)
        return headers, sealed.replace(b"F0", b"G0", 1)

    return replace(webhook, sign=sign, forged="a byte changed")


def _stale(webhook: Webhook) -> Webhook:
    def sign(now: datetime, body: bytes) -> Signed:
        return webhook.sign(now - timedelta(hours=1), body)

    return replace(webhook, sign=sign, forged="stale")


FORGERIES: Final = {
    "stripe-main": (_by_another_key, _touched, _stale),
    "alipay-main": (_by_another_key, _touched),  # a notice of Alipay's has no time of sending
    "wechat-main": (_by_another_key, _touched, _stale),
}
