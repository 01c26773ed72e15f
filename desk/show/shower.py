"""Writes everything that pages show, for one reader: in their language and zone, as of one moment.

What it returns is safe to stand in a page: text of outsiders is escaped, made visible, cut and kept apart.
"""

import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from markupsafe import Markup

from tillkeeper.desk.person import Locale
from tillkeeper.desk.show import money, numbers, texts, times
from tillkeeper.desk.show.log_texts import WORDS_OF, log_text_in, word_key
from tillkeeper.desk.words import catalogue, say
from tillkeeper.domain.masking import without_any_contacts
from tillkeeper.domain.order.acts import hold_in
from tillkeeper.domain.order.case_texts import NOW, state_in, subject_in
from tillkeeper.domain.statuses import Status


class Shower(msgspec.Struct, frozen=True, kw_only=True):
    """The reader's language and zone, and the moment that the page is of."""

    locale: Locale
    zone: ZoneInfo
    now: datetime
    masks_contacts: bool = False  # for who may not see a payer's: people write them into notes and reasons

    def say(self, key: str, **filled_in: Any) -> Markup:
        """Writes words of the catalogue."""
        return say(key, self.locale, **filled_in)

    def word(self, subject: str, key: str) -> Markup:
        """Writes the word for a key of the domain; the key itself, marked as such, where there is no word yet."""
        name = f"{subject}.{key}"
        return self.say(name) if name in catalogue() else Markup('<code class="plain">{}</code>').format(self.cut(key))

    def answered(self, result: str) -> Markup:
        """Writes what came of asking a gateway: kinds of events or a phrase in words, anything else as it is."""
        return Markup(", ").join(self._answer(part) for part in result.split(", "))

    def _answer(self, part: str) -> Markup:
        phrase, colon, rest = part.partition(": ")
        key = phrase.replace(".", "_").replace(" ", "_")
        if f"kind.{key}" in catalogue():
            return self.word("kind", key)
        if f"answer.{key}" not in catalogue():
            return self.text(part)
        word = self.word("answer", key)
        return Markup("{}: {}").format(word, self._answer(rest)) if colon else word

    def status(self, status: str) -> Markup:
        """Writes a status: the word, with a shape and a colour for what it means; one of a later version as it is."""
        kind = status if status in set(Status) else ""
        return Markup('<span class="status {0}"><i aria-hidden="true"></i>{1}</span>').format(
            kind, self.word("status", status)
        )

    def money(self, amount: int | None, currency: str | None) -> Markup:
        """Writes an amount with its currency small; nothing for no amount."""
        if amount is None:
            return Markup("")
        figure, code = money.written(amount, currency)
        return Markup('<span class="money">{}<small>{}</small></span>').format(figure, texts.visible(code))

    def number(self, number: int) -> str:
        """Writes a whole number."""
        return numbers.whole(number)

    def up_to(self, number: int, limit: int) -> str:
        """Writes a count that ended at its limit."""
        return numbers.up_to(number, limit)

    def ago(self, at: datetime | None) -> Markup:
        """Writes a time by its distance from now, and exactly for who points at it."""
        if at is None:
            return Markup("")
        return self._time(at, times.relative(at, self.now, self.locale))

    def at(self, at: datetime) -> Markup:
        """Writes a time of day, and exactly for who points at it."""
        return self._time(at, times.of_day(at, self.now, self.zone))

    def clock(self, at: datetime) -> Markup:
        """Writes a time to the second, and exactly for who points at it: for times that stand close to one another."""
        return self._time(at, times.of_day(at, self.now, self.zone, seconds=True))

    def exactly(self, at: datetime) -> Markup:
        """Writes a time to the second with its zone."""
        return self._time(at, times.exact(at, self.zone))

    def lasting(self, span: timedelta) -> str:
        """Writes a span."""
        return times.lasting(span, self.locale)

    def since(self, at: datetime) -> Markup:
        """Writes how long it is since then."""
        return self._time(at, self.lasting(self.now - at))

    def text(self, text: str | None) -> Markup:
        """Writes a text of somebody else's."""
        return Markup("") if text is None else Markup("<bdi>{}</bdi>").format(self.cut(text))

    def own(self, text: str | None) -> Markup:
        """Writes a text that Tillkeeper made itself in the reader's language and zone, and a person's as it is."""
        hold = hold_in(text or "")
        if hold is not None:
            until, note = hold
            return self.say("own.until", at=self.at(until), note=self.text(note))
        found = self._own_words(text or "")
        return self.text(text) if found is None else found

    def _own_words(self, text: str) -> Markup | None:
        """Returns the words for a text of Tillkeeper's own; None where there are none."""
        key = f"own.{re.sub('[^a-z]+', '_', text)}"
        if key in catalogue():
            return self.say(key)
        found = None if self.locale == "en" else log_text_in(text)
        if found is None:
            return None
        return self.say(f"log.{found.key}", **{name: self._named(name, each) for name, each in found.named.items()})

    def log(self, text: str | None, chars: int = texts.TEXT_CHARS) -> Markup:
        """Writes a text that Tillkeeper or a library wrote into a row in English: in the reader's language where there
        are words for it, else as it is, marked as English; no more than so many characters."""
        found = self._own_words(text or "")
        if found is not None:
            return found
        shown = text if text is None or len(text) <= chars else f"{text[:chars]}…"
        return self._in_english(shown) if self.locale != "en" and shown else self.text(shown)

    def _named(self, name: str, text: str) -> Markup:
        if name in WORDS_OF:
            return self.word(WORDS_OF[name], word_key(text))
        return self._in_english(text) if name == "more" and text else self.text(text)

    def _in_english(self, text: str) -> Markup:
        return Markup('<span lang="en">{}</span>').format(self.text(text))

    def who(self, name: str) -> Markup:
        """Writes the name of a person, which at a terminal may be any text."""
        return Markup("<bdi>{}</bdi>").format(texts.cut(name, texts.NAME_CHARS))

    def cut(self, text: str) -> str:
        """Returns a text of somebody else's, made visible and cut; without contacts for who may not see any."""
        return texts.cut(without_any_contacts(text) if self.masks_contacts else text)

    def ref(self, reference: str | None) -> Markup:
        """Writes a reference, cut in the middle; a click copies all of it."""
        if reference is None:
            return Markup("")
        return Markup('<bdi class="ref" data-copy="{0}" title="{0}">{1}</bdi>').format(
            texts.visible(reference), texts.cut_in_the_middle(reference)
        )

    def subject(self, text: str) -> Markup:
        """Writes what a case is about, in words, with the reference."""
        found = subject_in(text)
        if found is None:
            return self.ref(text)
        account = Markup("") if found.account is None else Markup(" <small>{}</small>").format(self.cut(found.account))
        return Markup("{} {}{}").format(self.say(f"subject.{found.word}"), self.ref(found.ref), account)

    def state(self, text: str) -> Markup:
        """Writes the state that a case's reason is in, with its amounts in major units."""
        found = state_in(text.removeprefix(NOW))
        if found is None or f"object.{found.word}" not in catalogue():
            return self.text(text)
        sums = [Markup(" {}").format(self.money(minor, currency)) for minor, currency in found.sums]
        return Markup("").join([self.say(f"object.{found.word}"), *sums])

    def short(self, reference: str) -> str:
        """Returns a reference, cut in the middle, for who isolates it."""
        return texts.cut_in_the_middle(reference)

    def whole_ref(self, reference: str) -> Markup:
        """Writes a reference in full, for a page's title."""
        return Markup('<bdi class="ref whole" data-copy="{0}">{0}</bdi>').format(texts.visible(reference))

    def lines(self, text: str) -> str:
        """Returns a text of several lines, made visible."""
        return "\n".join(texts.visible(line) for line in text.splitlines())

    def _time(self, at: datetime, words: str) -> Markup:
        return Markup('<time datetime="{}" title="{}">{}</time>').format(
            times.machine(at), times.exact(at, self.zone), words
        )
