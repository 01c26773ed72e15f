"""Razorpay for tests: accounts and deliveries."""

from specimen import NOW, request_of

from tillkeeper.gateways.razorpay.gateway import Razorpay
from tillkeeper.gateways.razorpay.settings import RazorpaySettings
from tillkeeper.sandbox.simulators.razorpay.objects import (
    razorpay_payment,
    razorpay_refund,
)
from tillkeeper.sandbox.simulators.razorpay.signing import razorpay_body, razorpay_signed

SECRET = "webhook-secret-of-the-till"
KEY = {"key_id": "rzp_test_1", "key_secret": "key-secret-1"}
UNIX = int(NOW.timestamp())
ORDER_ID = "order_FPoIeimWki9j8A"


def a_gateway(**settings):
    base = {"gateway": "razorpay", "webhook_secrets": [SECRET], **KEY}
    return Razorpay("razorpay-main", RazorpaySettings.model_validate(base | settings))


def a_payment(order_ref="ORDER-1", **more):
    return razorpay_payment("pay_1", 12900, "INR", order_ref, **more)


def a_refund(**more):
    return razorpay_refund("rfnd_1", "pay_1", 400, "INR", **more)


def events_of(name, gateway=None, created=UNIX, **entities):
    gateway = gateway or a_gateway()
    request = request_of(razorpay_signed(SECRET, razorpay_body(name, created, **entities), event_id="evt1"))
    return gateway.parse(gateway.verify(request, NOW))


def event_of(name, gateway=None, **entities):
    (event,) = events_of(name, gateway, **entities)
    return event
