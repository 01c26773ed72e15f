"""Objects of Stripe for tests."""

from stripe_factories import (
    a_charge,
    a_session,
    an_intent,
)

# States.


STATES = [
    # payment intents
    ("payment_intent.succeeded", an_intent(amount_received=12000), "payment.succeeded", 12000, None),
    ("payment_intent.processing", an_intent(), "payment.pending", 12900, None),
    ("payment_intent.partially_funded", an_intent(), "payment.pending", 12900, None),
    (
        "payment_intent.amount_capturable_updated",
        an_intent(amount_capturable=9000),
        "payment.authorized",
        9000,
        None,
    ),
    ("payment_intent.payment_failed", an_intent(), "payment.failed", 12900, "unknown"),
    ("payment_intent.canceled", an_intent(), "payment.cancelled", 12900, "unknown"),
    # checkout sessions
    ("checkout.session.completed", a_session(), "payment.succeeded", 12900, None),
    (
        "checkout.session.completed",
        a_session(payment_status="no_payment_required", amount_total=0),
        "payment.succeeded",
        0,
        None,
    ),
    ("checkout.session.completed", a_session(payment_status="unpaid"), "payment.pending", 12900, None),
    ("checkout.session.async_payment_succeeded", a_session(), "payment.succeeded", 12900, None),
    ("checkout.session.async_payment_failed", a_session(), "payment.failed", 12900, "unknown"),
    ("checkout.session.expired", a_session(), "payment.cancelled", 12900, "expired_unpaid"),
    # charges
    ("charge.succeeded", a_charge(), "payment.succeeded", 12900, None),
    ("charge.succeeded", a_charge(captured=False, amount_captured=0), "payment.authorized", 12900, None),
    ("charge.captured", a_charge(amount_captured=5000), "payment.succeeded", 5000, None),
    ("charge.pending", a_charge(), "payment.pending", 12900, None),
    ("charge.failed", a_charge(), "payment.failed", 12900, "unknown"),
    ("charge.expired", a_charge(), "payment.cancelled", 12900, "expired_unpaid"),
]
