"""An outsider's attacks on a live receiver of every gateway, and a good client beside: every delivery is taken.

How long that takes depends on the machine, and is measured by `python -m bench.abuse`; what is asserted does not.
"""

from collections.abc import AsyncIterator

import pytest

from bench.abuse import MEMORY_WANTED_MIB, Attacked, beside, receiver
from bench.attacks import ATTACKS
from tillkeeper.ingest.connection_limits import CONNECTIONS_MAX
from tillkeeper.sandbox.servers import Postgres

SECONDS = 0.5
OTHER_FILES = 100  # of the receiver, and connections that are just being closed


@pytest.fixture(scope="module")
async def attacked() -> AsyncIterator[Attacked]:
    async with Postgres() as postgres, receiver(postgres) as running:
        yield running


@pytest.mark.long
@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_good_client_is_served_beside_an_attack(attacked, attack):
    met = await beside(attacked, attack, seconds=SECONDS)
    assert set(met.answers) == {200}
    assert met.memory_mib <= MEMORY_WANTED_MIB
    assert met.open_files <= CONNECTIONS_MAX + OTHER_FILES
