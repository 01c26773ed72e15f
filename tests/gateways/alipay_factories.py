"""Accounts and notices of Alipay for tests."""

from datetime import timedelta

from alipay.aop.api.util.SignatureUtils import (
    get_sign_content,
)
from specimen import NOW, request_of
from specimen_alipay import APP_ID, SELLER_ID

from tillkeeper.gateways.alipay.settings import AlipaySettings
from tillkeeper.sandbox.simulators.alipay.signing import alipay_form, alipay_signature

PAID_AT = NOW - timedelta(minutes=1)
REFUNDED_AT = NOW - timedelta(seconds=30) + timedelta(milliseconds=631)


def settings(**changes):
    return AlipaySettings.model_validate({"gateway": "alipay", "app_id": APP_ID, "seller_id": SELLER_ID, **changes})


def without(fields, *names):
    return {name: value for name, value in fields.items() if name not in names}


def forged(keys, genuine, changed):
    """Other fields under the genuine signature, which covers them as well."""
    text = get_sign_content(genuine)
    assert get_sign_content(changed) == text
    assert changed != genuine
    return request_of(alipay_form(list(changed.items()), alipay_signature(keys.own, text.encode()), "utf-8"))
