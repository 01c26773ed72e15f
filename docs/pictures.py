"""Draws the mails of docs/notices.md: renders them, and takes pictures of them with the Chromium of this machine.

Run it by `make pictures`.  It installs nothing: where something is missing, it says what.
"""

import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from tillkeeper.domain.statuses import Status
from tillkeeper.domain.topics import Topic
from tillkeeper.notices.letters import Language
from tillkeeper.notices.mail import Facts, render
from tillkeeper.notices.settings import NotifySettings

PICTURES: Final = Path(__file__).parent / "pictures"
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--force-color-profile=srgb",
)
WIDTH: Final = 660
MEASURE: Final = "<script>document.title = document.documentElement.scrollHeight</script>"
BYTES_MAX: Final = 150_000
SHOT_S: Final = 60

SHOP: Final = NotifySettings(
    merchant_name="Lantern Tea 灯茶", support="help@lantern.example", from_address="orders@lantern.example"
)
ORDER: Final = Facts(
    order_ref="LT-20261122-0042",
    status=Status.PROCESSING,
    amount=128_800,
    currency="CNY",
    pay_url="https://shop.lantern.example/pay/LT-20261122-0042",
    expires_at=datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
)
FAILED: Final = {"status": Status.FAILED, "failure": "limit_exceeded"}

# The picture's name, its topic and language, and in what its order differs from the one above.
MAILS: Final[tuple[tuple[str, Topic, Language, dict[str, object]], ...]] = (
    ("mail-processing-zh", Topic.PROCESSING, "zh-CN", {}),
    ("mail-processing-en", Topic.PROCESSING, "en", {}),
    ("mail-failed-zh", Topic.FAILED, "zh-CN", FAILED),
    ("mail-failed-en", Topic.FAILED, "en", FAILED),
    ("mail-paid-zh", Topic.PAID, "zh-CN", {"status": Status.PAID, "paid": 128_800}),
    ("mail-paid-en", Topic.PAID, "en", {"status": Status.PAID, "paid": 128_800}),
    (
        "mail-partially-refunded-zh",
        Topic.PARTIALLY_REFUNDED,
        "zh-CN",
        {"status": Status.PARTIALLY_REFUNDED, "paid": 128_800, "refunded": 38_800},
    ),
    (
        "mail-instalment-due-en",
        Topic.INSTALMENT_DUE,
        "en",
        {
            "status": Status.PARTIALLY_PAID,
            "currency": "KWD",
            "amount": 360_000,
            "paid": 120_000,
            "due_amount": 120_000,
            "due_at": datetime(2026, 12, 1, 10, 0, tzinfo=UTC),
        },
    ),
)


def main() -> int:
    """Draws them all; returns the exit code."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    missing = [] if browser else [f"a browser, one of: {', '.join(BROWSERS)} (Debian: apt-get install chromium)"]
    if not _has_chinese():
        missing.append("a font with Chinese (Debian: apt-get install fonts-noto-cjk)")
    if missing or browser is None:
        print("Pictures need:", *missing, sep="\n  ", file=sys.stderr)
        return 1
    PICTURES.mkdir(exist_ok=True)
    for name, topic, language, changes in MAILS:
        facts = msgspec.structs.replace(ORDER, **changes)
        target = PICTURES / f"{name}.png"
        _draw(browser, render(topic, facts, language, SHOP).html, target)
        size = target.stat().st_size
        print(f"{target.relative_to(PICTURES.parent.parent)}  {size:,} bytes")
        if size > BYTES_MAX:
            print(f"that is over {BYTES_MAX:,} bytes", file=sys.stderr)
            return 1
    return 0


def _has_chinese() -> bool:
    if shutil.which("fc-list") is None:
        return False
    listed = subprocess.run(["fc-list", ":lang=zh-cn"], capture_output=True, text=True, check=False)  # noqa: S607
    return bool(listed.stdout.strip())


def _draw(browser: str, html: str, target: Path) -> None:
    with TemporaryDirectory(prefix="tillkeeper-pictures-") as directory:
        page = Path(directory) / "mail.html"
        page.write_text(html + MEASURE, encoding="utf-8")
        told = _chromium(browser, directory, f"--window-size={WIDTH},400", "--dump-dom", page.as_uri())
        height = int(re.findall(r"<title>(\d+)</title>", told)[0])
        page.write_text(html, encoding="utf-8")
        _chromium(browser, directory, f"--window-size={WIDTH},{height}", f"--screenshot={target}", page.as_uri())


def _chromium(browser: str, directory: str, *arguments: str) -> str:
    done = subprocess.run(
        [browser, *FLAGS, f"--user-data-dir={directory}/profile", *arguments],
        capture_output=True,
        text=True,
        timeout=SHOT_S,
        check=True,
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
