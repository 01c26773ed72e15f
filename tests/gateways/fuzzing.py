"""One gateway's share of a fuzz run: which inputs, and what may become of them."""

import importlib
import json
import traceback
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from types import SimpleNamespace
from zlib import crc32

from fuzzing_answers import NOT_HEARD, SEALED_SHARE, Exchange, exchanges_of, problem_with_answer, sealed, spoilt
from meaning import NARROW, is_narrow_question, is_refused, money_of, outcome
from mutations import MUTATIONS, OTHER_TIMES, PLAIN_MUTATIONS
from specimen import NOW, rsa_keys

from tillkeeper import clock
from tillkeeper.domain.events import PaymentEvent, problem_with
from tillkeeper.domain.money import AMOUNT_MINOR_MAX
from tillkeeper.gateways.errors import Refused
from tillkeeper.gateways.messages import Query, Request, Response
from tillkeeper.gateways.registry import GATEWAYS, build
from tillkeeper.sandbox.accounts import new_signers, write_accounts
from tillkeeper.sandbox.simulators.registry import simulator_of
from tillkeeper.sandbox.story import Story
from tillkeeper.sandbox.story_generator import generate_story

ANSWER_SHARE = 0.2  # answers of its API instead of deliveries
AUTHENTIC_SHARE = 0.1  # sealed anew after being spoilt: a signature by RSA takes a millisecond
TWICE_SHARE = 0.1
STORIES = 2  # of each template
FAILURES_MAX = 5  # of one gateway: then it is known that something is wrong


class Wrong(AssertionError):
    """An input that was taken for something else."""


class Target:
    """One gateway as it is played; its specimen says what its signature covers, and seals."""

    def __init__(self, name: str, now: datetime, directory: Path) -> None:
        self.name, self.now, self.simulator = name, now, simulator_of(name)
        self.specimen = importlib.import_module(f"specimen_{name}").specimen(rsa_keys())
        signers = new_signers([name])
        ((self.account, self.signer),) = signers.items()
        self.config = directory / f"{name}.toml"
        write_accounts(self.config, signers)
        settings = GATEWAYS[name].settings.model_validate({"gateway": name, **self.simulator.settings(self.signer)})
        # An account may be played without the signature that its specimen has, where that is the merchant's choice.
        covers = "nothing" if self.simulator.impostor is None else self.specimen.covers
        self.played = SimpleNamespace(gateway=build(self.account, settings), covers=covers)
        self.valid: list[tuple[Request, tuple]] = []
        self.exchanges: list[Exchange] = []
        self.signs_answers = any(each.foreign is not None for each in self.specimen.asked.values())
        for story in self._stories():
            told = [(request, self._meaning(request)) for request in self._deliveries(story)]
            brought = [each for _, meant in told for each in meant]
            self.valid += told
            self.exchanges += exchanges_of(self.simulator, self.signer, settings, story, brought)
        if self.played.gateway.queryable and not any(exchange.meant for exchange in self.exchanges):
            raise Wrong(f"no genuine answer of {name} tells anything")

    def _stories(self) -> Iterator[Story]:
        for template in self.simulator.templates:
            for index in range(0 if template.at_other_account else STORIES):
                told, accounts = {self.name: (template,)}, {self.account: self.name}
                yield generate_story(index, index, run="F", now=self.now, accounts=accounts, templates=told)

    def _deliveries(self, story: Story) -> Iterator[Request]:
        for again, event in enumerate(story.events):
            headers, body = self.signer.sign(story, event, now=self.now, again=again % 2)
            headers = {name.lower(): [value] for name, value in headers.items()}
            yield Request(headers, body, simulator_of(self.signer.gateway).query_of(story, event))

    def _meaning(self, request: Request) -> tuple:
        got = outcome(self.played, request, self.now)
        if isinstance(got, Refused):
            raise Wrong(f"a genuine delivery of {self.name} is refused: {got.reason}")
        return got

    def take(self, request: Request, now: datetime, originals: Sequence[tuple]) -> bool:
        """True if it is accepted as what a genuine delivery means.  Raises Wrong, and whatever the gateway raises."""
        got = outcome(self.played, request, now)
        check_named(self.played.gateway, request)
        if isinstance(got, Refused):
            return False
        is_known = got in originals or self._is_said_beside(got, originals)
        is_harmless = is_refused(self.played, got) or (self.specimen.hints and all(map(is_narrow_question, got)))
        if not (is_known or is_harmless):
            raise Wrong(f"it was accepted as {got!r}")
        return True

    def _is_said_beside(self, got: tuple, originals: Sequence[tuple]) -> bool:
        """A reason or a time may be unsigned; of money nothing may be said that was not said before."""
        return self.played.covers == "fields" and all(
            each in [known for meant in originals for known in money_of(meant)] for each in money_of(got)
        )

    def take_authentic(self, request: Request) -> bool:
        """Whoever holds the keys may say anything, but it must be fit to be an event.  Raises as `take`."""
        gateway = self.specimen.gateway
        got = outcome(self.specimen, request, NOW)
        check_named(gateway, request)
        if isinstance(got, Refused):
            return False
        for each in got:
            if isinstance(each, Query):
                fit = is_narrow_question(each)
            else:
                amounts = [amount for amount in (each.amount, each.total) if amount is not None]
                fit = each.account == gateway.account and problem_with(each) is None
                fit = fit and all(0 <= amount <= AMOUNT_MINOR_MAX for amount in amounts)
            if not fit:
                raise Wrong(f"it was accepted as {each!r}")
        return True


