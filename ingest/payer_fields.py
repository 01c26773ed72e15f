"""Checks what a registration says of the payer and of where they pay, for it ends up in mails.

A pattern's `$` also matches before a trailing line end, so that every pattern here is matched with `fullmatch`.
"""

import re
from collections.abc import Iterator
from typing import Final

from yarl import URL

from tillkeeper.notices.addresses import ADDRESS_CHARS_MAX, URL_CHARS_MAX, is_plain_link

# Letters of any script may stand in an address; nothing that ends a header, a list of addresses or a markup does.
EMAIL: Final = re.compile(r"[^\s@<>\"'(),;:\\\[\]]+@[^\s@<>\"'(),;:\\\[\]]+")
PHONE: Final = re.compile(r"\+?[0-9][0-9 ()./-]{2,30}", re.ASCII)
LOCALE: Final = re.compile(r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8}){0,3}", re.ASCII)


def email_problems(email: str | None) -> Iterator[str]:
    """Yields what is wrong with a payer's mail address."""
    if email is None:
        return
    if len(email) > ADDRESS_CHARS_MAX or not email.isprintable() or not EMAIL.fullmatch(email):
        yield "must be one mail address such as payer@example.com, without a name, white space or line end"


def phone_problems(phone: str | None) -> Iterator[str]:
    """Yields what is wrong with a payer's phone number."""
    if phone is not None and not PHONE.fullmatch(phone):
        yield "must be a phone number such as +86 138 0000 0000, 3 to 31 digits and ()./- without a line end"


def locale_problems(locale: str | None) -> Iterator[str]:
    """Yields what is wrong with a payer's locale."""
    if locale is not None and not LOCALE.fullmatch(locale):
        yield "must be a locale such as zh-CN or en"


def link_problems(url: str | None) -> Iterator[str]:
    """Yields what is wrong with the link of a mail's button, which `as_link` has encoded."""
    if url is not None and not is_plain_link(url):
        yield (
            f"must be an https:// or http:// address of at most {URL_CHARS_MAX} characters, with a host, without a "
            "login, white space, quotes or angle brackets: percent-encode them"
        )


def as_link(url: str | None) -> str | None:
    """Encodes an address in ASCII: the host as xn--, the path percent-encoded; what is no address stays as it is."""
    if url is None or url.isascii() or not url.isprintable():
        return url
    try:
        return str(URL(url))
    except ValueError:
        return url
