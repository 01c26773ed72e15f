"""A genuine delivery of a type that nobody here has heard of changes nothing, and is noted once a type; those that are
documented as of no interest are not noted."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import braintree
import pytest
from specimen import NOW
from specimen_gocardless import specimen as of_gocardless
from specimen_razorpay import specimen as of_razorpay
from specimen_shopee import specimen as of_shopee
from specimen_square import specimen as of_square
from specimen_stripe import specimen as of_stripe

from tillkeeper.gateways.braintree.webhook import transaction_in
from tillkeeper.gateways.flutterwave.gateway import Flutterwave
from tillkeeper.gateways.flutterwave.settings import FlutterwaveSettings
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.mercadopago.gateway import MercadoPago
from tillkeeper.gateways.mercadopago.settings import MercadoPagoSettings
from tillkeeper.gateways.messages import Verified
from tillkeeper.gateways.mollie.webhook import queried_ref
from tillkeeper.gateways.paystack.gateway import Paystack
from tillkeeper.gateways.paystack.settings import PaystackSettings
from tillkeeper.gateways.square import objects as square_objects
from tillkeeper.gateways.stripe import events as stripe_events


def noted(gateway, content):
    """The words that a genuine delivery has noted.  It must neither tell nor ask anything."""
    verified = Verified(key="k", content=content)
    with unknown_words() as words:
        assert (*gateway.parse(verified), *gateway.queries_for(verified)) == ()
    return [(each.field, each.word) for each in words]


def retyped(specimen, field, value):
    """The specimen's own body with another type in it."""
    content = json.loads(specimen.gateway.verify(specimen.valid, NOW).content)
    *path, last = field
    inner = content
    for name in path:
        inner = inner[name]
    inner[last] = value
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("make", "field", "of_no_interest", "unheard_of"),
    [
        (of_stripe, ["type"], "customer.updated", "payment_intent.settled_elsewhere"),
        (of_stripe, ["type"], "payment_intent.created", "payment_record.reported"),
        (of_square, ["type"], "dispute.evidence.added", "payment.reversed"),
        (of_razorpay, ["event"], "payment.downtime.started", "payment.reversed"),
        (of_gocardless, ["events", 0, "resource_type"], "mandates", "wallets"),
        (of_shopee, ["code"], 0, 99),
    ],
)
def test_a_type_that_nobody_has_heard_of_is_noted(keys, make, field, of_no_interest, unheard_of):
    specimen = make(keys)
    assert noted(specimen.gateway, retyped(specimen, field, of_no_interest)) == []
    assert noted(specimen.gateway, retyped(specimen, field, unheard_of)) == [(field[-1], str(unheard_of))]


def test_so_is_one_of_paystack():
    gateway = Paystack("p", PaystackSettings.model_validate({"gateway": "paystack", "secret_keys": ["sk_test_1a2b3c"]}))
    assert noted(gateway, b'{"event":"transfer.success","data":{"id":1}}') == []
    assert noted(gateway, b'{"event":"charge.melted","data":{"id":1}}') == [("event", "charge.melted")]


def test_so_is_one_of_flutterwave():
    settings = {"gateway": "flutterwave", "version": "v4", "secret_hashes": ["h4sh-of-the-till-1a2b"]}
    gateway = Flutterwave("f", FlutterwaveSettings.model_validate(settings))
    assert noted(gateway, b'{"type":"transfer.disburse","data":{}}') == []
    assert noted(gateway, b'{"type":"settlement.held","data":{}}') == [("type", "settlement.held")]


def test_so_is_a_topic_of_mercado_pago():
    settings = {"gateway": "mercadopago", "webhook_secrets": ["s3cret-of-the-till"], "access_token": "APP_USR-1"}
    gateway = MercadoPago("m", MercadoPagoSettings.model_validate(settings))
    for topic, expected in (("topic_chargebacks_wh", []), ("subscription_preapproval", []), ("order", ["order"])):
        words = noted(gateway, ("1", topic, b'{"type":"%s"}' % topic.encode()))
        assert [word for _, word in words] == expected


def test_so_is_the_prefix_of_an_id_of_mollies():
    with unknown_words() as words:
        assert queried_ref(b"id=sub_8JfGzs6v3K") is None
        assert queried_ref(b"id=zzz_8JfGzs6v3K") is None
    assert [(each.field, each.word) for each in words] == [("prefix of an id", "zzz")]


def test_no_kind_that_braintrees_package_knows_is_unheard_of():
    kinds = [kind for name, kind in vars(braintree.WebhookNotification.Kind).items() if not name.startswith("_")]
    assert len(kinds) > 30
    with unknown_words() as words:
        for kind in kinds:
            transaction_in(
                kind,
                {
                    "subject": {name: {"transaction": {}} for name in ("local-payment", "local-payment-funded")}
                    | {"transaction": {}}
                },
            )
        assert list(words) == []
        transaction_in("transaction_melted", {})
    assert [each.word for each in words] == ["transaction_melted"]


def words_in(package, pattern, expression):
    """Every word that files of an installed package write so."""
    root = Path(next(iter(find_spec(package).submodule_search_locations)))
    return {found for file in root.glob(pattern) for found in re.findall(expression, file.read_text())}


def test_no_type_that_stripes_package_knows_is_unheard_of(keys):
    snapshots = words_in("stripe", "_event.py", r'"([a-z_0-9]+(?:\.[a-z_0-9]+)+)"')
    thin = words_in("stripe", "events/*.py", r'LOOKUP_TYPE = "([^"]+)"')
    assert len(snapshots) > 250
    assert len(thin) > 300
    with unknown_words() as words:
        for event_type in sorted(
            {each.removeprefix(stripe_events.THIN_OF_V1) for each in snapshots | thin} - set(stripe_events.TYPES)
        ):
            stripe_events.IGNORED.note(event_type)
    assert list(words) == []


def test_a_thin_event_that_nobody_has_heard_of_is_noted(keys):
    gateway = of_stripe(keys).gateway
    event = {
        "object": "v2.core.event",
        "id": "evt_1",
        "type": "v1.payment_intent.melted",
        "created": "2026-10-05T12:00:00Z",
    }
    assert noted(gateway, json.dumps(event | {"livemode": False}).encode()) == [("type", "payment_intent.melted")]


def test_no_type_that_squares_package_knows_is_unheard_of():
    written = words_in("square", "types/*_event.py", r'`"([a-z_]+\.[a-z_.]+)"`')
    assert len(written) > 80
    with unknown_words() as words:
        for event_type in sorted(written - set(square_objects.TYPES)):
            square_objects.IGNORED.note(event_type)
    assert list(words) == []
