"""Accounts described by their settings, for tests."""

import hmac

from specimen import NOW, request_of
from specimen_standard import SECRET, SETTINGS

from tillkeeper.gateways.standard.gateway import Standard
from tillkeeper.gateways.standard.settings import StandardSettings
from tillkeeper.sandbox.simulators.standard.signing import signed
from tillkeeper.sandbox.simulators.standard.simulator import MAPPING


def a_gateway(*, mapping=None, without=(), **settings):
    paths = {key: value for key, value in {**MAPPING, **(mapping or {})}.items() if key not in without}
    return Standard("acme", StandardSettings.model_validate({**SETTINGS, "mapping": paths, **settings}))


def events(gateway, request):
    return gateway.parse(gateway.verify(request, NOW))


def sent(body):
    return request_of(signed(SECRET, "msg_1", NOW, body))


# --- any HMAC ---------------------------------------------------------------------------------------------------------

TEXT_SECRET = "a-shared-secret-of-acme"


def mac(text, *, secret=None, algorithm="sha256"):
    return hmac.digest(secret or TEXT_SECRET.encode(), text, algorithm)


def described(signature, **settings):
    return a_gateway(signature=signature, webhook_secrets=[TEXT_SECRET], **settings)


STAMP = str(int(NOW.timestamp()))
