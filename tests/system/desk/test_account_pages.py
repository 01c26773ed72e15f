"""The pages of accounts: who talks as usual, which ways of paying fail now, and which keys are in use."""

from datetime import timedelta

import pytest

from tests.database.factories import NOON
from tests.desk_orders import ACCOUNT, HOSTILE, MINUTE, an_order, of_alipay, tell
from tests.desk_reading import page_of, shows_text_alone, text_of
from tests.desks import a_desk, a_person, accounts, desk_client
from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.silence import hour_of

HOUR = timedelta(hours=1)
NOW = NOON + 30 * MINUTE


@pytest.fixture
async def client(pool):
    async with desk_client(a_desk(pool, now=lambda: NOW), a_person()) as client:
        yield client


async def has_talked(pool, account=ACCOUNT, *, until=NOW, minutes=15):
    """Has had deliveries in so many minutes of each hour, for ten days."""
    for ago in range(240):
        hour = hour_of(until) - ago * HOUR
        await pool.execute(
            "INSERT INTO activity VALUES ($1, $2, 1, $3, $4, $5)",
            *(account, hour, 2**minutes - 1, 10 * minutes, min(hour + 59 * MINUTE, until)),
        )


async def test_on_a_calm_day_every_account_talks_as_usual(client, pool):
    await has_talked(pool)
    text = await text_of(client, "/accounts")
    assert "Every account talks as usual" in text
    assert "talks as usual" in text.partition("alipay-main")[2]
    for name in accounts():
        assert "Keys" in await text_of(client, f"/accounts/{name}")
    await text_of(client, "/accounts/none", 404)
    await text_of(client, "/accounts/%00", 404)


async def test_a_silent_account_comes_first_with_how_long_it_usually_rests(client, pool):
    await has_talked(pool, until=NOW - 22 * MINUTE)
    await pool.execute(
        "INSERT INTO silences (account, kind, since, noticed_at, asked_at) VALUES ($1, 'silent', $2, $2, $2)",
        *(ACCOUNT, NOW - 22 * MINUTE),
    )
    sentence = "Alipay is silent for 22 min (usual: 4 min)"
    assert sentence in await text_of(client, "/accounts")
    assert f"{sentence} Act now" in await text_of(client, f"/accounts/{ACCOUNT}")
    await pool.execute(
        "INSERT INTO silences (account, kind, since, noticed_at, asked_at)"
        " VALUES ('stripe-main', 'unanswering', $1, $1, $1)",
        NOW - HOUR,
    )
    text = await text_of(client, "/accounts")
    assert f"{sentence}, and 1 more wants a look" in text
    assert "Stripe does not answer for 1 h" in await text_of(client, "/accounts/stripe-main")


async def test_a_way_of_paying_that_fails_now_is_named_with_why(client, pool):
    why = {"method": "huabei", "failure": FailureClass.INSUFFICIENT_FUNDS}
    for number in range(6):
        await an_order(pool, f"F-{number}")
        failed = of_alipay(Kind.PAYMENT_FAILED, number, order_ref=f"F-{number}", payment_ref=f"P-{number}", **why)
        await tell(pool, failed, at=NOON + number * MINUTE)
    await an_order(pool)
    await tell(pool, of_alipay(amount=12_900, method="card"), at=NOON)
    assert "Alipay fails by huabei" in await text_of(client, "/accounts")
    text = await text_of(client, f"/accounts/{ACCOUNT}")
    assert "huabei fails now 6 of 6 6 of 6" in text
    assert "card 0 of 1 0 of 1" in text
    assert "webhook 7 100 %" in text


async def test_keys_say_which_may_go(client, pool):
    await pool.execute(
        "INSERT INTO key_uses (account, key, first_at, last_at, deliveries)"
        " VALUES ($1, 'an old one', $2, $2, 7), ($1, $3, $2, $4, 9)",
        *(ACCOUNT, NOW - timedelta(days=40), "alipay_public_key", NOW - HOUR),
    )
    text = await text_of(client, f"/accounts/{ACCOUNT}")
    assert "an old one 7 40 d ago 40 d ago not configured any more" in text


async def test_every_text_of_strangers_is_shown_as_text(client, pool):
    await an_order(pool)
    await tell(pool, of_alipay(amount=12_900, method=HOSTILE), at=NOON)
    await pool.execute(
        "INSERT INTO account_health (account, watched_at, failing_since, failed_at, reason)"
        " VALUES ($1, $2, $2, $2, $3)",
        *(ACCOUNT, NOW, HOSTILE),
    )
    for path in ("/accounts", f"/accounts/{ACCOUNT}"):
        shows_text_alone(await page_of(client, path))
