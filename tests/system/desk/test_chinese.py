"""Pages in Chinese say nothing in English: names, numbers, and what gateways and people wrote stand as they are.

What libraries and a gateway's verification say has no other words; it is marked as English.
"""

import re
from collections import Counter
from html import unescape
from uuid import uuid4

import pytest
from yarl import URL

from tests.database.factories import NOON, a_delivery
from tests.desk_api import LATER, something_of_everything
from tests.desk_orders import ACCOUNT, MINUTE, of_alipay
from tests.desk_reading import said
from tests.desks import ZONE, a_desk, a_person, desk_client
from tests.system.desk.test_every_page import HREF, inside, route_of
from tillkeeper.desk.person import Role
from tillkeeper.desk.show.log_texts import KEYS, log_text_in
from tillkeeper.desk.show.shower import Shower
from tillkeeper.desk.words import catalogue
from tillkeeper.diagnostics.findings import Finding
from tillkeeper.diagnostics.refusals import TOO_LONG, WRITTEN
from tillkeeper.domain.guard import GuardSign, PauseReason
from tillkeeper.store.deliveries.parked import park_event, park_unreadable
from tillkeeper.store.deliveries.refused import RefusedDelivery, keep_refused
from tillkeeper.workers import release

SENTENCE = re.compile(r"[A-Za-z][a-z']+(?: [a-z']+){2,}")
# What people wrote in the till that is walked, the commands of texts, and the API's page, which is for programs.
BY_PEOPLE = ("The customer calls back tomorrow.", "an O for a 0")
COMMANDS = re.compile(r"tillkeeper (?:user tokens|guard (?:show|go|discard)|[a-z]+)")
EACH_MAX = 8
FROM = ("/", "/parked?closed=too", "/cases?closed=too", "/waiting?show=mismatched", "/proposals", "/refused")
# As a diagnosis, the guard, workers and the client of gateways write them.
TEXTS = {
    "signed_before": "it was signed 700 s before it was received",
    "signed_after": "it was signed 700 s after it was received",
    "time_off_too": "its time is off as well, and at that time it would not have been good either",
    "signed_for": "it is signed for https://a.example/x, and notification_url says https://b.example/x",
    "signed_how": "it is signed as compact JSON in ASCII",
    "old_key": "it is signed with what was webhook_secrets[0] before the settings changed",
    "other_account": "it is right for the account stripe-test (stripe)",
    "of_test_mode": "it says that it is of test mode, and the account is of live mode",
    "of_live_mode": "it says that it is of live mode, and the account is of test mode",
    "too_long": TOO_LONG,
    "held": release.ERROR,
    "not_signed": "it is not signed, and a receiver of ours signs: see envelope_keys",
    "other_key": "it is signed with a key that is not among envelope_keys",
    "pause_over_go": "go: nothing is held any more",
    "pause_over_park": "park: nothing is held any more",
    "no_answer": "bad_answer: the answer is about another payment than the query",
    "database": 'CheckViolationError: new row for relation "payments" violates check constraint "x"',
}


def texts_of(page: str) -> list[str]:
    """What stands on a page in Chinese: without scripts, raw deliveries, and what is marked as English."""
    page = re.sub(r"<(script|style|pre|textarea)\b.*?</\1>", " ", page, flags=re.DOTALL)
    page = re.sub(r'<(p|span) lang="en">.*?</\1>', " ", page, flags=re.DOTALL)
    return [unescape(text).strip() for text in re.sub(r"<[^>]+>", "\n", page).split("\n") if text.strip()]


def sentences_in(page: str) -> list[str]:
    texts = (COMMANDS.sub("", text) for text in texts_of(page) if text not in BY_PEOPLE)
    return [text for text in texts if SENTENCE.search(text)]


async def what_is_put_aside(pool):
    """Of each text of ours a parked event, a refused delivery, a notice and an account that does not answer."""
    async with pool.acquire() as conn:
        for number, text in enumerate(TEXTS.values()):
            event = of_alipay(order_ref=f"X-{number}", payment_ref=f"X-{number}", event_id=uuid4().hex)
            delivery = a_delivery(event, run=uuid4(), number=1, account=ACCOUNT, body=b"paid")
            await park_event(conn, delivery, event, reason="cannot_be_applied", error=text, now=NOON)
            refused = {"reason": "no signature fits the body", "detail": text, "query": "", "headers": (), "body": b""}
            finding = list(Finding)[number % len(Finding)]
            await keep_refused(
                conn, RefusedDelivery(account=ACCOUNT, received_at=NOON, step="signature", finding=finding, **refused)
            )
        await park_unreadable(conn, b"x", reason="unreadable", error="Input data was truncated", now=NOON)
        await conn.execute("UPDATE outbox SET last_error = $1 WHERE last_error IS NOT NULL", TEXTS["no_answer"])
        await conn.execute(
            "INSERT INTO account_health (account, watched_at, answered_at, failing_since, failed_at, reason)"
            " VALUES ('stripe-main', $1, $1, $1, $1, $2)",
            *(LATER - MINUTE, TEXTS["no_answer"]),
        )


@pytest.mark.slow
async def test_no_page_in_chinese_has_a_sentence_in_english(pool):
    await something_of_everything(pool)
    await what_is_put_aside(pool)
    seen, of_route, ahead, found = set[str](), Counter[str](), list(FROM), {}
    async with desk_client(a_desk(pool, now=lambda: LATER), a_person(Role.ADMIN, "zh")) as client:
        while ahead:
            path = ahead.pop(0)
            route = route_of(client, path)
            if path in seen or of_route[route] == EACH_MAX or route.startswith("/api"):
                continue
            seen.add(path)
            of_route[route] += 1
            async with client.get(URL(path, encoded=True)) as response:
                page = await response.text() if response.content_type == "text/html" else ""
            if english := sentences_in(page):
                found[path] = english
            ahead += [each for link in HREF.findall(page) if (each := inside(path, unescape(link)))]
    assert found == {}
    assert len(of_route) > 15


def shower(locale):
    return Shower(locale=locale, zone=ZONE, now=LATER)


@pytest.mark.parametrize("key", sorted(KEYS))
def test_each_text_of_ours_has_words_in_chinese_and_stays_as_it_is_in_english(key):
    texts = [TEXTS[key]] if key in TEXTS else [pause_of(sign) for sign in GuardSign]
    for text in texts:
        assert log_text_in(text).key == key
        written = said(str(shower("zh").log(text)))
        assert re.search(r"[\u4e00-\u9fff]", written), text
        assert sentences_in(str(shower("zh").log(text))) == []
        assert said(str(shower("en").log(text))) == text


def pause_of(sign):
    return PauseReason(sign=sign, orders=50, paid=0, line=20, share=0.75, usual_most=3, open_orders=80).text


def test_each_way_in_which_a_body_may_be_written_has_a_word():
    for how in WRITTEN:
        assert "code" not in str(shower("zh").log(f"it is signed {how}")), how


def test_what_has_no_words_is_marked_as_english():
    assert 'lang="en"' in str(shower("zh").log("Input data was truncated"))
    assert 'lang="en"' not in str(shower("en").log("Input data was truncated"))
    assert len(catalogue()) > 500
