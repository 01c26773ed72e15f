"""Builds the APIs of all simulated accounts that can be queried."""

from collections.abc import Callable, Mapping
from datetime import datetime

from tillkeeper.sandbox.apis.faults import Faults
from tillkeeper.sandbox.apis.query_log import QueryLog
from tillkeeper.sandbox.apis.server import SLOW_S, ApiHandler
from tillkeeper.sandbox.ledger.ledger import Ledger
from tillkeeper.sandbox.signer import Signer
from tillkeeper.sandbox.simulators.registry import simulator_of


def api_handlers(
    signers: Mapping[str, Signer],
    ledger: Ledger,
    *,
    now: Callable[[], datetime],
    log: QueryLog,
    faults: Faults | None = None,
    slow_s: float = SLOW_S,
) -> dict[str, ApiHandler]:
    """One for each account whose gateway can be asked, all with the same books, clock and log."""
    faults = faults or Faults()
    return {
        account: ApiHandler(account, api(signer, ledger), now=now, log=log, faults=faults, slow_s=slow_s)
        for account, signer in signers.items()
        if (api := simulator_of(signer.gateway).api) is not None
    }
