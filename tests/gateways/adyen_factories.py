"""Adyen for tests: accounts, notification items, what they tell."""

from specimen import NOW, request_of

from tillkeeper.gateways.adyen.gateway import Adyen
from tillkeeper.gateways.adyen.settings import AdyenSettings
from tillkeeper.sandbox.simulators.adyen.signing import adyen_delivery, adyen_item, adyen_signed

KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
PAYMENT, MODIFICATION = "QFQTPCQ8HXSKGK82", "M8NB66SBZSGLNK82"


def a_gateway(**settings):
    base = {"gateway": "adyen", "hmac_keys": [KEY], "merchant_account": "TillECOM"}
    return Adyen("adyen-main", AdyenSettings.model_validate(base | settings))


def an_item(code="AUTHORISATION", success="true", value=12900, currency="EUR", **more):
    """What happens to the payment itself names it first; all else refers to it."""
    own = code in {"AUTHORISATION", "PENDING", "OFFER_CLOSED", "EXPIRE"}
    refs = {} if own else {"originalReference": PAYMENT}
    ref = PAYMENT if own else MODIFICATION
    return adyen_item(code, ref, value, currency, "ORDER-1", at=NOW, success=success, **refs | more)


def signed(item, key=KEY):
    return adyen_signed(key, item)


def events_of(*items, gateway=None):
    gateway = gateway or a_gateway()
    return gateway.parse(gateway.verify(request_of(adyen_delivery([signed(item) for item in items])), NOW))


def event_of(code="AUTHORISATION", success="true", *, auto_capture=True, **more):
    (event,) = events_of(an_item(code, success, **more), gateway=a_gateway(auto_capture=auto_capture))
    return event
