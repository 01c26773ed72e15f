"""A short run of `make fuzz`, and that it would notice."""

import re
import subprocess
import sys
from copy import copy
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from fuzzing import FAILURES_MAX, Fuzz, Target

from tillkeeper import clock
from tillkeeper.gateways.messages import Answer, Call, Verified
from tillkeeper.gateways.registry import GATEWAYS

pytestmark = pytest.mark.slow
EACH = 60  # of the inputs that each gateway gets; `make fuzz` gives them a million
PROGRAM = Path(__file__).with_name("fuzz.py")


def fuzzed(*arguments):
    program = [sys.executable, PROGRAM, *arguments]
    return subprocess.run(program, check=False, capture_output=True, text=True)


@pytest.mark.long
def test_nothing_is_taken_for_something_else():
    count = EACH * len(GATEWAYS)
    ended = fuzzed("--count", str(count), "--seed", "1")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.startswith("seed 1, now ")
    assert f"{count:,} inputs, 0 taken wrongly" in ended.stdout
    for name in GATEWAYS:
        assert re.search(rf"^{name} +{EACH} ", ended.stdout, re.MULTILINE)


@pytest.mark.long
def test_the_same_seed_is_the_same_run():
    told = ("--count", "60", "--now", "1798000000", "--gateways", "stripe,wechatpay")
    one, same, other = (fuzzed(*told, "--seed", seed).stdout.rpartition("digest ")[2] for seed in ("7", "7", "8"))
    assert one
    assert one == same != other


class Gullible(GATEWAYS["stripe"]):
    """Believes everything."""

    def verify(self, request, now):
        return Verified(key="any", content=request.body)


class Fragile(GATEWAYS["stripe"]):
    """Crashes at what it does not know."""

    def verify(self, request, now):
        verified = super().verify(request, now)
        return Verified(key=verified.key, content={}["nothing"])

    def claimed_references(self, request):
        raise KeyError("nothing")


@pytest.mark.parametrize(("careless", "said"), [(Gullible, "it was accepted as"), (Fragile, "KeyError")])
def test_a_careless_gateway_is_noticed_and_what_it_took_is_kept(tmp_path, capsys, careless, said):
    target = Target("stripe", clock.now().replace(microsecond=0), tmp_path)
    settings = type(target.played.gateway).settings.model_validate(
        {"gateway": "stripe", "webhook_secrets": ["whsec_5f0c7a1e9b2d4c63"]}
    )
    target.played.gateway = careless(target.account, settings)
    fuzz = Fuzz(1, target.now, tmp_path)
    fuzz.run(target, 3_000)
    assert fuzz.failures == FAILURES_MAX
    kept = list(tmp_path.glob("stripe.*.json"))
    assert len(kept) == FAILURES_MAX
    out = capsys.readouterr().out
    assert said in out
    assert f"tillkeeper inspect --config {tmp_path}/stripe.toml {tmp_path}/stripe." in out


@pytest.fixture(scope="module")
def signing(tmp_path_factory):
    """A gateway whose API signs what it answers."""
    return Target("alipay", clock.now().replace(microsecond=0), tmp_path_factory.mktemp("signing"))


def crashing(_answer):
    raise KeyError("nothing")


def with_money(amount):
    return lambda answer: Answer(
        found=True, events=tuple(msgspec.structs.replace(each, amount=amount) for each in answer.events)
    )


def leading_elsewhere(answer):
    then = Call(method="POST", url="https://elsewhere.example/", headers={})
    return msgspec.structs.replace(answer, then=(then,))


@pytest.mark.parametrize(
    ("careless", "said"),
    [
        (crashing, "KeyError"),
        (with_money(-1), "it was heard as"),
        (with_money(7), "nobody signed what was heard"),
        (leading_elsewhere, "it leads elsewhere"),
    ],
)
def test_a_gateway_that_hears_carelessly_is_noticed(signing, tmp_path, capsys, careless, said):
    one = next(exchange for exchange in signing.exchanges if exchange.meant)
    genuine = one.read_response(one.response)
    bad = replace(one, read_response=lambda response: genuine if response is one.response else careless(genuine))
    target = copy(signing)
    target.exchanges = [bad]
    fuzz = Fuzz(1, target.now, tmp_path)
    fuzz.run(target, 500)
    assert fuzz.failures == FAILURES_MAX
    out = capsys.readouterr().out
    assert said in out
    assert f"the answer is in {tmp_path}/alipay." in out
