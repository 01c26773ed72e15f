"""Histories of an order made up at random: what truly happens at its gateways, and what is heard of it.

    a history ── what happened, second by second ──> webhooks (lost, twice, late), answers (lagging, by another clock)
              └─ with an order reference that may change on the way
    python -m tests.pure.domain.histories --count 100000 --seed 1

What is heard is told in four orders of arrival, each in batches whose worker may die between reading, writing and
acknowledging, and all must end alike; what must never be so is looked for at each end;
and once a gateway answers without a lag, the order must stand as what truly happened has it.
"""

import argparse
import random
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from tillkeeper.domain.events import Evidence, Kind, PaymentEvent, problem_with
from tillkeeper.domain.order import facts as rules
from tillkeeper.domain.order.case_reasons import reasons_in
from tillkeeper.domain.order.facts import OrderFacts
from tillkeeper.domain.order.implied_money import implied_money
from tillkeeper.domain.order.ownership import place
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.domain.order.sums import charged_back
from tillkeeper.domain.statuses import Status

NOON: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
END: Final = 200  # the second at which everything is over
ORDER: Final = Order(order_ref="A1", amount=100, currency="CNY", accounts=frozenset({"stripe-main", "alipay-main"}))
OTHER: Final = msgspec.structs.replace(ORDER, order_ref="A2")
ORDERS_OF_ARRIVAL: Final = 4
BATCH_MAX: Final = 4
DEATHS_OF_EACH: Final = 2  # batch, at most on average, so that there is an end to it
FATES: Final = ("lives", "dies before it wrote", "dies before it acknowledged")
STORE: Final = msgspec.msgpack.Encoder(enc_hook=dict).encode  # nothing known is a mapping proxy
READ: Final = msgspec.msgpack.Decoder(dict[str, OrderFacts]).decode

