"""The report of a month as a page, and for programs."""

import pytest

from tests.desk_orders import HOSTILE
from tests.desk_reading import page_of, shows_text_alone, text_of
from tests.desks import a_desk, a_person, desk_client
from tests.monthly import NOW, a_random_quarter, make_figures
from tillkeeper.desk.person import Role
from tillkeeper.domain.monthly.tables import TABLES

MONTH = "/reports?month=2026-10"


def at_desk(pool, locale="en"):
    return desk_client(a_desk(pool, now=lambda: NOW), a_person(Role.VIEWER, locale, "mei"))


@pytest.fixture
async def quarter(pool):
    async with pool.acquire() as conn:
        await a_random_quarter(conn, "a page", orders=300)


@pytest.mark.parametrize(
    ("locale", "says"), [("en", "There are no figures yet"), ("zh", "还没有数据")], ids=["en", "zh"]
)
async def test_without_figures_it_says_who_makes_them(pool, locale, says):
    async with at_desk(pool, locale) as client:
        text = await text_of(client, "/reports")
    assert says in text
    assert "tillkeeper sweep" in text


@pytest.mark.usefixtures("quarter")
@pytest.mark.parametrize(
    ("locale", "says"),
    [
        ("en", ("Report of 2026-10", "Success", "By hour of the day", "At risk", "not enough money", "How soon")),
        ("zh", ("2026-10 月报", "成功率", "按时段", "风险金额", "余额不足", "何时得知结果")),
    ],
    ids=["en", "zh"],
)
async def test_a_month_is_shown_beside_the_one_before(pool, locale, says):
    async with at_desk(pool, locale) as client:
        page, text = await page_of(client, MONTH), await text_of(client, MONTH)
    for part in (*says, "alipay-main", "Asia/Shanghai"):
        assert part in text, part
    assert 'class="hours"' in page
    assert "<option>2026-09</option>" in page


@pytest.mark.usefixtures("quarter")
async def test_one_account_is_shown_alone(pool):
    async with at_desk(pool) as client:
        text = await text_of(client, f"{MONTH}&account=stripe-main")
    assert "Account stripe-main" in text
    body = text[text.index("Payments") :]
    assert "wechatpay-main" not in body


async def test_what_is_no_month_is_refused_with_what_would_be_right(pool):
    async with at_desk(pool) as client, client.get("/reports?month=2026-13") as answer:
        assert answer.status == 400
        assert "such as 2026-10" in await answer.text()


async def test_what_strangers_wrote_is_shown_as_text(pool):
    async with pool.acquire() as conn:
        await a_random_quarter(conn, "hostile", orders=20)
        await conn.execute("UPDATE inbox SET method = $1, failure = $1 WHERE method IS NOT NULL", HOSTILE[:200])
        await conn.execute("INSERT INTO report_stale_days SELECT DISTINCT day FROM report_figures")
        await make_figures(conn)
    async with at_desk(pool) as client:
        shows_text_alone(await page_of(client, MONTH))


@pytest.mark.usefixtures("quarter")
async def test_programs_read_the_same_figures(pool):
    async with at_desk(pool) as client, client.get("/api/reports?month=2026-10") as answer:
        assert answer.status == 200
        body = await answer.json()
    assert [table["name"] for table in body["tables"]] == [table.key for table in TABLES]
    accounts = {row["account"] for row in body["tables"][1]["rows"]}
    assert accounts == {"alipay-main", "stripe-main", "wechatpay-main"}
    tried = sum(row["tried"] for row in body["tables"][0]["rows"])
    counted = "SELECT sum(count)::int FROM report_figures WHERE figure = 'tried' AND day::text LIKE '2026-10%'"
    assert tried == await pool.fetchval(counted)
