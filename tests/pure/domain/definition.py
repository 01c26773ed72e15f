"""The status of an order by the words of the design, computed from bare events without the code under test."""

from collections import defaultdict

from tillkeeper.domain.events import Evidence, Kind

REVERSED = "reversed"
PAYMENT_RANKS = {"pending": 1, "authorized": 2, "failed": 3, "cancelled": 3}
REFUND_RANKS = {Kind.REFUND_PENDING: 1, Kind.REFUND_SUCCEEDED: 2, Kind.REFUND_FAILED: 3}


def status_by_definition(order, history):
    """The first line of the design's table that holds."""
    ours = [event for event in history if event.account in order.accounts]
    payments = {(event.account, event.payment_ref) for event in ours}
    captured = sum(sum(captures(order, ours, payment)) for payment in payments)
    refunds = known_refunds(order, ours)
    refunded = sum(given_back(order, ours, payment, refunds) for payment in payments)
    due = order.amount - sum(discount(order, ours, payment) for payment in payments)
    words = {word_for(order, ours, payment) for payment in payments}
    unseen = money_unseen(order, ours)
    for status, holds in (
        ("refunding", any(kind is Kind.REFUND_PENDING for _, kind, _, _ in refunds)),
        ("processing", refunded > 0 and captured == 0),
        ("refunded", refunded > 0 and refunded >= captured and not unseen),
        ("partially_refunded", refunded > 0),
        ("paid", captured >= due),
        ("partially_paid", captured > 0),
        ("processing", unseen or words & {"pending", "authorized"}),
        ("failed", words & {"failed", "cancelled", REVERSED}),
    ):
        if holds:
            return status
    return "unpaid"


def captures(order, ours, payment):
    """Amounts in the order's currency that a payment captured, the last word for each part."""
    on_top = [event for event in of_payment(ours, payment) if event.on_top is not None]
    tips = [(seen(event), event.on_top, event.currency) for event in on_top]
    nets = [told(event) for event in on_top if event.amount is not None]
    amounts = []
    for part, (_, amount, currency) in kept_by_part(ours, payment).items():
        if currency != order.currency:
            continue
        told_along = part is None and nets and max(nets)[2] == max(tips)[2] == currency
        is_gross = told_along and amount == max(nets)[1] + max(tips)[1]
        amounts.append(max(nets)[1] if is_gross else amount)
    return amounts


def of_payment(ours, payment):
    return [event for event in ours if (event.account, event.payment_ref) == payment]


def kept_captures(ours, payment):
    return list(kept_by_part(ours, payment).values())


def kept_by_part(ours, payment):
    """The last word for each part that was not reversed since it was last captured."""
    parts, happened, reversals = defaultdict(list), defaultdict(list), defaultdict(list)
    for event in ours:
        if (event.account, event.payment_ref) == payment and event.kind is Kind.PAYMENT_SUCCEEDED:
            parts[event.capture_ref].append(told(event))
            happened[event.capture_ref].append(event.occurred_at)
        if (event.account, event.payment_ref) == payment and event.kind is Kind.PAYMENT_REVERSED:
            reversals[event.capture_ref].append(event.occurred_at)
    return {
        part: max(words)
        for part, words in parts.items()
        if not any(at >= max(happened[part]) for at in (*reversals[part], *reversals[None]))
    }


def discount(order, ours, payment):
    """The last discount that was granted with a payment that stands."""
    granted = [
        (seen(event), event.discount, event.currency)
        for event in ours
        if (event.account, event.payment_ref) == payment and event.discount is not None
    ]
    if not granted or max(granted)[2] != order.currency or not kept_captures(ours, payment):
        return 0
    return max(granted)[1]


def seen(event):
    return event.as_of or event.occurred_at


def known_refunds(order, ours):
    """(payment, last kind, when, amount) of each refund in the order's currency."""
    by_ref = defaultdict(list)
    for event in ours:
        if event.refund_ref:
            by_ref[event.account, event.refund_ref].append(event)
    found = []
    paid = {(event.account, event.payment_ref) for event in ours if event.kind is Kind.PAYMENT_SUCCEEDED}
    for (account, ref), events in by_ref.items():
        if (account, ref) in releases(ours, by_ref):
            continue
        last = max(events, key=lambda event: (seen(event), REFUND_RANKS[event.kind]))
        amounts = [told(event) for event in events if event.amount is not None]
        _, amount, currency = max(amounts) if amounts else (None, 0, order.currency)
        if currency == order.currency:
            named = max(event.payment_ref or "" for event in events) or None
            payers = [ref for at_account, ref in paid if at_account == account]
            owner = (account, payers[0] if named is None and len(payers) == 1 else named)
            found.append((owner, last.kind, failing_of(events) or seen(last), amount))
    return found


def releases(ours, by_ref):
    """Of each payment the first refund that only tells of what was let go of its authorization, if one does."""
    found = {}
    for (account, ref), events in sorted(by_ref.items()):
        amounts = [told(event) for event in events if event.amount is not None]
        payment = (account, max(event.payment_ref or "" for event in events))
        let_go = [
            (seen(event), event.released, event.currency)
            for event in ours
            if (event.account, event.payment_ref) == payment and event.released is not None
        ]
        in_doubt = all(event.may_be_release for event in events)
        if in_doubt and amounts and let_go and max(amounts)[1:] == max(let_go)[1:]:
            found.setdefault(payment, (account, ref))
    return set(found.values())


