"""`tillkeeper sandbox --capture`: deliveries of every gateway as files for `tillkeeper inspect`, and who received them.

DIR/tillkeeper.toml                 an account at each gateway; its secrets in files beside it
DIR/stripe.genuine.refund.failed.json · DIR/stripe.forged.wrong_key.json · ...
"""

import json
import re
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Final

import msgspec
import orjson

from sandbox.accounts import impostors_of, new_voices, write_accounts
from sandbox.command import HOLDS, WRONG, fail
from sandbox.forgery import Forger
from sandbox.plays import USUAL, NoSuchGateway, find, named
from sandbox.signing import Signed
from sandbox.story import Happening, Story, tell
from sandbox.truth.books import RefundState
from sandbox.voices import Voice
from tillkeeper import clock

GENUINE_MAX: Final = 8  # of one gateway, each by another word: enough to see how it speaks
_ODD: Final = re.compile(r"[^A-Za-z0-9_.-]+")


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came in at an account; `name` says what it is."""

    name: str
    account: str
    signed: Signed
    query: str

    def written(self, now: datetime) -> bytes:
        """REQUEST.json as `tillkeeper inspect` reads it."""
        headers, body = self.signed
        url = f"https://pay.shop.example/webhooks/{self.account}"
        return orjson.dumps(
            {
                "method": "POST",
                "url": f"{url}?{self.query}" if self.query else url,
                "headers": headers,
                **_body(body),
                "account": self.account,
                "now": int(now.timestamp()),
            },
            option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
        )


def _body(body: bytes) -> dict[str, str]:
    """As text if it is one that JSON can carry."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"body_b64": b64encode(body).decode()}
    return {"body_b64": b64encode(body).decode()} if "\0" in text else {"body": text}


class AlreadyThere(Exception):
    """A file that would be written is there; its path is the text."""


def main(*, directory: Path, gateways: str | None, seed: int, force: bool, as_json: bool) -> int:
    """Writes them; returns the exit code."""
    now = clock.now().replace(microsecond=0)
    try:
        names = USUAL if gateways is None else named(gateways)
        files = write(directory.absolute(), names, seed=seed, now=now, force=force)
    except AlreadyThere as error:
        return fail(f"{error} is there already; name another directory, or --force to write over it", code=WRONG)
    except NoSuchGateway as error:
        return fail(str(error), code=WRONG)
    except OSError as error:
        return fail(f"{directory} cannot be written to: {error.strerror}", code=WRONG)
    config = directory / "tillkeeper.toml"
    if as_json:
        sys.stdout.write(json.dumps({"config": str(config), "files": [str(it) for it in files]}) + "\n")
    else:
        sys.stdout.write(f"{len(files)} deliveries; tillkeeper inspect --config {config} {directory}/*.json\n")
    return HOLDS


def write(directory: Path, gateways: Sequence[str], *, seed: int, now: datetime, force: bool = False) -> list[Path]:
    """Deliveries of these gateways at `now`, some of them forged, and the accounts' configuration.

    Raises AlreadyThere, unless forced, before it writes anything; or OSError.
    """
    voices = new_voices(gateways)
    config = directory / "tillkeeper.toml"
    captures = {directory / f"{it.name}.json": it for it in _captures(voices, seed=seed, now=now)}
    if there := [path for path in (config, *captures) if path.exists() and not force]:
        raise AlreadyThere(there[0])
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_accounts(config, voices)
    for path, capture in captures.items():
        path.write_bytes(capture.written(now))
    return list(captures)


def _captures(voices: Mapping[str, Voice], *, seed: int, now: datetime) -> Iterator[Capture]:
    forger = Forger(voices, impostors_of(voices))
    for voice in voices.values():
        told = list(_by_word(voice, seed=seed, now=now))
        yield from _genuine(voice, told, now)
        yield from _forged(voice, told[0][0], forger, Random(seed), now)  # noqa: S311 - to be repeatable


def _by_word(voice: Voice, *, seed: int, now: datetime) -> Iterator[tuple[Story, Happening]]:
    """Each word once, in a story in which it is said: first the one that pays, then those of refunds."""
    play = find(voice.gateway)
    accounts, words = {voice.account: voice.gateway}, dict[str, tuple[Story, Happening]]()
    for index, template in enumerate(it for it in play.templates if not it.at_other_account):
        templates = {voice.gateway: (template,)}
        story = tell(seed, index, run="C", now=now, accounts=accounts, templates=templates)
        for happening in story.happenings:
            words.setdefault(happening.word, (story, happening))
    yield words.pop(voice.pays)
    yield from sorted(words.values(), key=lambda it: not isinstance(play.words[it[1].word], RefundState))


def _genuine(voice: Voice, told: Sequence[tuple[Story, Happening]], now: datetime) -> Iterator[Capture]:
    for story, happening in told[:GENUINE_MAX]:
        yield Capture(
            name=f"{voice.gateway}.genuine.{_ODD.sub('-', happening.word)}",
            account=voice.account,
            signed=voice.say(story, happening, now=now, again=0),
            query=voice.query(story, happening),
        )


def _forged(voice: Voice, story: Story, forger: Forger, chance: Random, now: datetime) -> Iterator[Capture]:
    for trick in forger.tricks(voice.account):
        forgery = forger.forge_by(trick, story, chance=chance, now=now)
        name = f"{voice.gateway}.{trick}" if trick == "invented" else f"{voice.gateway}.forged.{trick}"
        yield Capture(name=name, account=forgery.account, signed=forgery.signed, query=forgery.query)
