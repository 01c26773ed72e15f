"""Keeps the accounts of a running process up to date: changed keys and new accounts take effect without a restart.

files (configuration, and each secret's) ─> checked every few seconds ─> a valid change takes effect at once, whole;
an invalid one is refused with a line in the log, and the accounts stay as they were
"""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import structlog

from tillkeeper.diagnostics.refusals import RefusedRequest, diagnose
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import Refused
from tillkeeper.gateways.messages import Request
from tillkeeper.gateways.registry import AccountSettings, build
from tillkeeper.policy.file import Signature, signature_of
from tillkeeper.settings import Accounts as AccountsOfSettings
from tillkeeper.settings import BadSettings, Settings, doubts_of, load_accounts, secret_files
from tillkeeper.telemetry import ACCOUNTS_REFUSED, KEYS_VALID_UNTIL

log = structlog.get_logger()

LOOK_EVERY_S: Final = 5.0
FORMER_MAX: Final = 3  # earlier settings of an account that the diagnosis tries


class KnownAccounts:
    """Holds the gateways of accounts that never change, and collects what a diagnosis needs to know of them."""

    def __init__(self, settings: AccountsOfSettings) -> None:
        self._settings: dict[str, AccountSettings] = dict(settings)
        self.gateways: dict[str, Gateway] = {name: build(name, account) for name, account in settings.items()}
        self._former: dict[str, tuple[Gateway, ...]] = {}

    def max_body_bytes(self, account: str) -> int | None:
        """Returns the account's own limit, if it has one."""
        settings = self._settings.get(account)
        return None if settings is None else settings.max_body_bytes

    def settings_of(self, account: str) -> AccountSettings:
        """Returns the settings of an account that exists."""
        return self._settings[account]

    def on_change(self, call: Callable[[], None]) -> None:
        """Does nothing, for these accounts never change."""

    async def look_once(self) -> int:
        """Does nothing, as one pass of a loop."""
        return 0

    def refused_request(
        self, gateway: Gateway, request: Request, now: datetime, refused: Refused, *, url: str
    ) -> RefusedRequest:
        """Collects what the diagnosis needs.  `url` is where the request was posted to, as far as it shows."""
        settings, own = self._settings.get(gateway.account), gateway.own_url

        def with_url(written: str) -> Gateway:
            assert settings is not None
            assert own is not None
            return build(gateway.account, settings.model_copy(update={own: written}))

        return RefusedRequest(
            gateway=gateway,
            request=request,
            now=now,
            refused=refused,
            others=self.gateways,
            former=self._former.get(gateway.account, ()),
            own_url=getattr(settings, own, None) if own else None,
            with_url=with_url if own and settings is not None else None,
            seen_url=url,
        )

    def diagnosis(
        self, gateway: Gateway, request: Request, now: datetime, refused: Refused, url: str
    ) -> Mapping[str, str]:
        """Says in words for people why the delivery was refused."""
        found = diagnose(self.refused_request(gateway, request, now, refused, url=url))
        return {"finding": found.finding, "detail": found.detail, "advice": found.advice}


class Accounts(KnownAccounts):
    """The gateways by account: one mapping, whose content changes when the files do."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.accounts)
        self._on_change: list[Callable[[], None]] = []
        self._read_signatures = _signatures()
        self._unsettled: Mapping[str, Signature] | None = None
        self._problems: tuple[str, ...] = ()
        ACCOUNTS_REFUSED.set(0)

    def on_change(self, call: Callable[[], None]) -> None:
        """Registers `call` to be called after every change that took effect."""
        self._on_change.append(call)

    def look(self) -> bool:
        """Returns whether the accounts changed since the last look.

        Files are read at the second look that finds them unchanged: somebody may still be writing them.
        """
        signatures = _signatures()
        if signatures == self._read_signatures:
            self._unsettled = None
            return False
        if signatures != self._unsettled:
            self._unsettled = signatures
            return False
        self._read_signatures, self._unsettled = signatures, None
        try:
            return self._take(load_accounts())
        except BadSettings as error:
            self._refuse(error.problems)
            return False

    async def look_once(self) -> int:
        """Looks once, as one pass of a loop; keys may have been fetched meanwhile."""
        before = set(self.gateways)
        self.look()
        for name in before | self.gateways.keys():
            KEYS_VALID_UNTIL.labels(name).set(_keys_end_s(self.gateways.get(name)))
        return 0

    def _take(self, accounts: AccountsOfSettings) -> bool:
        changed = {name for name, account in accounts.items() if self._settings.get(name) != account}
        gone = self._settings.keys() - accounts.keys()
        built = {name: build(name, accounts[name]) for name in changed}  # build all before replacing any
        for name in changed | gone:
            if before := self.gateways.pop(name, None):
                self._former[name] = (before, *self._former.get(name, ()))[:FORMER_MAX]
        self.gateways.update(built)
        self._settings = dict(accounts)
        if changed or gone or self._problems:
            log.info("accounts_reloaded", changed=sorted(changed), gone=sorted(gone))
        for doubt in doubts_of({name: accounts[name] for name in sorted(changed)}):
            log.warning("setting_doubtful", problem=doubt)
        self._problems = ()
        ACCOUNTS_REFUSED.set(0)
        for call in self._on_change if changed or gone else ():
            call()
        return bool(changed or gone)

    def _refuse(self, problems: tuple[str, ...]) -> None:
        """Logs the problems once, however often the files change without being repaired."""
        if problems != self._problems:
            log.error("accounts_refused", problems=problems)
        self._problems = problems
        ACCOUNTS_REFUSED.set(1)


def _keys_end_s(gateway: Gateway | None) -> float:
    """Returns when the gateway's keys end; never for those without an end, and for an account that is gone."""
    until = None if gateway is None else gateway.keys_valid_until()
    return math.inf if until is None else until.timestamp()


def _signatures() -> Mapping[str, Signature]:
    return {str(path): signature_of(path) for path in secret_files()}
