"""Adyen for the conformance suite."""

import json

from specimen import NOW, Keys, Layer, Specimen, request_of

from tillkeeper.gateways.adyen.gateway import Adyen
from tillkeeper.gateways.adyen.settings import AdyenSettings
from tillkeeper.sandbox.simulators.adyen.signing import adyen_delivery, adyen_item, adyen_signed

KEY = "DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00"
SETTINGS = {"gateway": "adyen", "hmac_keys": [KEY], "merchant_account": "TillECOM", "live": False}
MORE = {"refusalReasonRaw": "00 : Approved"}
ITEM = adyen_item(
    "AUTHORISATION",
    "QFQTPCQ8HXSKGK82",
    12900,
    "EUR",
    "ORDER-1",
    at=NOW,
    success="true",
    reason="874574:1935:11/2030",
    additionalData=MORE,
)
BODY = adyen_delivery([adyen_signed(KEY, ITEM)])[1]
# The names of what is not signed as well: without their values nothing of it is told.
UNSIGNED = (
    b'"eventDate":"2026-10-05T12:00:00+00:00"',
    b'"paymentMethod":"visa"',
    b'"reason":"874574:1935:11/2030"',
    b'"refusalReasonRaw":"00 : Approved"',
)


def with_signatures(request, signatures):
    """Each replaces the one before: an item has no room for several."""
    told = json.loads(request.body)
    data = told["notificationItems"][0]["NotificationRequestItem"]["additionalData"]
    del data["hmacSignature"]
    if signatures:
        data["hmacSignature"] = signatures[-1]
    return request_of(({}, json.dumps(told).encode()))


def specimen(keys: Keys) -> Specimen:
    def seal(body, *, key=KEY):
        """Signs each item that can be signed, whatever else the body is."""
        try:
            told = json.loads(body)
            items = [adyen_signed(key, event["NotificationRequestItem"]) for event in told["notificationItems"]]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return request_of(({}, body))
        for holder, item in zip(told["notificationItems"], items, strict=True):
            holder["NotificationRequestItem"] = item
        return request_of(({}, body_like(body, told)))

    return Specimen(
        settings=SETTINGS,
        gateway=Adyen("adyen-main", AdyenSettings.model_validate(SETTINGS)),
        valid=seal(BODY),
        foreign=seal(BODY, key=KEY[::-1]),
        with_signature=with_signatures,
        layers={"body": Layer(plain=BODY, seal=seal)},
        at=None,
        asked={},
        covers="fields",
        unsigned=UNSIGNED,
        deciding=frozenset({"eventCode", "success"}),
    )


def body_like(body, signed):
    """The body as it came if its signatures are good: writing it anew would mend what is odd in it."""
    first = json.loads(body)
    if first == signed:
        return body
    return json.dumps(signed, ensure_ascii=False, separators=(",", ":")).encode()
