"""`tillkeeper sandbox --capture`: deliveries of every gateway as files for `tillkeeper inspect`, and who received them.

DIR/tillkeeper.toml                 an account at each gateway; its secrets in files beside it
DIR/stripe.genuine.refund.failed.json · DIR/stripe.forged.wrong_key.json · ...
"""

import json
import os
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

from tillkeeper import clock
from tillkeeper.sandbox.accounts import AlreadyThere, impostors_of, new_signers, secret_files, write_accounts
from tillkeeper.sandbox.forgery import Forger
from tillkeeper.sandbox.formats import Signed
from tillkeeper.sandbox.ledger.payments import RefundState
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.registry import DEFAULT_GATEWAYS, NoSuchGateway, parse_gateways, simulator_of
from tillkeeper.sandbox.story import Story, StoryEvent
from tillkeeper.sandbox.story_generator import generate_story
from tillkeeper.sandbox.traffic.command import HOLDS, WRONG, fail

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


def main(*, directory: Path, gateways: str | None, seed: int, force: bool, as_json: bool) -> int:
    """Writes them; returns the exit code."""
    now = clock.now().replace(microsecond=0)
    try:
        names = DEFAULT_GATEWAYS if gateways is None else parse_gateways(gateways)
        files = write(directory.absolute(), names, seed=seed, now=now, force=force)
    except AlreadyThere as error:
        return fail(f"{error} is there already; name another directory, or --force to write over it", code=WRONG)
    except NoSuchGateway as error:
        return fail(str(error), code=WRONG)
    except OSError as error:
        return fail(f"{directory} cannot be written to: {error.strerror}", code=WRONG)
    config = directory / "tillkeeper.toml"
    if as_json:
        sys.stdout.write(json.dumps({"config": str(config), "files": [str(file) for file in files]}) + "\n")
    else:
        sys.stdout.write(f"{len(files)} deliveries; tillkeeper inspect --config {config} {directory}/*.json\n")
    return HOLDS


def write(directory: Path, gateways: Sequence[str], *, seed: int, now: datetime, force: bool = False) -> list[Path]:
    """Deliveries of these gateways at `now`, some of them forged, and the accounts' configuration.

    Raises AlreadyThere, unless forced, before it writes anything; or OSError.
    """
    signers = new_signers(gateways)
    config = directory / "tillkeeper.toml"
    captures = {directory / f"{each.name}.json": each for each in _captures(signers, seed=seed, now=now)}
    secrets = secret_files(config, signers)
    if there := [path for path in (config, *secrets, *captures) if os.path.lexists(path) and not force]:
        raise AlreadyThere(there[0])
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_accounts(config, signers)
    for path, capture in captures.items():
        path.write_bytes(capture.written(now))
    return list(captures)


def _captures(signers: Mapping[str, Signer], *, seed: int, now: datetime) -> Iterator[Capture]:
    forger = Forger(signers, impostors_of(signers))
    for signer in signers.values():
        told = list(_by_word(signer, seed=seed, now=now))
        yield from _genuine(signer, told, now)
        yield from _forged(signer, told[0][0], forger, Random(seed), now)  # noqa: S311 - to be repeatable


def _by_word(signer: Signer, *, seed: int, now: datetime) -> Iterator[tuple[Story, StoryEvent]]:
    """Yields each word once, in a story in which it is said: first the one that pays, then those of refunds."""
    simulator = simulator_of(signer.gateway)
    accounts, event_types = {signer.account: signer.gateway}, dict[str, tuple[Story, StoryEvent]]()
    for index, template in enumerate(each for each in simulator.templates if not each.at_other_account):
        templates = {signer.gateway: (template,)}
        story = generate_story(seed, index, run="C", now=now, accounts=accounts, templates=templates)
        for event in story.events:
            event_types.setdefault(event.event_type, (story, event))
    yield event_types.pop(signer.pays)
    yield from sorted(
        event_types.values(), key=lambda told: not isinstance(simulator.event_types[told[1].event_type], RefundState)
    )


def _genuine(signer: Signer, told: Sequence[tuple[Story, StoryEvent]], now: datetime) -> Iterator[Capture]:
    for story, event in told[:GENUINE_MAX]:
        yield Capture(
            name=f"{signer.gateway}.genuine.{_ODD.sub('-', event.event_type)}",
            account=signer.account,
            signed=signer.sign(story, event, now=now, again=0),
            query=simulator_of(signer.gateway).query_of(story, event),
        )


def _forged(signer: Signer, story: Story, forger: Forger, chance: Random, now: datetime) -> Iterator[Capture]:
    for trick in forger.tricks(signer.account):
        forgery = forger.forge_by(trick, story, chance=chance, now=now)
        name = f"{signer.gateway}.{trick}" if trick == "invented" else f"{signer.gateway}.forged.{trick}"
        yield Capture(name=name, account=forgery.account, signed=forgery.signed, query=forgery.query)
