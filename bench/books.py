"""Books: `tillkeeper reconcile` over a bill of WeChat Pay: its CPU and memory, and that it finds what was planted."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import asyncpg
import msgspec

from bench import cost
from bench.deliveries import MCH_ID, WECHATPAY
from bench.house import Broken, House
from bench.report import Section, Target
from bench.sizes import Sizes
from tillkeeper import clock

WANTED_S: Final = 60.0
WANTED_MIB: Final = 150.0
LOOK_EVERY_S: Final = 0.1
LONG_S: Final = 3600.0

# A day of paid orders, three days ago: `pay-N` is order `SHOP-N`.  What is planted is planted here or in the bill, by
# the last two digits of N.
DAY: Final = "date_trunc('day', now() AT TIME ZONE 'Asia/Shanghai') AT TIME ZONE 'Asia/Shanghai' - interval '3 days'"
ORDERS: Final = """
INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, status, captured_minor, version, registered_at,
                    changed_at, phase, phase_since)
SELECT 'SHOP-' || n, 12900, 'CNY', ARRAY[$2], jsonb_build_object('order_ref', 'SHOP-' || n, 'amount', 12900,
       'currency', 'CNY', 'accounts', ARRAY[$2]), CASE WHEN n % 100 = $3 THEN 'unpaid' ELSE 'paid' END,
       CASE WHEN n % 100 = $3 THEN 0 ELSE 12900 END, 1, $4, $4, 1, $4
FROM generate_series(1, $1::bigint) AS n WHERE n % 100 <> $5
"""
PAYMENTS: Final = """
INSERT INTO payments (account, payment_ref, order_id, status, facts, amount_minor, currency, captured_minor)
SELECT $1, 'pay-' || substr(order_ref, 6), id, 'succeeded',
       jsonb_build_object('standing', jsonb_build_object('absorbs', true, 'at', $2::text, 'rank', 4,
                                                         'step', 'succeeded'),
                          'captures', jsonb_build_object('', jsonb_build_object('at', $2::text, 'minor', 12900,
                                                                                'currency', 'CNY'))),
       12900, 'CNY', 12900
FROM orders WHERE status = 'paid'
"""
EVENTS: Final = """
INSERT INTO inbox (account, event_id, kind, evidence, order_ref, payment_ref, amount_minor, currency, occurred_at,
                   recorded_at, digest, outcome, order_id, status_after)
SELECT $1, 'evt-' || id, 'payment.succeeded', 'query', order_ref, 'pay-' || substr(order_ref, 6), 12900, 'CNY', $2, $2,
       '\\x00112233445566778899aabbccddeeff', 'applied', id, 'paid'
FROM orders WHERE status = 'paid'
"""

MATCHED, NOT_PAID_HERE, NOT_OURS, NOT_LISTED, TOO_LITTLE, TWICE, OTHER_CURRENCY, FEE, REFUNDED = range(9)
EXPECTED: Final = {
    "at_gateway_only": NOT_PAID_HERE,
    "not_ours": NOT_OURS,
    "here_only": NOT_LISTED,
    "amount_differs": TOO_LITTLE,
    "twice": TWICE,
    "currency_differs": OTHER_CURRENCY,
    "fee_differs": FEE,
    "refunded_there_only": REFUNDED,
}
COLUMNS: Final = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,"
    "代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,"
    "申请退款金额,费率备注"
)
POLICY: Final = """
[books.accounts.{account}]
order_prefixes = ["SHOP-"]
[books.accounts.{account}.fees.CNY]
percent = "0.6"
"""


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of the command cost, and what it said."""

    seconds: float
    cpu_s: float
    postgres_cpu_s: float
    most_mib: float
    verdicts: dict[str, int]
    outcomes: dict[str, int]


async def measure(house: House, sizes: Sizes) -> Section:
    """Reconciles a bill where little differs, and one of which one in a hundred is planted of each kind."""
    plain = await _reconciled(house, sizes.books_lines, planted=False)
    planted = await _reconciled(house, sizes.books_planted, planted=True)
    missed = {
        verdict: planted.verdicts.get(verdict, 0) - sizes.books_planted // 100
        for verdict in EXPECTED
        if planted.verdicts.get(verdict, 0) != sizes.books_planted // 100
    }
    if missed or set(plain.verdicts) != {"matched"}:
        raise Broken(f"planted differences that were missed (-) or invented (+): {missed}; plain: {plain.verdicts}")
    return Section(
        name="books",
        title="Reconciling WeChat Pay's trade bill of a day, to its end",
        rows=[
            {
                "lines": f"{lines:,}",
                "s": each.seconds,
                "CPU s, command": each.cpu_s,
                "CPU s, PostgreSQL": each.postgres_cpu_s,
                "most MiB": each.most_mib,
                "differ": sum(count for verdict, count in each.verdicts.items() if verdict in EXPECTED),
                "events": sum(each.outcomes.values()),
            }
            for lines, each in ((sizes.books_lines, plain), (sizes.books_planted, planted))
        ],
        targets=[
            Target(name="of the first, seconds", measured=plain.seconds, wanted=WANTED_S, at_least=False),
            Target(name="of the first, MiB", measured=plain.most_mib, wanted=WANTED_MIB, at_least=False),
        ],
        notes=[
            "In the second one in a hundred is planted of each of eight differences: each was found, none invented."
        ],
    )


