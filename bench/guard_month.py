"""How often the guard would pause an account where nothing is wrong: two simulated months of shops of three sizes.

`python -m bench.guard_month` prints what stands in docs/guard.md.  The payments are those of the lossy day's generator.
Their words are signed by its simulators, read by the gateways and applied to orders by the domain, once for each
template; by what that shows, hundreds of thousands are counted.  Three in ten webhooks are lost, and known by a query
up to an hour later.  A month has weekends, a campaign of ten times the traffic on day 12, a gateway away for two hours
on day 18 with its flood after, and two runs at 02:00: on day 1 of second attempts, of which four in five are declined,
and on day 4 of subscriptions with a quarter of honest declines.  That the worse one comes first, before anything is
usual, is on purpose.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Annotated, Final

import msgspec
import typer

from tillkeeper.domain.batch import BatchItem
from tillkeeper.domain.guard import (
    RULES,
    USUAL,
    WINDOW,
    GuardSign,
    OrderCounts,
    PauseReason,
    Rule,
    Rules,
    judge,
    shown_by,
)
from tillkeeper.domain.order.facts import OrderFacts
from tillkeeper.domain.order.receiving import receive
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.order.status import Summary
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.messages import Request
from tillkeeper.gateways.registry import build
from tillkeeper.sandbox.scenarios.templates import DAY_TEMPLATES, WITHOUT_WEBHOOK
from tillkeeper.sandbox.simulators.registry import simulator_of
from tillkeeper.sandbox.story import Story
from tillkeeper.sandbox.story_generator import generate_story
from tillkeeper.sandbox.templates import Template
from tillkeeper.settings import Settings

BEGIN: Final = datetime(2026, 11, 2, tzinfo=UTC)  # a Monday
MONTH_DAYS: Final = 30
MONTHS: Final = 2  # of the first, nothing is usual yet
DAY_MIN: Final = 24 * 60
LOST: Final = 0.3
FOUND_WITHIN_MIN: Final = 60
CLOSED_AFTER_MIN: Final = DAY_MIN
DEAF_MIN: Final = 60
HOURS: Final = (2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 9, 10, 11, 10, 9, 9, 9, 10, 11, 13, 15, 14, 9, 5)  # parts of a day
WEEKEND: Final = 0.6
CAMPAIGN: Final = (12, 20, 22, 10)  # day, from, to, times
OUTAGE: Final = (18, 14, 16)
FLOOD_MIN: Final = 10
SUBSCRIPTIONS: Final = (4, 0.5, 0.25)  # day, part of a day's orders, declined
SECOND_ATTEMPTS: Final = (1, 0.1, 0.8)
RUN_MIN: Final = 10  # a run is over in ten minutes
SHOPS: Final = (("40 orders a day", "stripe", 40), ("1,000", "alipay", 1_000), ("5,000", "stripe", 5_000))
SIGNS: Final = ("paid", *map(str, GuardSign))
Shown = tuple[str | None, ...]  # what each of a story's events shows


class Shop(msgspec.Struct, kw_only=True):
    """What became of a shop's orders, by the minute."""

    minutes: dict[int, Counter[str]] = msgspec.field(default_factory=lambda: defaultdict(Counter))
    opened: Counter[int] = msgspec.field(default_factory=Counter)  # and closed, below 0

    def note(self, minute: float, sign: str | None) -> None:
        """Counts an order."""
        if sign is not None:
            self.minutes[int(minute)][sign] += 1

    def order(self, began: float, over: float) -> None:
        """Counts an order as open from one minute to another."""
        self.opened[int(began)] += 1
        self.opened[int(over)] -= 1


