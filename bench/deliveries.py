"""What is posted: signed requests of distinct events, laid out as gateways send them, and where each event belongs."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count, cycle
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tillkeeper import clock
from tillkeeper.sandbox.formats import Signed
from tillkeeper.sandbox.simulators.alipay.objects import AlipayTrade, alipay_success
from tillkeeper.sandbox.simulators.alipay.signing import alipay_delivery
from tillkeeper.sandbox.simulators.stripe.objects import stripe_payment_intent
from tillkeeper.sandbox.simulators.stripe.signing import stripe_body, stripe_signed
from tillkeeper.sandbox.simulators.wechatpay.objects import wechatpay_transaction
from tillkeeper.sandbox.simulators.wechatpay.signing import WeChatPayKey, wechatpay_delivery

AMOUNT: Final = 12_900  # of every order, in minor units
CURRENCY: Final = "CNY"
STRIPE_BODY_BYTES: Final = 2_250  # an ordinary PaymentIntent event
# So many orders are pending before the first of them is paid: of the batches that are under way at once, three of 400,
# no two share an order, as no two of pgbench's clients do.
ORDERS_APART: Final = 2_000
# One request in eleven repeats an event this long ago.
DUPLICATE_EVERY: Final = 10
DUPLICATE_AGE: Final = 500
RSA_DISTINCT: Final = 1_000  # signing costs 0.6 ms; the receiver remembers nothing, so these go round

STRIPE: Final = "stripe-main"
ALIPAY: Final = "alipay-main"
WECHATPAY: Final = "wechat-main"
WEBHOOK_SECRET: Final = "whsec_of_the_bench_alone"
APP_ID: Final = "2021004100000001"
SELLER_ID: Final = "2088000000000001"
MCH_ID: Final = "1900000100"
WECHAT_APP_ID: Final = "wx8888888888888888"
APIV3_KEY: Final = "0123456789abcdef0123456789ABCDEF"
WECHAT_KEY_ID: Final = "PUB_KEY_ID_0114232134912410000000000000"

_TYPES: Final = ("payment_intent.processing", "payment_intent.succeeded")


def accounts(key: RSAPrivateKey) -> dict[str, object]:
    """The accounts' settings; both Chinese gateways sign with one key here."""
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return {
        STRIPE: {"gateway": "stripe", "webhook_secrets": [WEBHOOK_SECRET]},
        ALIPAY: {"gateway": "alipay", "app_id": APP_ID, "seller_id": SELLER_ID, "alipay_public_key": pem},
        WECHATPAY: {
            "gateway": "wechatpay",
            "mch_id": MCH_ID,
            "app_id": WECHAT_APP_ID,
            "apiv3_key": APIV3_KEY,
            "public_keys": {WECHAT_KEY_ID: pem},
        },
    }


def place(position: int) -> tuple[int, bool]:
    """The order that the event at a position is about, and whether it says succeeded (else: pending)."""
    block, within = divmod(position, 2 * ORDERS_APART)
    return block * ORDERS_APART + within % ORDERS_APART, within >= ORDERS_APART


def orders_of(events: int) -> int:
    """How many orders the first so many events are about."""
    return (events // (2 * ORDERS_APART) + 1) * ORDERS_APART


def order_ref(order: int) -> str:
    """What an order is called."""
    return f"bench-{order:08d}"


class Stripe:
    """Stripe's deliveries by position, from two bodies with blanks."""

    def __init__(self, now: datetime) -> None:
        self._bodies = [_blank_body(now, event_type) for event_type in _TYPES]

    def signed(self, position: int, now: datetime) -> Signed:
        """Headers and body of the event at a position."""
        order, succeeded = place(position)
        body = self._bodies[succeeded] % {b"event": b"%010d" % position, b"order": b"%08d" % order}
        return stripe_signed(WEBHOOK_SECRET, now, body)

    def requests(self) -> Iterator[bytes]:
        """Whole requests, from position 0 on without an end, each signed when it is asked for."""
        for position in count():
            yield wire(STRIPE, self.signed(position, clock.now()))

    def requests_with_duplicates(self, events: int) -> Iterator[bytes]:
        """So many distinct events, and one repeated after every ten of them, signed anew as gateways do."""
        now = clock.now()
        for position in range(events):
            yield wire(STRIPE, self.signed(position, now))
            if position % DUPLICATE_EVERY == DUPLICATE_EVERY - 1:
                yield wire(STRIPE, self.signed(max(0, position - DUPLICATE_AGE), now))


def posted_with_duplicates(events: int) -> int:
    """How many requests `requests_with_duplicates` makes of so many events."""
    return events + events // DUPLICATE_EVERY


def mixed_requests(requests: int, key: RSAPrivateKey) -> Iterator[bytes]:
    """Half Stripe, a quarter each Alipay and WeChat Pay."""
    now = clock.now()
    stripe = Stripe(now).requests()
    alipay = cycle([wire(ALIPAY, _alipay(number, key, now)) for number in range(RSA_DISTINCT)])
    wechatpay = cycle([wire(WECHATPAY, _wechatpay(number, key, now)) for number in range(RSA_DISTINCT)])
    for _, turn in zip(range(requests), cycle((stripe, alipay, stripe, wechatpay)), strict=False):
        yield next(turn)


def wire(account: str, signed: Signed) -> bytes:
    """A delivery as bytes on the wire."""
    headers, body = signed
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST /webhooks/{account} HTTP/1.1\r\nHost: bench\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _blank_body(now: datetime, event_type: str) -> bytes:
    """A body of the usual size, for bytes formatting."""

    def body(note: str) -> bytes:
        intent = stripe_payment_intent("pi_bench<order>", AMOUNT, CURRENCY, "bench-<order>")
        intent["metadata"]["note"] = note
        return stripe_body(now, event_type, intent, id="evt_bench<event>")

    def filled(blank: bytes) -> bytes:
        return blank.replace(b"%", b"%%").replace(b"<order>", b"%(order)s").replace(b"<event>", b"%(event)s")

    short = STRIPE_BODY_BYTES - len(filled(body("")) % {b"event": b"0" * 10, b"order": b"0" * 8})
    return filled(body("x" * short))


def _alipay(number: int, key: RSAPrivateKey, now: datetime) -> Signed:
    trade = AlipayTrade(
        app_id=APP_ID,
        seller_id=SELLER_ID,
        order_ref=order_ref(number),
        payment_ref=f"20261005220014{number:014d}",
        amount=AMOUNT,
        created_at=now - timedelta(minutes=2),
    )
    return alipay_delivery(key, alipay_success(trade, now))


def _wechatpay(number: int, key: RSAPrivateKey, now: datetime) -> Signed:
    transaction = wechatpay_transaction(
        mch_id=MCH_ID,
        app_id=WECHAT_APP_ID,
        order_ref=order_ref(number),
        payment_ref=f"42000000002026{number:014d}",
        amount=AMOUNT,
        at=now,
    )
    return wechatpay_delivery(
        WeChatPayKey(WECHAT_KEY_ID, key), APIV3_KEY, now, "TRANSACTION.SUCCESS", transaction, id=f"EV-{number:016d}"
    )
