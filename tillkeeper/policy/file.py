"""Watches the policy's file while a process runs: a valid change takes effect, an invalid one is refused and logged."""

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Final

import structlog

from tillkeeper.domain.policy import Policy
from tillkeeper.loops import keep_running
from tillkeeper.policy.reading import BadPolicy, digest_of, load_policy
from tillkeeper.telemetry import POLICY_REFUSED

log = structlog.get_logger()

LOOK_EVERY_S: Final = 2.0  # a change takes effect after two looks; a look costs one stat
Signature = tuple[int, ...]


class PolicyFile:
    """Holds the policy in force, and reloads it when its file changes.

    `digest` identifies the policy's content: when it changes, the due times of orders must be computed again.
    `problems` says what is wrong with the present file; it is empty while the file is the policy in force.
    """

    def __init__(self, path: Path | None = None, accounts: Collection[str] | None = None) -> None:
        """Reads the file, or the default policy where none is named.  Raises BadPolicy."""
        self._path = path
        self._accounts = accounts
        # Taken before the file is read, so that a write in between is noticed later.
        self._read_signatures: Signature | None = signature_of(path) if path else ()
        self._unsettled: Signature | None = None
        self.policy: Policy = load_policy(path, accounts)
        self.digest = digest_of(self.policy)
        self.problems: tuple[str, ...] = ()
        POLICY_REFUSED.set(0)

    async def keep_looking(self, stop: asyncio.Event) -> None:
        """Looks again and again until stopped, for a process that does nothing else about a change."""

        async def look_once() -> int:
            self.look()
            return 0

        await keep_running(look_once, name="policy", stop=stop, idle_s=LOOK_EVERY_S)

    def look(self) -> bool:
        """Reloads a changed file; returns whether the policy is another one since the last look.

        A file is read at the second look that finds it unchanged: an editor may have written half of it, and half a
        policy can be valid, with the defaults for the rest.
        """
        if self._path is None:
            return False
        signature = signature_of(self._path)
        if signature == self._read_signatures:
            self._unsettled = None
            return False
        if signature != self._unsettled:
            self._unsettled = signature
            return False
        self._read_signatures, self._unsettled = signature, None
        try:
            return self._take(load_policy(self._path, self._accounts))
        except BadPolicy as error:
            self._refuse(error.problems)
            return False

    def read_again(self) -> None:
        """Makes the next look read the file again, because the accounts that it may name have changed."""
        self._read_signatures = self._unsettled = None

    def _take(self, policy: Policy) -> bool:
        digest, was_refused = digest_of(policy), bool(self.problems)
        is_other = digest != self.digest
        self.policy, self.digest, self.problems = policy, digest, ()
        POLICY_REFUSED.set(0)
        if is_other or was_refused:
            log.info("policy_reloaded", path=str(self._path), digest=digest)
        return is_other

    def _refuse(self, problems: tuple[str, ...]) -> None:
        """Logs the problems once, however often the file changes without being repaired."""
        if problems != self.problems:
            log.error("policy_refused", path=str(self._path), problems=problems, digest_in_force=self.digest)
        self.problems = problems
        POLICY_REFUSED.set(1)


def signature_of(path: Path) -> Signature:
    """Returns a signature that differs after every change of a file, also when the file or a link to it is replaced.

    It is empty where there is no file.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
