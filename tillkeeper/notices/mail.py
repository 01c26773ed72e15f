"""Makes a mail of a notice, without I/O.  The words are in letters.py, the layout is in templates/.

All text of a payload came from outside once.  Invisible characters are removed, texts are cut to a length and escaped
by the templates, and only plain http or https becomes a link.
"""

import re
import unicodedata
from copy import copy
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import jinja2
import msgspec
from babel import Locale
from babel.dates import format_date, format_time, get_timezone_gmt

from tillkeeper.domain.failures import METHOD_WORDS, RETRY_WORDS, RetryAdvice, Words, guidance_for
from tillkeeper.domain.money import EXPONENTS
from tillkeeper.domain.order.view import Minor, OrderView
from tillkeeper.domain.statuses import Status
from tillkeeper.domain.topics import ASKS_TO_PAY, Topic
from tillkeeper.notices.addresses import is_mail_address, is_plain_link
from tillkeeper.notices.letters import FRAME_WORDS, LETTERS, ROW_WORDS, STATUS_WORDS, Language, Letter
from tillkeeper.notices.settings import NotifySettings

REFERENCE_CHARS_MAX: Final = 100  # an order reference that fits on two lines of a phone
LOCALES: Final = {"zh-CN": Locale("zh", territory="CN", script="Hans"), "en": Locale("en")}
# While a payment may be on its way, or when all is paid, no mail links to paying, whatever its topic.
PAYABLE: Final = frozenset({Status.UNPAID, Status.FAILED, Status.PARTIALLY_PAID})

# CLDR has a space between a code of letters and the digits; Babel leaves it out.
_LETTER_BEFORE_DIGIT: Final = re.compile(r"[^\W\d_](?=\d)")
NOTHING: Final = "-"  # in place of a missing fact

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class BadNotice(Exception):
    """The payload lacks what its topic needs, which is a bug."""


class Facts(OrderView, frozen=True, kw_only=True):
    """The payload of a payer's notice: the order, and further facts."""

    remaining: Minor | None = None  # None: what is due and not paid
    failure: str | None = None
    pay_url: str | None = None
    expires_at: _Moment | None = None
    due_at: _Moment | None = None
    due_amount: Minor | None = None
    refund_amount: Minor | None = None  # of the refund that the mail is about
    under_way: bool = False  # a payment is, as known when the mail is sent


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as the payer reads it."""

    language: Language
    subject: str
    text: str
    html: str


_templates: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("tillkeeper.notices"),
    autoescape=jinja2.select_autoescape(enabled_extensions=("html",), default=False),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def language_for(locale: str | None, settings: NotifySettings) -> Language:
    """Chooses zh-CN for every Chinese locale, English for every other, and the configured one where none is known."""
    if locale is None or not locale.strip():
        return settings.default_locale
    return "zh-CN" if locale.strip().lower().replace("_", "-").partition("-")[0] == "zh" else "en"


def read(payload: bytes) -> Facts:
    """Reads the payload of a payer's notice.  Raises BadNotice."""
    try:
        facts = msgspec.json.decode(payload, type=Facts)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadNotice(f"the payload: {error}") from None
    if facts.currency not in EXPONENTS:
        raise BadNotice("the payload: no such currency")
    return facts


def render(topic: Topic, facts: Facts, language: Language, settings: NotifySettings) -> Mail:
    """Writes the mail in one language."""
    letter = LETTERS[topic]
    writer = _Writer(facts, language, settings)
    view = writer.view(topic, letter)
    return Mail(
        language=language,
        subject=writer.say(letter.subject),
        text=_templates.get_template("mail.txt").render(view),
        html=_templates.get_template("mail.html").render(view),
    )