# What may become of a payment: its words one after the other, and the amount of each success.
LIVES: Final[tuple[tuple[str, ...], ...]] = (
    ("pending",),
    ("pending", "failed"),
    ("pending", "cancelled"),
    ("authorized", "cancelled"),
    ("pending", "failed", "pending", "succeeded"),
    ("pending", "succeeded"),
    ("authorized", "succeeded"),
    ("succeeded",),
    ("pending", "succeeded", "reversed"),
    ("succeeded", "reversed", "succeeded"),
    ("succeeded", "reversed", "succeeded", "reversed"),
)
RETURNS: Final[tuple[tuple[str, ...], ...]] = (
    ("pending", "succeeded"),
    ("pending", "failed"),
    ("succeeded",),
    ("succeeded", "failed"),
    ("pending",),
)
DISPUTES: Final[tuple[tuple[str, ...], ...]] = (
    ("opened",),
    ("opened", "won"),
    ("opened", "lost"),
    ("lost", "won", "lost"),
)


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """What truly happened: an object's next word."""

    second: int
    object: str  # payment, refund or dispute
    ref: str
    account: str
    payment_ref: str
    word: str
    amount: int
    order_ref: str | None
    currency: str = "CNY"

    @property
    def kind(self) -> Kind:
        """In the words of the contract."""
        return Kind(f"{self.object}.{self.word}")

    def event(self, event_id: str, **fields: Any) -> PaymentEvent:
        """As a webhook tells it."""
        has_amount = self.word != "reversed"
        return PaymentEvent(
            **{
                "event_id": event_id,
                "kind": self.kind,
                "account": self.account,
                "occurred_at": NOON + timedelta(seconds=self.second),
                "order_ref": self.order_ref,
                "payment_ref": self.payment_ref,
                "refund_ref": self.ref if self.object == "refund" else None,
                "dispute_ref": self.ref if self.object == "dispute" else None,
                "amount": self.amount if has_amount else None,
                "currency": self.currency if has_amount else None,
                **fields,
            }
        )


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, and what is heard of it."""

    seed: int
    happened: tuple[Happening, ...]
    heard: tuple[PaymentEvent, ...]
    in_the_end: tuple[PaymentEvent, ...]  # what the gateways answer once all is over


def history_of(seed: int, *, names_change: bool = True) -> History:
    """The history of a seed."""
    chance = random.Random(seed)
    happened = tuple(
        sorted(_what_happens(chance, names_change=names_change), key=lambda happen: (happen.second, happen.object))
    )
    heard = [*_webhooks(happened, chance), *_answers(happened, chance)]
    end = tuple(answer_at(happened, END, END))
    for event in (*heard, *end):
        assert problem_with(event) is None, (event, problem_with(event))
    return History(seed=seed, happened=happened, heard=tuple(heard), in_the_end=end)


def _what_happens(chance: random.Random, *, names_change: bool) -> Iterator[Happening]:
    for number in range(chance.choice((1, 1, 2, 3))):
        account = chance.choice(("stripe-main", "stripe-main", "alipay-main", "stranger"))
        currency = chance.choice(("CNY",) * 6 + ("USD",))
        amount = chance.choice((100, 100, 40, 60, 120))
        named = chance.choice(("A1", "A1", "A1", "draft", "A2")) if names_change else "A1"
        second, payment_ref = chance.randrange(10), f"p{number}"
        common = {"account": account, "payment_ref": payment_ref, "currency": currency}
        life = chance.choice(LIVES)
        for word in life:
            if word == "succeeded":
                named = "A1"
            yield Happening(
                second=second, object="payment", ref=payment_ref, word=word, amount=amount, order_ref=named, **common
            )
            # What was taken back and captured again within one second counts as taken back.
            second += chance.choice((1, 5, 20) if word in ("succeeded", "reversed") else (0, 1, 1, 5, 20))
        if "succeeded" not in life:
            continue
        for place_, words in _returns(chance):
            begins = second + chance.randrange(40)
            given = chance.choice((15, 30, amount))
            for word in words:
                yield Happening(
                    second=begins,
                    object=place_.partition(":")[0],
                    ref=f"{payment_ref}-{place_.partition(':')[2]}",
                    word=word,
                    amount=given,
                    order_ref=chance.choice((None, "A1")),
                    **common,
                )
                begins += chance.choice((1, 5, 30))


def _returns(chance: random.Random) -> Iterator[tuple[str, tuple[str, ...]]]:
    for number in range(chance.choice((0, 0, 1, 2, 3))):
        yield f"refund:r{number}", chance.choice(RETURNS)
    if chance.random() < 0.2:
        yield "dispute:d", chance.choice(DISPUTES)


def _webhooks(happened: Iterable[Happening], chance: random.Random) -> Iterator[PaymentEvent]:
    """One for each happening; a third is lost, some come twice, and some ids are used for two contents."""
    for number, happening in enumerate(happened):
        if chance.random() < 0.3:
            continue
        event = happening.event(f"evt-{number}")
        yield event
        if chance.random() < 0.2:
            yield event
        if (
            happening.object == "refund" and chance.random() < 0.3
        ):  # a running total of all that was made and did not fail
            yield _total(happened, happening, happening.second, f"evt-{number}-total")
        if happening.object == "refund" and chance.random() < 0.2:  # told by its number alone
            yield happening.event(f"evt-{number}-alone", order_ref=None, payment_ref=None)


def _total(happened: Iterable[Happening], of: Happening, second: int, event_id: str, **fields: Any) -> PaymentEvent:
    latest = {
        each.ref: each
        for each in happened
        if each.second <= second
        and each.object == "refund"
        and (each.account, each.payment_ref) == (of.account, of.payment_ref)
    }
    total = sum(each.amount for each in latest.values() if each.word != "failed")
    fields = {"kind": Kind.REFUND_SUCCEEDED, "refund_ref": None, "amount": None, "total": total, **fields}
    return of.event(event_id, **fields, currency=of.currency)


def _answers(happened: tuple[Happening, ...], chance: random.Random) -> Iterator[PaymentEvent]:
    for _ in range(chance.choice((0, 1, 1, 2, 4))):
        at = chance.randrange(END)
        yield from answer_at(happened, at, at + chance.choice((-1, 0, 0, 1)))


def answer_at(happened: Iterable[Happening], second: int, said_at: int) -> Iterator[PaymentEvent]:
    """What a gateway says of every object as it stands at a second; `said_at` is by the clock that dates the answer.

    A success that was taken back is told with both words, each dated; the rest as of the answer.
    """
    latest: dict[tuple[str, str, str], list[Happening]] = {}
    for each in happened:
        if each.second <= second:
            latest.setdefault((each.account, each.object, each.ref), []).append(each)
    as_of = NOON + timedelta(seconds=said_at)
    for (account, of, ref), words in latest.items():
        told = [words[-1]]
        if of == "refund" and ref.endswith("r0"):
            event_id = f"query:{account}:{ref}:total:{second}:{said_at}"
            yield _total(happened, words[-1], second, event_id, evidence=Evidence.QUERY, as_of=as_of, occurred_at=as_of)
        if of == "payment" and words[-1].word == "reversed":
            told = [next(word for word in reversed(words) if word.word == "succeeded"), words[-1]]
        for event in told:
            dated = (
                {} if event.object == "payment" and event.word in ("succeeded", "reversed") else {"occurred_at": as_of}
            )
            yield event.event(
                f"query:{account}:{of}:{ref}:{event.word}:{event.second}:{said_at}",
                evidence=Evidence.QUERY,
                as_of=as_of,
                **dated,
            )


def ends_of(events: Iterable[PaymentEvent]) -> dict[str, OrderFacts]:
    """What is known of each registered order once these were told, in this order."""
    told = list({each.event_id: each for each in events}.values())
    placement = place(told, registered=("A1", "A2"), claims={})
    ends = {"A1": OrderFacts(), "A2": OrderFacts()}
    for event in told:
        placed = placement.events[event.account, event.event_id]
        if placed.order_ref is not None and not placed.contradicts:
            ends[placed.order_ref] = rules.apply(ends[placed.order_ref], event)
    return ends


def ends_through_deaths(heard: Iterable[PaymentEvent], chance: random.Random) -> dict[str, OrderFacts]:
    """As `ends_of`, a batch at a time through storage.

    A worker that dies before it wrote leaves nothing behind; one that dies before it acknowledged has its batch handed
    out again, sooner or later.
    """
    arriving = list(heard)
    waiting: list[list[PaymentEvent]] = []
    while arriving:
        size = chance.randint(1, BATCH_MAX)
        waiting.append(arriving[:size])
        del arriving[:size]
    kept: dict[str, PaymentEvent] = {}
    stored = STORE({"A1": OrderFacts(), "A2": OrderFacts()})
    deaths_left = len(waiting) * DEATHS_OF_EACH
    while waiting:
        batch = waiting.pop(0)
        fresh = {message.event_id: message for message in batch if message.event_id not in kept}
        decided = _decided(READ(stored), kept, fresh)
        fate = chance.choice(FATES) if deaths_left else "lives"
        deaths_left -= fate != "lives"
        if fate != "dies before it wrote":
            kept |= fresh
            stored = STORE(decided)
        if fate != "lives":
            waiting.insert(chance.randint(0, len(waiting)), batch)
    return READ(stored)


def _decided(
    known: dict[str, OrderFacts], kept: dict[str, PaymentEvent], fresh: dict[str, PaymentEvent]
) -> dict[str, OrderFacts]:
    """The facts with the fresh events: merged into those that are stored, unless a payment changes its order."""
    before = place(list(kept.values()), registered=("A1", "A2"), claims={}).events
    after = place([*kept.values(), *fresh.values()], registered=("A1", "A2"), claims={}).events
    if any(after[key] != placed for key, placed in before.items()):
        return ends_of([*kept.values(), *fresh.values()])
    ends = dict(known)
    for event in fresh.values():
        placed = after[event.account, event.event_id]
        if placed.order_ref is not None and not placed.contradicts:
            ends[placed.order_ref] = rules.apply(ends[placed.order_ref], event)
    return ends


def brief(facts: OrderFacts, order: Order) -> Any:
    """Everything that is told of an order, in an order of its own."""
    return (
        summarize(order, facts),
        implied_money(order, facts),
        sorted((reason.kind, reason.subject, reason.state or "") for reason in reasons_in(order, facts)),
        charged_back(order, facts),
        sorted((key, msgspec.json.encode(payment, order="sorted")) for key, payment in facts.payments.items()),
        sorted((key, msgspec.json.encode(refund, order="sorted")) for key, refund in facts.refunds.items()),
        sorted((key, msgspec.json.encode(dispute, order="sorted")) for key, dispute in facts.disputes.items()),
    )


def check(history: History) -> None:
    """Raises AssertionError where the history does not end as it must."""
    chance = random.Random(history.seed)
    arrivals = [chance.sample(history.heard, len(history.heard)) for _ in range(ORDERS_OF_ARRIVAL)]
    ends = [ends_of(arrivals[0]), *(ends_through_deaths(arrival, chance) for arrival in arrivals)]
    told = [[brief(end[order.order_ref], order) for order in (ORDER, OTHER)] for end in ends]
    assert all(event == told[0] for event in told), "orders of arrival end differently"
    for order in (ORDER, OTHER):
        must_hold(order, ends[0][order.order_ref])
    healed = ends_of([*history.heard, *history.in_the_end])["A1"]
    expected, found = truth_of(history.happened), summarize(ORDER, healed)
    assert found == msgspec.structs.replace(expected, status=found.status), f"{found} instead of {expected}"
    assert found.status == expected.status, f"{found.status} instead of {expected.status}"
    later = ends_of([*history.heard, *history.in_the_end, *answer_at(history.happened, END, END + 50)])["A1"]
    assert summarize(ORDER, later) == found, "the same answer again moved it"
    owed = [
        {reason.subject for reason in reasons_in(ORDER, facts) if reason.kind == "refund_failed"}
        for facts in (healed, later)
    ]
    assert owed[0] == owed[1], "the same answer again opened or closed the case of a refund"


def must_hold(order: Order, facts: OrderFacts) -> None:
    """What is never otherwise, whatever was heard."""
    summary = summarize(order, facts)
    kinds = {reason.kind for reason in reasons_in(order, facts)}
    if summary.status in (Status.REFUNDED, Status.PARTIALLY_REFUNDED):
        assert summary.captured > 0, "refunded of nothing captured"
    if summary.refunded > 0 and summary.captured == 0:
        assert summary.status in (Status.PROCESSING, Status.REFUNDING), "settled of nothing captured"
    kept = sum(
        capture.minor
        for (account, _), payment in facts.payments.items()
        for capture in payment.kept_captures
        if account in order.accounts and capture.currency == order.currency
    )
    assert summary.captured == kept, "captured is not net of reversals"
    if summary.status is Status.PAID:
        assert summary.captured + summary.discount >= order.amount, "paid for less"
    if summary.captured - summary.refunded > order.amount:
        assert kinds & {"overpaid", "paid_twice"}, "overpaid and nobody is told"
    for (account, ref), payment in facts.payments.items():
        is_mismatched = account not in order.accounts or any(
            each.currency != order.currency for each in payment.captures.values()
        )
        if payment.captures and is_mismatched:
            subjects = {
                reason.subject
                for reason in reasons_in(order, facts)
                if reason.kind in ("wrong_currency", "unexpected_account")
            }
            assert f"payment:{account}/{ref}" in subjects, "money that does not count, and nobody is told"


def truth_of(happened: Iterable[Happening]) -> Any:
    """Status and sums by what happened, without any of the code under test."""
    from tillkeeper.domain.order.status import Summary

    ours = [each for each in happened if each.account in ORDER.accounts and each.currency == ORDER.currency]
    last: dict[tuple[str, str, str], list[Happening]] = {}
    for each in ours:
        last.setdefault((each.account, each.object, each.ref), []).append(each)
    of = {
        name: {key: words for key, words in last.items() if key[1] == name} for name in ("payment", "refund", "dispute")
    }
    captured = sum(each[-1].amount for each in of["payment"].values() if each[-1].word == "succeeded")
    refunding = sum(each[-1].amount for each in of["refund"].values() if each[-1].word == "pending")
    refunded = sum(each[-1].amount for each in of["refund"].values() if each[-1].word == "succeeded")
    # A payment that never succeeded keeps the order that it was last told with.
    words = {each[-1].word for each in of["payment"].values() if each[-1].order_ref == "A1"}
    for status, holds in (
        (Status.REFUNDING, any(each[-1].word == "pending" for each in of["refund"].values())),
        (Status.PROCESSING, refunded > 0 and captured == 0),
        (Status.REFUNDED, refunded > 0 and refunded >= captured),
        (Status.PARTIALLY_REFUNDED, refunded > 0),
        (Status.PAID, captured >= ORDER.amount),
        (Status.PARTIALLY_PAID, captured > 0),
        (Status.PROCESSING, words & {"pending", "authorized"}),
        (Status.FAILED, words & {"failed", "cancelled", "reversed"}),
        (Status.UNPAID, True),
    ):
        if holds:
            return Summary(status=status, captured=captured, refunding=refunding, refunded=refunded)
    raise AssertionError


def main() -> None:
    """Runs so many, and says how many there were."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first; the others follow")
    asked = parser.parse_args()
    heard = 0
    for seed in range(asked.seed, asked.seed + asked.count):
        history = history_of(seed)
        heard += len(history.heard)
        try:
            check(history)
        except AssertionError as error:
            error.add_note(f"history {seed}: python -m tests.pure.domain.histories --seed {seed} --count 1")
            raise
    told = f"in {ORDERS_OF_ARRIVAL} orders of arrival with deaths between any two steps"
    sys.stdout.write(f"{asked.count} histories of {heard} events, each {told}: all end well\n")


if __name__ == "__main__":
    main()