def shown_by_template(gateway: str) -> dict[str, Shown]:
    """Tells each template once to its gateway, and says what each of its events shows to the guard."""
    simulator = simulator_of(gateway)
    signer = simulator.new_signer("shop")
    reads = build("shop", settings_of(gateway, signer))
    shown: dict[str, Shown] = {}
    for template in DAY_TEMPLATES[gateway]:
        story = story_of(Random(1), 1, gateway, [template])
        state = OrderState(
            id=1,
            order=Order(
                order_ref=story.order_ref,
                amount=story.amount,
                currency=story.due_currency,
                accounts=frozenset({"shop"}),
            ),
            version=1,
            stored=Summary(status=Status.UNPAID, captured=0, refunding=0, refunded=0),
            facts=OrderFacts(),
            phase_since=BEGIN,
        )
        signs = list[str | None]()
        for told in story.events:
            sign = None
            if told.event_type not in WITHOUT_WEBHOOK:
                headers, body = signer.sign(story, told, now=told.at, again=0)
                request = Request({name.lower(): [value] for name, value in headers.items()}, body)
                items = [BatchItem(event=event) for event in reads.parse(reads.verify(request, told.at))]
                change = receive(state, items, policy=Policy(), now=told.at)
                sign = shown_by(change) if change.has_moved else None
                state = msgspec.structs.replace(change.after, stored=change.after.summary)
            signs.append(None if sign is None else str(sign))
        shown[story.name] = tuple(signs)
    return shown


def settings_of(gateway: str, signer: object) -> object:
    """Reads an account's settings as a file has them."""
    said = {"gateway": gateway, **simulator_of(gateway).settings(signer)}
    settings = Settings.model_validate(
        {"database_url": "postgresql://nobody@localhost/none", "accounts": {"shop": said}}
    )
    return settings.accounts["shop"]


def story_of(chance: Random, index: int, gateway: str, templates: list[Template]) -> Story:
    """Makes a story that began at the beginning."""
    seed = chance.randrange(2**32)
    return generate_story(
        seed,
        index,
        run="g",
        now=BEGIN,
        accounts={"shop": gateway},
        templates={gateway: templates},
        started_ago_s=(0, 0),
    )


def a_shop(gateway: str, orders_a_day: int, seed: int) -> Shop:
    """Lets a shop's months pass."""
    chance, shop = Random(f"{seed}:{gateway}:{orders_a_day}"), Shop()
    shown, templates = shown_by_template(gateway), list(DAY_TEMPLATES[gateway])
    for day in range(MONTHS * MONTH_DAYS):
        for began in begun(chance, day, orders_a_day):
            tell(shop, chance, story_of(chance, 1, gateway, templates), shown, began)
        for run, part, declined in (SUBSCRIPTIONS, SECOND_ATTEMPTS):
            if day % MONTH_DAYS == run:
                charge_all(shop, chance, day * DAY_MIN + 120, int(orders_a_day * part), declined)
    return shop


def begun(chance: Random, day: int, orders_a_day: int) -> Iterator[float]:
    """Yields the minutes at which a day's orders begin."""
    weekend = WEEKEND if day % 7 in (5, 6) else 1.0
    whole = sum(HOURS)
    for hour, part in enumerate(HOURS):
        campaign_day, first, last, times = CAMPAIGN
        is_campaign = day % MONTH_DAYS == campaign_day and first <= hour < last
        mean = orders_a_day * weekend * part / whole * (times if is_campaign else 1)
        number = int(mean) + (chance.random() < mean % 1)
        yield from (day * DAY_MIN + hour * 60 + chance.random() * 60 for _ in range(number))


def tell(shop: Shop, chance: Random, story: Story, shown: Mapping[str, Shown], began: float) -> None:
    """Counts what a story shows, when it is known."""
    over = began + CLOSED_AFTER_MIN
    for event, sign in zip(story.events, shown[story.name], strict=True):
        at = known_at(chance, began + (event.at - story.started_at) / timedelta(minutes=1))
        shop.note(at, sign)
        over = min(over, at) if sign == "paid" else over
    shop.order(began, over)


