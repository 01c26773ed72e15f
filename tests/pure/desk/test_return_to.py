"""Whoever signs in goes to a page of ours, whatever the address said."""

from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.desk.access.return_to import local_path

HERE = "https://till.example"


@pytest.mark.parametrize(
    "wanted",
    [
        "/",
        "/me",
        "/orders/ORDER-1",
        "/orders/a%2Fb%20c",
        "/stuck?after=12&by=age",
        "/?x=1",
        "/orders/%E8%AE%A2",
        "/find?q=a%26b",
    ],
)
def test_a_page_of_ours_is_kept(wanted):
    assert local_path(wanted) == wanted


@pytest.mark.parametrize(
    "wanted",
    [
        *("", "me", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/%2f%2fevil.example"),
        *("/%2F/evil.example", "/%5cevil.example", "/%5C%5Cevil.example", "/\t/evil.example", "/\n/evil.example"),
        *("https://evil.example", "HTTPS:/evil.example", "javascript:alert(1)", "data:text/html,x", "/.evil.example"),
        *(
            " //evil.example",
            "/ /evil.example",
            "/\u2028/evil",
            "/@evil.example",
            "/:80",
            "/orders/\r\nLocation: x",
            "/a\\b",
        ),
        *("/orders/" + "x" * 3000, "/orders/<script>", "/orders/订单"),
    ],
)
def test_anything_else_leads_to_the_first_page(wanted):
    assert local_path(wanted) == "/"


@given(st.text(alphabet=st.sampled_from("/\\%2f5cFC?#@:.aevil \t\n"), max_size=12))
def test_a_browser_stays_here_however_it_reads_the_path(wanted):
    path = local_path(wanted)
    for read in (path, unquote(path), unquote(unquote(path)), path.replace("\\", "/")):
        assert urlsplit(urljoin(HERE + "/sign-in", read)).netloc == "till.example"