def take_answer(exchange: Exchange, account: str, known: Sequence[PaymentEvent] | None) -> bool:
    """The same of what an API answers; `known` is what genuine answers say, where a signature keeps it to that."""
    try:
        got = exchange.read_response(exchange.response)
    except NOT_HEARD:
        return False
    if problem := problem_with_answer(got, exchange.call, account, known):
        raise Wrong(problem)
    return True


def check_named(gateway, request: Request) -> None:
    """What an unproven delivery names is narrow, whatever it is."""
    named = gateway.claimed_references(request)
    refs = [] if named is None else [named.order_ref, named.payment_ref]
    if not all(ref is None or NARROW.fullmatch(ref) for ref in refs):
        raise Wrong(f"it names {named!r}")


@dataclass
class Tally:
    """What became of one gateway's inputs."""

    inputs: int = 0
    accepted: int = 0
    per_s: float = 0.0


class Fuzz:
    """One run over some gateways."""

    def __init__(self, seed: int, now: datetime, directory: Path) -> None:
        self.seed = seed
        self.now = now
        self.directory = directory
        self.digest = 0  # of all inputs: the same if they were the same
        self.failures = 0

    def run(self, target: Target, count: int) -> Tally:
        """So many inputs for one gateway, or fewer if too many fail."""
        tally, started_s, failures_max = Tally(), clock.monotonic_s(), self.failures + FAILURES_MAX
        for number in range(count):
            chance = Random(f"{self.seed}:{target.name}:{number}")
            if chance.random() < ANSWER_SHARE and target.exchanges:
                take = self._answered
            else:
                is_authentic = chance.random() < AUTHENTIC_SHARE and bool(target.specimen.layers)
                take = self._sealed if is_authentic else self._spoilt
            tally.accepted += take(target, number, chance)
            tally.inputs += 1
            if self.failures >= failures_max:
                break
        tally.per_s = tally.inputs / max(clock.monotonic_s() - started_s, 1e-9)
        return tally

    def _spoilt(self, target: Target, number: int, chance: Random) -> bool:
        kind, now = chance.choice(list(MUTATIONS)), self.now + chance.choice(OTHER_TIMES)
        (one, meant), (other, also) = chance.choice(target.valid), chance.choice(target.valid)
        request = MUTATIONS[kind](chance, one, other)
        if chance.random() < TWICE_SHARE:
            request = MUTATIONS[chance.choice(list(MUTATIONS))](chance, request, other)
        self._count(request)
        try:
            return target.take(request, now, (meant, also))
        except Exception:  # noqa: BLE001 - whatever it is, it is what we look for
            return self._fail(target, f"{number}, {kind}", request, now)

    def _sealed(self, target: Target, number: int, chance: Random) -> bool:
        kind, layer = chance.choice(list(PLAIN_MUTATIONS)), chance.choice(list(target.specimen.layers.values()))
        request = layer.seal(PLAIN_MUTATIONS[kind](chance, layer.plain))
        self._count(request)
        try:
            return target.take_authentic(request)
        except Exception:  # noqa: BLE001 - likewise
            return self._fail(target, f"{number}, {kind} (of the specimen's account)", request, NOW)

    def _answered(self, target: Target, number: int, chance: Random) -> bool:
        one, other = chance.choice(target.exchanges), chance.choice(target.exchanges)
        account, known = target.account, None
        if target.signs_answers and chance.random() < SEALED_SHARE:
            (kind, exchange), account = sealed(chance, target.specimen), target.specimen.gateway.account
        else:
            kind, exchange = spoilt(chance, one, other)
            known = (*one.meant, *other.meant) if target.signs_answers else None
        self._count(exchange.response)
        try:
            return take_answer(exchange, account, known)
        except Exception:  # noqa: BLE001 - likewise
            return self._fail_answer(target, f"{number}, {kind} (an answer)", exchange)

    def _count(self, told: Request | Response) -> None:
        self.digest = crc32(repr(told).encode("utf-8", "surrogateescape"), self.digest)

    def _fail_answer(self, target: Target, what: str, exchange: Exchange) -> bool:
        call, response = exchange.call, exchange.response
        told = {"call": f"{call.method} {call.url}", "status": response.status, "headers": dict(response.headers)}
        path = self._keep(target, what, told | {"body_b64": b64encode(response.body).decode()})
        print(f"  the answer is in {path}\n", flush=True)
        return False

    def _fail(self, target: Target, what: str, request: Request, now: datetime) -> bool:
        url = f"/webhooks/{target.account}?{request.query}" if request.query else f"/webhooks/{target.account}"
        told = {"method": "POST", "url": url, "account": target.account, "now": now.timestamp()}
        told |= {"headers": dict(request.headers), "body_b64": b64encode(request.body).decode()}
        path = self._keep(target, what, told)
        print(f"  tillkeeper inspect --config {target.config} {path}\n", flush=True)
        return False

    def _keep(self, target: Target, what: str, told: Mapping[str, object]) -> Path:
        self.failures += 1
        path = self.directory / f"{target.name}.{self.failures}.json"
        path.write_text(json.dumps(told, indent=1))
        print(f"\n{target.name}, input {what}, seed {self.seed}:\n{traceback.format_exc()}", flush=True)
        return path