class _Writer:
    """Writes the values of one mail in the payer's language."""

    def __init__(self, facts: Facts, language: Language, settings: NotifySettings) -> None:
        self._facts = facts
        self._language = language
        self._locale = LOCALES[language]
        self._settings = settings
        self._zone = ZoneInfo(settings.time_zone)
        self._values = self._all_values()

    def view(self, topic: Topic, letter: Letter) -> dict[str, Any]:
        """Returns what the templates show: text alone, not yet escaped."""
        status = STATUS_WORDS[self._facts.status]
        own, other = (status.zh, status.en) if self._language == "zh-CN" else (status.en, status.zh)
        return {
            "language": self._language,
            "tone": letter.tone,
            "merchant": self._settings.merchant_name,
            "subject": self.say(letter.subject),
            "headline": self.say(letter.headline),
            "status": own,
            "status_other": other,
            "figure": self._values[letter.figure] if letter.figure else None,
            "body": [self.say(sentence) for sentence in letter.body],
            "warning": self._warning(topic, letter),
            "after": [self.say(sentence) for sentence in letter.after],
            "failure": self._failure() if topic is Topic.FAILED else None,
            "button": self._button(topic, letter),
            "rows": [(self.say(ROW_WORDS[row]), self._values[row]) for row in letter.rows if self._is_told(row)],
            "support": self._support(),
            "frame": {name: self.say(words) for name, words in FRAME_WORDS.items() if name != "ways"},
        }

    def say(self, words: Words, **more: str) -> str:
        """Fills the text in, in the payer's language."""
        text = words.zh if self._language == "zh-CN" else words.en
        return text.format_map({**self._values, **more})

    def _all_values(self) -> dict[str, str]:
        facts = self._facts
        remaining = max(facts.amount - facts.discount - facts.paid, 0) if facts.remaining is None else facts.remaining
        return {
            "order": plain(facts.order_ref) or NOTHING,
            "amount": self._money(facts.amount),
            "paid": self._money(facts.paid),
            "remaining": self._money(remaining),
            "refunding": self._money(facts.refunding),
            "refunded": self._money(facts.refunded),
            "refund_amount": NOTHING if facts.refund_amount is None else self._money(facts.refund_amount),
            "kept": self._money(max(facts.paid - facts.refunded, 0)),
            "due_amount": self._money(remaining if facts.due_amount is None else facts.due_amount),
            "due": self._moment(facts.due_at),
            "expires": self._moment(facts.expires_at),
        }

    def _is_told(self, row: str) -> bool:
        """Returns False for a row without a value."""
        facts = self._facts
        may_lack = {
            "paid": facts.paid,
            "refunding": facts.refunding,
            "refunded": facts.refunded,
            "refund_amount": facts.refund_amount,
            "due": facts.due_at,
            "expires": facts.expires_at,
        }
        return bool(may_lack.get(row, True))

    def _warning(self, topic: Topic, letter: Letter) -> str | None:
        """Returns the letter's own warning, or that of `processing` for a payer whose payment is under way."""
        if topic in ASKS_TO_PAY and self._facts.under_way:
            letter = LETTERS[Topic.PROCESSING]
        return self.say(letter.warning) if letter.warning else None

    def _failure(self) -> dict[str, Any]:
        guidance = guidance_for(self._facts.failure)
        join = self.say(FRAME_WORDS["ways_join"])
        return {
            "reason": self.say(FRAME_WORDS["sentences"]).join(
                (self.say(guidance.reason), self.say(RETRY_WORDS[guidance.retry]))
            ),
            "steps": [self.say(step) for step in guidance.steps],
            "ways": self.say(
                FRAME_WORDS["ways"], ways=join.join(self.say(METHOD_WORDS[method]) for method in guidance.alternatives)
            ),
        }

    def _button(self, topic: Topic, letter: Letter) -> dict[str, str] | None:
        if letter.button is None or topic not in ASKS_TO_PAY or self._facts.status not in PAYABLE:
            return None
        if self._facts.under_way:
            return None
        url = self._facts.pay_url
        if url is None or not is_plain_link(url):
            return None
        words = letter.button
        if topic is Topic.FAILED and guidance_for(self._facts.failure).retry is RetryAdvice.OTHER_WAY:
            words = FRAME_WORDS["other_way_button"]
        return {"words": self.say(words), "url": url}

    def _support(self) -> dict[str, str | None] | None:
        support = self._settings.support
        if support is None:
            return None
        if is_mail_address(support):
            return {"text": support, "url": f"mailto:{support}"}
        return {"text": support, "url": support if is_plain_link(support) else None}

    def _money(self, minor: int) -> str:
        """Formats by Babel, but with ISO 4217's digits: CLDR leaves out those that a country's shops do not use."""
        digits = EXPONENTS[self._facts.currency]
        pattern = copy(self._locale.currency_formats["standard"])
        pattern.frac_prec = (digits, digits)
        amount = Decimal(minor).scaleb(-digits)
        formatted: str = pattern.apply(amount, self._locale, currency=self._facts.currency, currency_digits=False)
        return _LETTER_BEFORE_DIGIT.sub("\\g<0>\N{NO-BREAK SPACE}", formatted)

    def _moment(self, moment: datetime | None) -> str:
        if moment is None:
            return NOTHING
        day = format_date(moment.astimezone(self._zone).date(), format="long", locale=self._locale)
        time = format_time(moment, format="HH:mm", tzinfo=self._zone, locale=self._locale)
        zone = get_timezone_gmt(moment.astimezone(self._zone), width="long", locale=self._locale)
        return f"{day}{'' if self._language == 'zh-CN' else ','} {time} ({zone})"


def plain(text: str) -> str:
    """Makes one short line of a text from outside, without control characters or marks that turn the direction."""
    kept = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text)
    line = " ".join(kept.split())
    return line if len(line) <= REFERENCE_CHARS_MAX else f"{line[: REFERENCE_CHARS_MAX - 1]}…"
