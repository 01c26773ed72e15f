"""Lists the keys of accounts, those in the configuration and those that were used, with what may be done with each."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from tillkeeper.domain.key_rotation import KeyVerdict, is_used, verdict_on
from tillkeeper.store.accounts.keys import KeyUse


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key by its label, what it verified, and what may be done with it."""

    account: str
    key: str
    deliveries: int
    first_at: datetime | None
    last_at: datetime | None
    verdict: KeyVerdict


def key_rows(configured: Mapping[str, tuple[str, ...]], uses: Sequence[KeyUse], *, now: datetime) -> list[KeyRow]:
    """Returns a row for each key that is configured, or was used and is no longer configured."""
    by_key = {(use.account, use.key): use for use in uses}
    rows = []
    for account, labels in sorted(configured.items()):
        last = {label: use.last_at if (use := by_key.get((account, label))) else None for label in labels}
        works = any(is_used(at, now=now) for at in last.values())
        for label, at in last.items():
            verdict = verdict_on(at, is_only=len(labels) == 1, another_works=works, now=now)
            rows.append(_row(account, label, by_key.get((account, label)), verdict))
    gone = [use for use in uses if use.key not in configured.get(use.account, ())]
    return rows + [_row(use.account, use.key, use, KeyVerdict.NOT_CONFIGURED) for use in gone]


def _row(account: str, key: str, use: KeyUse | None, verdict: KeyVerdict) -> KeyRow:
    return KeyRow(
        account=account,
        key=key,
        deliveries=0 if use is None else use.deliveries,
        first_at=None if use is None else use.first_at,
        last_at=None if use is None else use.last_at,
        verdict=verdict,
    )