def failing_of(events):
    """When a refund failed, unless it was given before that."""
    dated = [event for event in events if event.evidence is not Evidence.OPERATOR]
    fails = [event.occurred_at for event in dated if event.kind is Kind.REFUND_FAILED and event.as_of is None]
    answered = [event.occurred_at for event in dated if event.kind is Kind.REFUND_FAILED and event.as_of is not None]
    if not fails and answered and min(answered) > min(event.occurred_at for event in dated):
        fails = answered  # one date of a whole refund is that of its beginning
    given = [event.occurred_at for event in events if event.kind is Kind.REFUND_SUCCEEDED]
    return min(fails) if fails and not (given and min(given) >= min(fails)) else None


def given_back(order, ours, payment, refunds):
    """What went back of a payment, but for what was given on top of it."""
    whole = given_back_in_all(order, ours, payment, refunds)
    tips = [
        (seen(event), event.on_top, event.currency)
        for event in ours
        if (event.account, event.payment_ref) == payment and event.on_top is not None
    ]
    captured = sum(captures(order, ours, payment))
    if tips and max(tips)[2] == order.currency and captured < whole <= captured + max(tips)[1]:
        return captured
    return whole


def given_back_in_all(order, ours, payment, refunds):
    """The greater of succeeded refunds, and the total less refunds pending or failed since."""
    mine = [(kind, when, amount) for owner, kind, when, amount in refunds if owner == payment]
    succeeded = sum(amount for kind, _, amount in mine if kind is Kind.REFUND_SUCCEEDED)
    totals = [
        (seen(event), event.total, event.currency)
        for event in ours
        if (event.account, event.payment_ref) == payment and event.total is not None
    ]
    if not totals or max(totals)[2] != order.currency:
        return succeeded
    at, total, _ = max(totals)
    pending = sum(amount for kind, _, amount in mine if kind is Kind.REFUND_PENDING)
    failed_since = sum(amount for kind, when, amount in mine if kind is Kind.REFUND_FAILED and when >= at)
    return max(succeeded, total - pending - failed_since)


def money_unseen(order, ours):
    """True where something went back of a payment, or is contested of it, that was never heard to succeed."""
    paid = {(event.account, event.payment_ref) for event in ours if event.kind is Kind.PAYMENT_SUCCEEDED}
    owners = {owner for owner, *_ in known_refunds(order, ours)}
    for account, ref in {(event.account, event.dispute_ref) for event in ours if event.dispute_ref}:
        of_it = [event.payment_ref for event in ours if (event.account, event.dispute_ref) == (account, ref)]
        payers = [ref for at_account, ref in paid if at_account == account]
        named = max(name or "" for name in of_it) or (payers[0] if len(payers) == 1 else None)
        owners.add((account, named))
    for payment in {(event.account, event.payment_ref) for event in ours if event.total is not None}:
        totals = [event for event in ours if (event.account, event.payment_ref) == payment and event.total is not None]
        if max(map(total_told, totals))[1]:
            owners.add(payment)
    accounts = {payment[0] for payment in paid if captures(order, ours, payment)}
    return any(owner not in paid if owner[1] else owner[0] not in accounts for owner in owners)


def total_told(event):
    return (seen(event), event.total, event.currency)


def word_for(order, ours, payment):
    """The last word on a payment; none where all that is known of it is in another currency."""
    events = [event for event in ours if (event.account, event.payment_ref) == payment and event.kind.is_payment]
    with_amounts = [event for event in events if event.amount is not None and event.kind is not Kind.PAYMENT_REVERSED]
    asked = [told(event) for event in with_amounts if event.kind is not Kind.PAYMENT_SUCCEEDED]
    parts = defaultdict(list)
    for event in events:
        if event.kind is Kind.PAYMENT_SUCCEEDED:
            parts[event.capture_ref].append(told(event))
    captured_in_ours = any(max(words)[2] == order.currency for words in parts.values())
    in_ours = captured_in_ours or (asked and max(asked)[2] == order.currency)
    if not events or (with_amounts and not in_ours):
        return None
    if any(event.kind is Kind.PAYMENT_SUCCEEDED for event in events):
        return "succeeded" if kept_captures(ours, payment) else word_for_reversed(events)
    words = [
        (seen(event), event.kind.value.removeprefix("payment."))
        for event in events
        if event.kind is not Kind.PAYMENT_REVERSED
    ]
    if not words:
        return None
    return max(words, key=lambda word: (word[0], PAYMENT_RANKS[word[1]], word[1]))[1]


def word_for_reversed(events):
    """Pending where the gateway said so after it took the success back, and did not let go of it since."""
    undone = [event.occurred_at for event in events if event.kind is Kind.PAYMENT_REVERSED]
    pending = [seen(event) for event in events if event.kind is Kind.PAYMENT_PENDING]
    let_go = [seen(event) for event in events if event.kind in (Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED)]
    is_retried = pending and max(pending) >= max(undone) and not (let_go and max(let_go) >= max(pending))
    return "pending" if is_retried else REVERSED


def told(event):
    return (seen(event), event.amount, event.currency)
