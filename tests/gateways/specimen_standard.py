"""A provider of Standard Webhooks for the conformance suite."""

import json

from specimen import NOW, Keys, Layer, Specimen, request_of, with_header

from tillkeeper.gateways.standard.gateway import Standard
from tillkeeper.gateways.standard.settings import StandardSettings
from tillkeeper.sandbox.simulators.standard.signing import signed
from tillkeeper.sandbox.simulators.standard.simulator import MAPPING

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_AAAQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTINGS = {"gateway": "standard", "webhook_secrets": [SECRET], "mapping": MAPPING}
MESSAGE = {
    "id": "msg_conform",
    "type": "payment.paid",
    "timestamp": "2026-10-05T11:59:00Z",
    "data": {"order": "ORDER-1", "payment": "lan_3conform", "amount": "129.00", "currency": "CNY"},
}
BODY = json.dumps(MESSAGE, separators=(",", ":")).encode()


def specimen(keys: Keys) -> Specimen:
    def seal(body, *, secret=SECRET, now=NOW):
        return request_of(signed(secret, "msg_conform", now, body))

    return Specimen(
        settings=SETTINGS,
        gateway=Standard("lantern-main", StandardSettings.model_validate(SETTINGS)),
        valid=seal(BODY),
        foreign=seal(BODY, secret=OTHER),
        with_signature=lambda request, signatures: with_header(request, "webhook-signature", signatures),
        layers={"body": Layer(plain=BODY, seal=seal)},
        at=lambda now: seal(BODY, now=now),
        asked={},
        deciding=frozenset({"type"}),
    )