async def _reconciled(house: House, lines: int, *, planted: bool) -> Reconciled:
    """Fills a database, writes the bill, and runs the command."""
    async with house.database() as dsn:
        conn = await asyncpg.connect(dsn)
        try:
            day = await _fill(conn, lines, planted=planted)
        finally:
            await conn.close()
        with TemporaryDirectory(prefix="books-") as name:
            directory = Path(name)
            _write(directory / "bill.csv", lines, day, planted=planted)
            (directory / "policy.toml").write_text(POLICY.format(account=WECHATPAY))
            # A thousand refunds that nobody was told of would pause the account, and rightly so.
            told = {"TILLKEEPER_POLICY": str(directory / "policy.toml"), "TILLKEEPER_GUARD__TAKEN_BACK": "off"}
            environment = house.environment(dsn) | told
            return await _run(house, directory / "bill.csv", environment)


async def _fill(conn: asyncpg.Connection, lines: int, *, planted: bool) -> str:
    noon = await conn.fetchval(f"SELECT {DAY} + interval '12 hours'")
    unpaid, unknown = (NOT_PAID_HERE, NOT_OURS) if planted else (100, 100)
    await conn.execute("SELECT set_config('tillkeeper.due_orders', 'written', false)")
    await conn.execute(ORDERS, lines, WECHATPAY, unpaid, noon, unknown, timeout=LONG_S)
    await conn.execute(PAYMENTS, WECHATPAY, noon.isoformat(), timeout=LONG_S)
    await conn.execute(EVENTS, WECHATPAY, noon, timeout=LONG_S)
    await conn.execute("VACUUM ANALYZE", timeout=LONG_S)
    written: str = await conn.fetchval(f"SELECT to_char(({DAY}) AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD')")
    return written


def _write(path: Path, lines: int, day: str, *, planted: bool) -> None:
    """Writes the bill of three days, so that the middle one is surely covered."""
    with path.open("w", encoding="utf-8") as file:
        file.write(COLUMNS + "\n")
        count = fen = back = fee = 0
        for n in range(1, lines + 1):
            for row in _rows(n, n % 100 if planted else MATCHED, day):
                file.write(",".join(f"`{cell}" for cell in row) + "\n")
                count, fee = count + 1, fee + round(float(row[22]) * 100_000)
                fen, back = fen + round(float(row[24]) * 100), back + round(float(row[25]) * 100)
        for edge in (-2, 2):
            file.write(",".join(f"`{cell}" for cell in _edge(day, edge)) + "\n")
        totals = (
            count + 2,
            _yuan(fen + 200),
            _yuan(back),
            "0.00",
            f"{fee / 100_000:.5f}",
            _yuan(fen + 200),
            _yuan(back),
        )
        file.write("总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\n")
        file.write(",".join(f"`{cell}" for cell in totals) + "\n")


def _rows(n: int, plan: int, day: str) -> Iterator[list[str]]:
    """Yields the rows of one order."""
    order = f"OTHER-{n}" if plan == NOT_OURS else f"SHOP-{n}"
    price = "128.00" if plan == TOO_LITTLE else "129.00"
    fee = "0.90000" if plan == FEE else "0.77400"
    currency = "USD" if plan == OTHER_CURRENCY else "CNY"
    paid = _row(day, f"pay-{n}", order, "SUCCESS", price=price, fee=fee, currency=currency)
    if plan != NOT_LISTED:
        yield paid
    if plan == TWICE:
        yield paid
    if plan == REFUNDED:
        yield _row(day, f"pay-{n}", order, "REFUND", refund=f"back-{n}", back="1.00")


def _row(
    day: str,
    payment: str,
    order: str,
    state: str,
    *,
    price: str = "0.00",
    fee: str = "0.00000",
    currency: str = "CNY",
    refund: str = "0",
    back: str = "0.00",
) -> list[str]:
    return [
        *(f"{day} 12:00:00", "wx8888888888888888", MCH_ID, "0", "", payment, order, "oUpF8uMuAJO", "JSAPI", state),
        *("CMB_DEBIT", currency, price, "0.00", refund, refund, back, "0.00", "ORIGINAL", "SUCCESS", "tea", ""),
        *(fee, "0.60%", price, back, ""),
    ]


def _edge(day: str, days: int) -> list[str]:
    """Returns another shop's payment of a day near it, which only says that the bill covers that day, too."""
    other = (date.fromisoformat(day) + timedelta(days=days)).isoformat()
    return _row(other, f"edge{days}", "EDGE", "SUCCESS", price="1.00")


def _yuan(fen: int) -> str:
    return f"{fen / 100:.2f}"


async def _run(house: House, bill: Path, environment: dict[str, str]) -> Reconciled:
    began_s, postgres_s = clock.monotonic_s(), cost.cpu_s(house.postgres_pid)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tillkeeper", "reconcile", WECHATPAY, str(bill), "--by", "bench", "--json"),
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said = asyncio.ensure_future(child.communicate())
    most_mib = used_s = 0.0
    while not said.done():
        most_mib, used_s = max(most_mib, cost.rss_mib(child.pid)), max(used_s, cost.cpu_s(child.pid))
        await asyncio.wait({said}, timeout=LOOK_EVERY_S)
    out, err = await said
    if not out:
        raise Broken(f"reconcile ended with {child.returncode}: {err.decode()}")
    told = json.loads(out)
    verdicts = Counter[str]()
    for each in told["statements"][0]["verdicts"]:
        verdicts[each["verdict"]] += each["count"]
    verdicts["not_ours"] -= 2  # the edges
    return Reconciled(
        seconds=clock.monotonic_s() - began_s,
        cpu_s=used_s,
        postgres_cpu_s=cost.cpu_s(house.postgres_pid) - postgres_s,
        most_mib=most_mib,
        verdicts={verdict: count for verdict, count in verdicts.items() if count},
        outcomes=told["outcomes"],
    )
