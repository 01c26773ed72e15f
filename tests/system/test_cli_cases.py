"""What people do at a terminal about orders that are stuck: hold, close, ask; cases; hand over."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.system.commands import tillkeeper, toml, written
from tillkeeper import clock
from tillkeeper.cli.output import lasting, when
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.registration import Payer
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.deliveries.parked import park_event
from tillkeeper.store.postgres.transactions import repeat_on_conflict

HOUR = timedelta(hours=1)


async def registered(pool, order_ref="A-1", **fields):
    fields = {"accounts": ("stripe-main",), **fields}
    await register(pool, a_registration(order_ref, **fields), policy=Policy(), now=NOON)


async def told(pool, *events, now=NOON, **fields):
    delivery = a_delivery(*events, **fields)
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=Policy(), now=now))


# --- orders -----------------------------------------------------------------------------------------------------------


async def test_an_order_is_held_released_asked_about_and_closed(config, pool):
    await registered(pool)
    held = await tillkeeper(
        "order", "hold", "A-1", "24h", "--note", "they call back", "--by", "mei", "--config", config
    )
    assert held.code == 0
    assert held.out.startswith("A-1  held until 20")
    assert (await tillkeeper("order", "ask", "A-1", "--config", config)).code == 1
    released = await tillkeeper("order", "release", "A-1", "--note", "they did", "--json", "--config", config)
    assert (released.code, released.json["act"], released.json["held_until"]) == (0, "release", None)
    asked = await tillkeeper("order", "ask", "A-1", "--config", config)
    assert (asked.code, asked.out) == (0, "A-1  its gateways are asked next\n")
    closed = await tillkeeper("order", "close", "A-1", "--note", "cancelled", "--config", config, LOGNAME="wei")
    assert (closed.code, closed.out) == (0, "A-1  closed; unpaid 未支付\n")
    shown = (await tillkeeper("order", "show", "A-1", "--json", "--config", config)).json
    assert [(each["what"], each["kind"], each["by"]) for each in shown["history"][:1]] == [("act", "order.hold", "mei")]
    assert [each["kind"] for each in shown["history"]] == ["order.hold", "order.release", "order.ask", "order.close"]
    for_people = (await tillkeeper("order", "show", "A-1", "--config", config)).out
    assert "they call back" in for_people
    assert "closed" in for_people


async def test_an_order_is_not_closed_while_its_money_may_be_on_its_way(config, pool):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING, order_ref="A-1"))
    arguments = ["order", "close", "A-1", "--note", "no news", "--config", config]
    refused = await tillkeeper(*arguments)
    assert (refused.code, refused.out) == (1, "")
    assert "payment pi_1 at stripe-main is pending: its money may be on its way" in refused.err
    assert (await tillkeeper(*arguments, "--force")).code == 0
    assert "is closed since" in (await tillkeeper(*arguments, "--force")).err


async def test_closing_in_doubt_at_a_terminal_takes_two_where_the_desk_has_two_operators(config, pool):
    for name in ("mei", "jun"):
        columns = "name, display_name, role, locale, created_at, created_by"
        await pool.execute(f"INSERT INTO people ({columns}) VALUES ($1, $1, 'operator', 'en', now(), 'x')", name)
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING, order_ref="A-1"))
    arguments = ["order", "close", "A-1", "--note", "no news", "--by", "mei", "--config", config]
    proposed = await tillkeeper(*arguments, "--force")
    assert (proposed.code, "proposed, for another operator to confirm" in proposed.out) == (0, True)
    assert await pool.fetchval("SELECT closed_at FROM orders") is None
    [row] = await pool.fetch("SELECT act, proposed_by, reason FROM approvals")
    assert tuple(row) == ("close an order in doubt", "mei", "no news")
    assert "it is proposed already" in (await tillkeeper(*arguments, "--force")).err
    # What nothing stands against is closed at once.
    await registered(pool, "A-2")
    plain = await tillkeeper("order", "close", "A-2", "--note", "no news", "--force", "--config", config)
    assert plain.out == "A-2  closed; unpaid 未支付\n"


ANSWERED = """
INSERT INTO steps (order_id, phase, action, at, taken_at, result)
SELECT id, phase, 'query', now(), now(), 'unpaid' FROM orders
"""


async def test_a_payer_is_reminded_and_a_case_opened_for_one_who_says_they_paid(config, pool):
    await registered(pool, payer=Payer(email="mei@example.com"))
    remind = ["order", "remind", "A-1", "--note", "they lost the link", "--config", config]
    assert "have them asked first" in (await tillkeeper(*remind)).err
    await pool.execute(ANSWERED)
    assert (await tillkeeper(*remind)).out == "A-1  its payer is reminded\n"
    assert "already" in (await tillkeeper(*remind)).err
    opened = await tillkeeper("order", "claimed", "A-1", "--note", "says the bank", "--by", "mei", "--config", config)
    assert (opened.code, opened.out) == (0, "A-1  a case is open; `cases --kind claimed_paid` has its number\n")
    [case] = (await tillkeeper("cases", "--json", "--config", config)).json["cases"]
    assert case["kind"] == "claimed_paid"


async def test_a_case_about_money_is_resolved_by_two(config, pool):
    await registered(pool)
    await told(pool, an_event(order_ref="A-1", currency="USD"))
    case_id = str(await pool.fetchval("SELECT id FROM cases"))
    proposing = ["case", "resolve", case_id, "--outcome", "it went back", "--by", "Mei", "--config", config]
    proposed = await tillkeeper(*proposing)
    assert proposed.code == 0
    assert f"another person confirms it: tillkeeper case confirm {case_id}" in proposed.out
    assert "somebody has proposed how to resolve" in (await tillkeeper(*proposing)).err
    confirming = ["case", "confirm", case_id, "--config", config]
    assert "resolved by two people" in (await tillkeeper(*confirming, "--by", "mei")).err
    assert (await tillkeeper("case", "refuse", case_id, "--by", "jun", "--config", config)).out == (
        f"{case_id}  stays open\n"
    )
    assert "nothing is proposed" in (await tillkeeper(*confirming, "--by", "jun")).err
    assert (await tillkeeper(*proposing)).code == 0
    confirmed = await tillkeeper(*confirming, "--by", "jun", "--json")
    assert (confirmed.json["closed_by"], confirmed.json["outcome"]) == ("mei", "it went back")


@pytest.mark.parametrize(
    "arguments",
    [
        ["hold", "A-404", "1h", "--note", "x"],
        ["remind", "A-404", "--note", "x"],
        ["claimed", "A-404", "--note", "x"],
        ["release", "A-404", "--note", "x"],
        ["ask", "A-404"],
        ["close", "A-404", "--note", "x"],
    ],
    ids=" ".join,
)
async def test_nothing_is_done_to_an_order_that_is_not_registered(config, arguments):
    ended = await tillkeeper("order", *arguments, "--config", config)
    assert (ended.code, ended.out) == (1, "")
    assert "A-404" in ended.err


# --- cases ------------------------------------------------------------------------------------------------------------


async def overpaid(pool, order_ref="A-1", **fields):
    """Registers an order that is then overpaid."""
    await registered(pool, order_ref, payer=Payer(email="li@example.com"))
    await told(pool, an_event(amount=150, order_ref=order_ref, payment_ref=f"pi_{order_ref}"), **fields)


async def test_a_case_is_followed_up_later_and_raised(config, pool):
    await overpaid(pool)
    case_id = await pool.fetchval("SELECT id FROM cases")
    later = await tillkeeper(
        "case", "follow-up", case_id, "4h", "--note", "the bank", "--by", "mei", "--config", config
    )
    assert later.out.startswith(f"{case_id}  is followed up at 20")
    higher = ("case", "escalate", case_id, "--note", "the bank is silent", "--by", "mei", "--config", config)
    assert (await tillkeeper(*higher)).out == f"{case_id}  is a level higher\n"
    await pool.execute("UPDATE cases SET level = 3")
    highest = await tillkeeper(*higher)
    assert (highest.code, highest.err) == (1, f"tillkeeper: case {case_id} is at the highest level of the policy\n")
    for span in ("0", "91d"):
        bad = await tillkeeper("case", "follow-up", case_id, span, "--note", "x", "--config", config)
        assert (bad.code, "in the next 90 days" in " ".join(bad.err.split())) == (2, True)
    assert "A-1" in (await tillkeeper("cases", "--account", "stripe-main", "--config", config)).out
    none = await tillkeeper("cases", "--account", "of-another", "--config", config)
    assert (none.code, "there is no account 'of-another'" in none.err) == (2, True)


async def test_a_case_is_listed_taken_over_noted_and_resolved(config, pool):
    nothing = await tillkeeper("cases", "--config", config)
    assert (nothing.code, nothing.out) == (0, "There is none.\n")
    await overpaid(pool, "A-1")
    await overpaid(pool, "A-2")
    listed = (await tillkeeper("cases", "--limit", "1", "--json", "--config", config)).json
    (case,) = listed["cases"]
    assert (case["kind"], case["order_ref"], case["amount"], listed["more"]) == ("overpaid", "A-1", 100, True)
    case_id = case["id"]
    assigned = await tillkeeper("case", "assign", case_id, "wei", "--by", "mei", "--config", config)
    assert (assigned.code, assigned.out) == (0, f"{case_id}  is wei's\n")
    noted = await tillkeeper("case", "note", case_id, "asked the bank", "--by", "wei", "--json", "--config", config)
    assert [entry["what"] for entry in noted.json["entries"]] == ["opened", "assigned", "noted"]
    of_wei = await tillkeeper("cases", "--owner", "wei", "--config", config)
    assert "wei" in of_wei.out
    assert of_wei.out.endswith("1 in all.\n")
    arguments = [
        "case",
        "resolve",
        case_id,
        "--outcome",
        "refunded by hand",
        "--note",
        "ticket 4711",
        "--config",
        config,
    ]
    resolved = await tillkeeper(*arguments, LOGNAME="wei")
    assert (resolved.code, resolved.out) == (0, f"{case_id}  resolved: refunded by hand\n")
    again = await tillkeeper(*arguments)
    assert (again.code, again.out) == (1, "")
    assert "closed already" in again.err
    shown = (await tillkeeper("case", "show", case_id, "--json", "--config", config)).json
    assert (shown["case"]["closed_by"], shown["case"]["outcome"]) == ("wei", "refunded by hand")
    assert shown["entries"][-1]["note"] == "refunded by hand: ticket 4711"
    nobodys = (await tillkeeper("cases", "--owner", "-", "--json", "--config", config)).json["cases"]
    assert [nobody["order_ref"] for nobody in nobodys] == ["A-2"]
    closed_too = await tillkeeper("cases", "--all", "--config", config, COLUMNS="200")  # no age makes it wrap
    assert "closed by wei: refunded by hand" in closed_too.out


async def test_a_case_is_shown_with_its_evidence_and_raw_only_on_request(config, pool):
    body = b'{"email": "li@example.com", "name": "\xe6\x9d\x8e"}'
    await overpaid(pool, body=body)
    for arguments, shows in (([], False), (["--raw"], True)):
        shown = await tillkeeper("case", "show", "1", *arguments, "--config", config)
        assert shown.code == 0
        for part in (
            "  captured  1.50 CNY",
            "overpaid",
            "Entries",
            "A-1",
            "paid 已支付",
            "Timeline",
            "payment.succeeded",
            "payer.paid",
            "case.opened",
        ):
            assert part in shown.out
        assert ("li@example.com" in shown.out) is shows
        assert ("stripe-signature" in shown.out) is shows
    as_json = (await tillkeeper("case", "show", "1", "--json", "--config", config)).json
    assert "body" not in as_json["deliveries"][0]
    raw = (await tillkeeper("case", "show", "1", "--raw", "--json", "--config", config)).json
    assert raw["deliveries"][0]["body"] == body.decode()


async def test_a_bundle_is_one_new_file_for_its_owners_eyes(config, pool, tmp_path):
    await overpaid(pool, body=b"\xff\x00")
    bundle = tmp_path / "case-1.json"
    written_once = await tillkeeper("case", "show", "1", "--bundle", bundle, "--config", config)
    assert (written_once.code, written_once.err) == (0, "")
    assert bundle.stat().st_mode & 0o777 == 0o600
    held = json.loads(bundle.read_text())
    assert list(held) == ["case", "entries", "order", "timeline", "deliveries"]
    assert (held["deliveries"][0]["body_b64"], held["order"]["status"]) == ("/wA=", "paid")
    again = await tillkeeper("case", "show", "1", "--bundle", bundle, "--config", config)
    assert again.code == 2
    assert "is there already" in again.err
    nowhere = await tillkeeper("case", "show", "1", "--bundle", tmp_path / "no" / "x", "--config", config)
    assert nowhere.code == 2


async def test_a_body_that_retention_removed_is_said_to_be_gone(config, pool):
    await overpaid(pool)
    await pool.execute("DELETE FROM delivery_bodies")
    shown = await tillkeeper("case", "show", "1", "--raw", "--config", config)
    assert "not kept any more" in shown.out
    bundle = await tillkeeper("case", "show", "1", "--raw", "--json", "--config", config)
    [delivery] = json.loads(bundle.out)["deliveries"]
    assert (delivery["body_bytes"], delivery["body"], delivery["headers"]) == (None, None, [])


@pytest.mark.parametrize(
    "arguments",
    [["show", "404"], ["assign", "404", "wei"], ["note", "404", "x"], ["resolve", "404", "--outcome", "x"]],
    ids=" ".join,
)
async def test_a_case_that_is_not_there_is_the_answer_no(config, arguments):
    ended = await tillkeeper("case", *arguments, "--config", config)
    assert (ended.code, ended.out) == (1, "")
    assert "there is no case 404" in ended.err


# --- stuck and handover -----------------------------------------------------------------------------------------------


async def test_stuck_orders_tell_what_comes_next_by_the_policy_of_the_settings(tmp_path, database, pool):
    (tmp_path / "policy.toml").write_text('[processing]\nquery = ["5m"]\ncase = ["10d"]\nescalate = []\nremind = []\n')
    config = written(tmp_path, toml(database, more=f'policy = "{tmp_path / "policy.toml"}"'))
    nothing = await tillkeeper("stuck", "--config", config)
    assert (nothing.code, nothing.out) == (0, "Nothing is stuck.\n")
    now = clock.now()
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING, order_ref="A-1"), now=now - HOUR)
    shown = await tillkeeper("stuck", "--config", config)
    assert "processing 支付处理中" in shown.out
    assert "query, due for 55m" in shown.out
    assert "never" in shown.out
    told_json = (await tillkeeper("stuck", "--status", "processing", "--json", "--config", config)).json
    assert [(order["order_ref"], order["next"]["what"]) for order in told_json["orders"]] == [("A-1", "query")]
    for arguments in (["--older", "2h"], ["--status", "refunding"]):
        assert (await tillkeeper("stuck", *arguments, "--json", "--config", config)).json["orders"] == []
    unknown = await tillkeeper("stuck", "--status", "lost", "--config", config)
    assert unknown.code == 2
    assert "known are unpaid" in unknown.err


async def test_a_bad_policy_is_a_bad_configuration(tmp_path, database):
    (tmp_path / "policy.toml").write_text("[processing]\nquery = 7\n")
    config = written(tmp_path, toml(database, more=f'policy = "{tmp_path / "policy.toml"}"'))
    ended = await tillkeeper("stuck", "--config", config)
    assert (ended.code, ended.out) == (2, "")
    assert "policy: " in ended.err


async def test_a_shift_is_handed_over_in_lines_for_a_chat(config, pool):
    now = clock.now()
    await overpaid(pool, now=now - HOUR)
    await registered(pool, "A-2")
    await told(pool, an_event(Kind.PAYMENT_PENDING, order_ref="A-2", payment_ref="pi_2"), now=now - HOUR)
    await pool.execute(
        "INSERT INTO silences (account, kind, since, noticed_at, asked_at) "
        "VALUES ('alipay-main', 'unanswering', $1, $1, $1)",
        now - HOUR,
    )
    look = await tillkeeper("handover", "--peek", "--config", config)
    assert "(a look, not recorded); there was none before." in look.out
    first = await tillkeeper("handover", "--by", "mei", "--config", config)
    assert first.code == 0
    for line in (
        "Open cases: 1 (1 of level 1)",
        "  #1 overpaid, order A-1, 1.00 CNY, level 1, for 1h 0m, nobody's, follow-up in 22h 59m",
        "New since the last: 1 opened",
        "  processing: 1, 1 of them new, the longest for 1h 0m",
        "Notices that reached nobody: none",
        "Accounts that are silent or do not answer:",
        "  alipay-main: does not answer, since 1h 0m ago, still so",
    ):
        assert line in first.out.splitlines()
    second = (await tillkeeper("handover", "--json", "--config", config, LOGNAME="wei")).json
    assert (second["by"], second["last"]["by"], second["new"]["counts"]) == ("wei", "mei", {})
    assert second["open"]["by_level"] == {"1": 1}


async def test_audit_tells_of_what_nobody_looks_after_and_of_what_is_overdue(config, pool):
    await registered(pool)
    delivery = a_delivery(an_event(Kind.PAYMENT_PENDING, order_ref="A-1"), run=uuid4(), number=1)
    now = clock.now() - 2 * HOUR
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=Policy(), now=now))
    shown = await tillkeeper("audit", "--config", config)
    assert shown.code == 1
    assert "Nobody looks after these orders" in shown.out
    assert "Overdue notices: 1, the oldest since" in shown.out
    told_json = (await tillkeeper("audit", "--json", "--config", config)).json
    assert [each["order_ref"] for each in told_json["unattended"]] == ["A-1"]
    assert (told_json["overdue_notices"]["count"], told_json["overdue_orders"]["count"]) == (1, 0)
    assert (await tillkeeper("order", "ask", "A-1", "--config", config)).code == 0
    assert (await tillkeeper("audit", "--config", config)).code == 0


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(), "0s"),
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=59), "59s"),
        (timedelta(minutes=59, seconds=59), "59m"),
        (timedelta(hours=1), "1h 0m"),
        (timedelta(days=3, hours=4, minutes=5), "3d 4h"),
    ],
)
def test_a_span_is_told_in_its_two_greatest_units(span, words):
    assert lasting(span) == words
    assert when(NOON - span, NOON) == f"{words} ago" or span.total_seconds() < 0


def test_what_is_to_come_is_told_as_such():
    assert when(NOON + HOUR, NOON) == "in 1h 0m"


# --- wrong usage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["cases", "--level", "0"],
        ["case", "show", "0"],
        ["case", "assign", "1", "system"],
        ["case", "note", "1", " "],
        ["case", "resolve", "1"],
        ["case", "resolve", "1", "--outcome", " "],
        ["case", "resolve", "1", "--outcome", "x", "--by", "Truth"],
        ["handover", "--by", "tillkeeper"],
        ["stuck", "--older", "soon"],
        ["order", "hold", "A-1", "24h"],
        ["order", "hold", "A-1", "0", "--note", "x"],
        ["order", "hold", "A-1", "soon", "--note", "x"],
        ["order", "close", "A-1", "--note", " "],
        ["order", "close", "A-1", "--note", "x", "--by", "system"],
        ["order", "ask", "A-1", "--by", " "],
    ],
    ids=" ".join,
)
async def test_an_act_without_a_reason_or_a_person_is_wrong_usage(arguments):
    ended = await tillkeeper(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err


# --- what there is not, and what may be meant -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("stuck", "--account", "nope"), "no account 'nope'; there are: stripe-main"),
        (("refused", "list", "--account", "typo"), "no account 'typo'; there are: stripe-main"),
        (("refused", "list", "--each", "--account", "typo"), "no account 'typo'"),
        (("cases", "--kind", "nope"), "no kind of case 'nope'; there are: account_paused, "),
        (("cases", "--owner", "nobody-here"), "no owner of a case 'nobody-here'; there are: -"),
        (("cases", "--level", "4"), "no level 4; the policy lets a case go up to 3"),
        (("stuck", "--status", "nope"), "'nope' is no status"),
        (("stuck", "--status", "paid"), "what is paid is never stuck; what may be is unpaid, processing, "),
        (("inspect", "-", "--account", "nope"), "no account 'nope'; there are: stripe-main"),
    ],
)
async def test_a_filter_that_names_what_there_is_not_is_no_good_news(config, database, arguments, said):
    ended = await tillkeeper(*arguments, "--config", config)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


async def test_a_filter_that_names_what_there_is_may_find_nothing(config, database):
    for arguments in (("stuck", "--account", "stripe-main"), ("cases", "--kind", "stuck"), ("cases", "--owner", "-")):
        assert (await tillkeeper(*arguments, "--config", config)).code == 0


@pytest.mark.parametrize(
    ("order_ref", "waits_under"),
    [("A-1", "a_1"), ("A-1", "A-1 "), ("ORDER-77", "shop/order-77"), ("ORDER-1001", "ORDRE-1001")],
)
async def test_an_order_is_not_closed_while_money_waits_under_a_reference_much_like_it(
    config, pool, order_ref, waits_under
):
    await registered(pool, order_ref)
    await told(pool, an_event(payment_ref="pi_9", order_ref=waits_under))
    command = ("order", "close", order_ref, "--note", "nobody paid", "--config", config)
    ended = await tillkeeper(*command)
    assert ended.code == 1
    assert f"payment pi_9 at stripe-main waits for an order {waits_under!r}" in ended.err
    assert (await tillkeeper(*command, "--force")).code == 0


async def test_an_order_is_not_closed_while_an_event_of_it_is_parked(config, pool):
    await registered(pool, "ORDER-77")
    delivery = a_delivery(an_event(order_ref="order-77"))
    async with pool.acquire() as conn:
        await park_event(conn, delivery, delivery.events[0], reason="delivery_limit", error="-", now=NOON)
    ended = await tillkeeper("order", "close", "ORDER-77", "--note", "nobody paid", "--config", config)
    assert ended.code == 1
    assert "an event is parked that may be of this order: tillkeeper parked show 1" in ended.err


async def test_an_order_that_somebody_holds_is_not_waited_for_without_an_end(config, pool, monkeypatch):
    await registered(pool)
    monkeypatch.setattr(repeat_on_conflict, "__kwdefaults__", {"lock_wait_s": 0.2})
    async with pool.acquire() as somebody, somebody.transaction():
        await somebody.execute("SELECT FROM orders FOR UPDATE")
        ended = await tillkeeper("order", "hold", "A-1", "1h", "--note", "wait", "--config", config)
    assert ended.code == 3
    assert "others hold what this needs" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("words",), "No unknown word was met.\n"),
        (("refused", "list", "--each", "--account", "stripe-main"), "Nothing was refused of late.\n"),
    ],
)
async def test_where_there_is_nothing_it_is_said(config, arguments, said):
    ended = await tillkeeper(*arguments, "--config", config)
    assert (ended.code, ended.out) == (0, said)
