"""The policy's file while a process runs: a good change is taken up; a bad one is refused, and the old policy stays."""

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

LOOK_EVERY_S: Final = 2.0  # a change is in force after two looks; a look costs one stat
Signature = tuple[int, ...]


class PolicyFile:
    """Holds the policy in force, and looks whether its file says something else by now.

    `digest` names what the policy says: once it is another, orders that are due later must be looked at anew.
    `problems` tells what is wrong with the file that lies there, nothing while it is the policy in force.
    """

    def __init__(self, path: Path | None = None, accounts: Collection[str] | None = None) -> None:
        """Reads the file, or the default policy where none is named.  Raises BadPolicy."""
        self._path = path
        self._accounts = accounts
        self._read_signatures: Signature | None = (
            signature_of(path) if path else ()
        )  # before it is read: what is written meanwhile is seen later
        self._unsettled: Signature | None = None
        self.policy: Policy = load_policy(path, accounts)
        self.digest = digest_of(self.policy)
        self.problems: tuple[str, ...] = ()
        POLICY_REFUSED.set(0)

    async def keep_looking(self, stop: asyncio.Event) -> None:
        """Looks again and again until stopped, for a process that has nothing else to do with a change."""

        async def look_once() -> int:
            self.look()
            return 0

        await keep_running(look_once, name="policy", stop=stop, idle_s=LOOK_EVERY_S)

    def look(self) -> bool:
        """Whether the policy is another one since the last look.

        A file that changed is read at the second look that finds it as it is: an editor may have written half of it,
        and half a policy can be a good one, with the defaults for the rest.
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
        """Has the file read again, for the accounts that it may name have changed."""
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
        """Logs the problems once, however often the file is touched without being mended."""
        if problems != self.problems:
            log.error("policy_refused", path=str(self._path), problems=problems, digest_in_force=self.digest)
        self.problems = problems
        POLICY_REFUSED.set(1)


def signature_of(path: Path) -> Signature:
    """Differs after every change of a file, also when the file, or a link on the way to it, is replaced.

    Empty where there is none.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
