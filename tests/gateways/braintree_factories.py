"""Braintree for tests: accounts, notifications, what they lead to."""

import braintree as package
from specimen import NOW, request_of
from specimen_braintree import PAID_AT, SETTINGS, STORY, VOICE

from tillkeeper.gateways.braintree.gateway import Braintree
from tillkeeper.gateways.braintree.settings import BraintreeSettings
from tillkeeper.sandbox.simulators.braintree.objects import dispute, notification
from tillkeeper.sandbox.story import StoryEvent

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def a_gateway(**settings):
    return Braintree("braintree-main", BraintreeSettings.model_validate(SETTINGS | settings))


def events_of_request(request, gateway=None):
    gateway = gateway or a_gateway()
    verified = gateway.verify(request, NOW)
    return gateway.parse(verified), gateway.queries_for(verified)


def events_of(kind, subject, at=PAID_AT):
    events, queries = events_of_request(request_of(VOICE.sent(notification(kind, at, subject))))
    assert queries == () or "settlement_" in str(subject)
    return events


def a_dispute(event_type="dispute_opened", **more):
    told = StoryEvent(event_type=event_type, event_id="e", at=PAID_AT, amount=12900, refund_ref="")
    return dispute(STORY, told) | more


def without(fields, *names):
    return {name: value for name, value in fields.items() if name not in names}


def unquoted(value):
    return package.util.http.requests.compat.unquote_plus(value)
