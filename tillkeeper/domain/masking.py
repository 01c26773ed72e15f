"""Masks personal data in free text of gateways, which may hold what payers typed and what banks wrote.

All failure codes of events, unknown words, reasons of refusals and log lines pass through here.  Secrets are masked in
tillkeeper/telemetry.py.
"""

import re
from typing import Final

TEXT_CHARS_MAX: Final = 200
CARD_DIGITS: Final = range(13, 20)

# The user of a URL is no payer's address.
_EMAIL: Final = re.compile(r"(?<![\w.+%/*-])[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_CARD: Final = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.]?\d)", re.ASCII)
# The prefixes of card schemes: Visa, Mastercard, American Express, Discover, JCB, UnionPay.
_ISSUER: Final = re.compile(r"4|5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720|3[47]|35|6011|64[4-9]|65|62", re.ASCII)
# With a plus, a Chinese mobile number, or groups of digits that signs join.
_PHONE: Final = re.compile(
    r"\+\d(?:[ ().-]{0,2}\d){6,14}"
    r"|(?<!\d)1[3-9]\d(?:[ -]?\d{4}){2}(?!\d)"
    r"|(?<![\d.])\(?\d{2,4}\)?[ -]\d{3,4}[ -]\d{4}(?!\d)",
    re.ASCII,
)


def without_contacts(text: str) -> str:
    """Removes mail addresses and card numbers, for log lines, where references must stay readable."""
    if "@" in text:
        text = _EMAIL.sub("<email>", text)
    return _CARD.sub(_card_or_not, text)


def masked(text: str) -> str:
    """Shortens a text, and removes mail addresses, card and phone numbers, so that it may be kept."""
    text = text[:TEXT_CHARS_MAX]
    while (without := _PHONE.sub("<phone>", without_contacts(text))[:TEXT_CHARS_MAX]) != text:
        text = without  # cutting may leave another number; each time there is less to mask
    return text


def without_any_contacts(text: str) -> str:
    """Removes mail addresses, card and phone numbers from a person's text, and leaves it as long as it is."""
    while (without := _PHONE.sub("<phone>", without_contacts(text))) != text:
        text = without
    return text


def plain_text(text: str) -> str:
    """Does as `masked`, and makes it one line of printable characters."""
    text = text[:TEXT_CHARS_MAX]
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return masked(text)


def _card_or_not(found: re.Match[str]) -> str:
    digits = [int(char) for char in found[0] if char.isdigit()]
    doubled = [digit if at % 2 == 0 else sum(divmod(2 * digit, 10)) for at, digit in enumerate(reversed(digits))]
    is_card = len(digits) in CARD_DIGITS and sum(doubled) % 10 == 0 and _ISSUER.match("".join(map(str, digits)))
    return "<card>" if is_card else found[0]
