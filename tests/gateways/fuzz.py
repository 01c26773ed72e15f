"""`make fuzz`: a million spoilt deliveries and answers of APIs; none may crash a gateway, or be taken for another.

    the plays' genuine deliveries ──> mutations ──> verify, parse, queries_for ──> refused, or the same in meaning
    the specimens' plain bytes ──> mutations ──> sealed as the gateway seals ──> refused, or fit to be an event
    the plays' genuine answers ──> mutations ──> read_response, read_events, read_token ──> refused, or fit, and where
                                                       answers are signed, what was signed
    the specimens' plain answers ──> mutations ──> sealed as the API seals ──> hear ──> not heard, or fit

    make fuzz ARGS="--count 1000000 --seed 1 --gateways adyen,paypal"

The same seed and time are the same inputs, and the same digest in the last line.  What fails is written to a directory
with the account that received it, as `tillkeeper inspect` reads it, and the exit code is 1.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom
from tempfile import mkdtemp

from seeded import seed_all

from tillkeeper import clock

COUNT = 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=COUNT, help="inputs over all gateways")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**9))
    parser.add_argument("--now", type=int, default=int(clock.now().timestamp()), help="when, in unix seconds")
    parser.add_argument("--gateways", default="all", help="names with commas between, or all")
    told = parser.parse_args()
    print(f"seed {told.seed}, now {told.now}", flush=True)
    seed_all(told.seed)  # before anything that makes keys is imported
    return fuzz(told.count, told.seed, datetime.fromtimestamp(told.now, UTC), told.gateways)


def fuzz(count: int, seed: int, now: datetime, gateways: str) -> int:
    from fuzzing import Fuzz, Target

    from tillkeeper.sandbox.simulators.registry import parse_gateways

    directory = Path(mkdtemp(prefix="tillkeeper-fuzz-"))
    run, names, inputs = Fuzz(seed, now, directory), parse_gateways(gateways), 0
    print(f"{'gateway':<16}{'inputs':>12}{'accepted':>12}{'a second':>12}", flush=True)
    for at, name in enumerate(names):
        share = count * (at + 1) // len(names) - count * at // len(names)
        tally = run.run(Target(name, now, directory), share)
        inputs += tally.inputs
        print(f"{name:<16}{tally.inputs:>12,}{tally.accepted:>12,}{tally.per_s:>12,.0f}", flush=True)
    print(f"{inputs:,} inputs, {run.failures} taken wrongly; digest {run.digest:08x}", flush=True)
    if not run.failures:
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
    return 1 if run.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
