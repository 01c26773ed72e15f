"""Reads pages of the desk as a person does, and sends their forms as a browser does."""

import re
from html import unescape

from aiohttp.test_utils import TestClient


def said(page: str) -> str:
    """What a person reads of a page, on one line."""
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", page).split())).replace(" .", ".").replace(" ,", ",")


async def page_of(client: TestClient, path: str, status: int = 200) -> str:
    answer = await client.get(path)
    assert answer.status == status, path
    return await answer.text()


async def text_of(client: TestClient, path: str, status: int = 200) -> str:
    return said(await page_of(client, path, status))


def fields_on(page: str, action: str) -> list[tuple[str, str]]:
    """The hidden fields of the form with this action."""
    form = re.search(rf'action="{re.escape(action)}".*?</form>', page, re.DOTALL)
    assert form is not None, action
    return [
        (name, unescape(value)) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[0])
    ]


def shows_text_alone(page: str) -> None:
    """Nothing of what strangers wrote is more than text."""
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "\u0007" not in page
    assert page.count("<bdi") == page.count("</bdi>")