def known_at(chance: Random, at: float) -> float:
    """Returns when an event is known: at once, by a query, or after the outage."""
    day, first, last = OUTAGE
    begins = (int(at) // (MONTH_DAYS * DAY_MIN) * MONTH_DAYS + day) * DAY_MIN
    if begins + first * 60 <= at < begins + last * 60:
        return begins + last * 60 + chance.random() * FLOOD_MIN
    return at + chance.random() * FOUND_WITHIN_MIN if chance.random() < LOST else at


def charge_all(shop: Shop, chance: Random, began: int, number: int, declined: float) -> None:
    """Counts a run that charges many at once; what is declined stays open for a day."""
    for _ in range(number):
        at = began + chance.random() * RUN_MIN
        fails = chance.random() < declined
        shop.note(at, "failed" if fails else "paid")
        shop.order(began - 1, at + CLOSED_AFTER_MIN if fails else at)


class Alarms(msgspec.Struct, kw_only=True):
    """How often a shop would have been paused, by rule and month, and how near it came."""

    paused: Counter[tuple[str, int]] = msgspec.field(default_factory=Counter)
    most: Counter[str] = msgspec.field(default_factory=Counter)  # orders within the window
    share: dict[str, float] = msgspec.field(default_factory=dict)  # the greatest, of windows with so many


def watch(shop: Shop, rules: Rules) -> Alarms:
    """Has the rules look at each minute; whoever is paused is let go on at once, and the rules are deaf for a while."""
    alarms, open_orders, deaf_until = Alarms(), 0, -1
    usual = dict[int, Counter[str]]()  # by hour
    window_min = WINDOW // timedelta(minutes=1)
    for minute in range(MONTHS * MONTH_DAYS * DAY_MIN):
        open_orders += shop.opened.get(minute, 0)
        if minute not in shop.minutes:
            continue
        total = Counter[str]()
        for each in range(max(minute - window_min + 1, deaf_until), minute + 1):
            total.update(shop.minutes.get(each, {}))
        note_nearness(alarms, total, rules)
        if minute >= deaf_until:
            finding = look(minute, total, rules, usual=usual, open_orders=open_orders)
            if finding is not None:
                alarms.paused[finding.sign, minute // (MONTH_DAYS * DAY_MIN)] += 1
                deaf_until = minute + DEAF_MIN
        hour = usual.setdefault(minute // 60, Counter())
        hour |= total
    return alarms


def look(
    minute: int, total: Counter[str], rules: Rules, *, usual: Mapping[int, Counter[str]], open_orders: int
) -> PauseReason | None:
    """Has the rules look at one window."""
    counts = OrderCounts(**{sign: total[sign] for sign in SIGNS})
    if judge(counts, rules) is None:
        return None
    hours, most = USUAL // timedelta(hours=1), Counter[str]()
    for hour in range(minute // 60 - hours, minute // 60):
        most |= usual.get(hour, Counter())
    usual_most = OrderCounts(**{sign: most[sign] for sign in SIGNS})
    return judge(counts, rules, usual_most=usual_most, open_orders=open_orders)


def note_nearness(alarms: Alarms, total: Counter[str], rules: Rules) -> None:
    """Notes how near a window came to each rule."""
    for sign, rule in rules.items():
        alarms.most[sign] = max(alarms.most[sign], total[sign])
        if total[sign] >= rule.least:
            share = total[sign] / (total[sign] + total["paid"])
            alarms.share[sign] = max(alarms.share.get(sign, 0.0), share)


def print_rules(shops: Mapping[str, Shop]) -> None:
    """Prints how often each rule, as it is shipped, would have paused each shop."""
    print(f"{'shop':<18} {'rule':<12} {'month 1':>8} {'month 2':>8} {'most in 5 min':>14} {'greatest share':>15}")
    for name, shop in shops.items():
        alarms = watch(shop, RULES)
        for sign in RULES:
            share = f"{alarms.share[sign]:.0%}" if sign in alarms.share else "-"
            months = "".join(f" {alarms.paused[sign, month]:>8}" for month in range(MONTHS))
            print(f"{name:<18} {sign:<12}{months} {alarms.most[sign]:>14} {share:>15}")


def print_thresholds(shops: Mapping[str, Shop]) -> None:
    """Prints how often a rule about failures would have paused the shops, by its numbers, in the first month."""
    print(f"\n{'failed: least':<18} {'share':>6} {'open':>6} " + " ".join(f"{name:>16}" for name in shops))
    for least in (5, 10, 20):
        for share in (0.25, 0.5, 0.75):
            for open_share in (0.0, 0.1):
                rule = Rule(least=least, share=share, open_share=open_share)
                found = [watch(shop, {GuardSign.FAILED: rule}).paused[GuardSign.FAILED, 0] for shop in shops.values()]
                numbers = " ".join(f"{number:>16}" for number in found)
                print(f"{least:<18} {share:>6.0%} {open_share:>6.0%} {numbers}")


def main(seed: Annotated[int, typer.Option(help="Of the chances.")] = 1) -> None:
    """Prints how often each rule would have paused shops in which nothing is wrong."""
    shops = {name: a_shop(gateway, orders, seed) for name, gateway, orders in SHOPS}
    print_rules(shops)
    print_thresholds(shops)


if __name__ == "__main__":
    typer.run(main)
