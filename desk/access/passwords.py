"""Hashes passwords with Argon2id, as argon2-cffi sets it, in threads of their own: pages go on meanwhile.

A hash takes 64 MiB, so few are made at a time, and who comes when many wait is told to come again.
"""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tillkeeper.domain.people import PASSWORD_CHARS_MAX, prepared

Result = TypeVar("Result")

THREADS: Final = 2
WAITING_MAX: Final = 20  # a second or two of work

_hasher: Final = PasswordHasher()
_threads: Final = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")


class Busy(Exception):
    """As many passwords wait to be checked as may; nothing was checked."""


class _Queue:
    """Counts who waits."""

    waiting = 0


async def hashed(password: str) -> str:
    """Returns what is stored of a password.  Raises Busy."""
    return await _in_thread(lambda: _hasher.hash(prepared(password)))


async def is_right(password: str, password_hash: str | None) -> bool:
    """Returns whether it is the password.  Where there is none, it takes the time of one.  Raises Busy."""
    return await _in_thread(lambda: _is_right(password, password_hash))


def is_outdated(password_hash: str) -> bool:
    """Returns whether the same password would be hashed otherwise today."""
    return _hasher.check_needs_rehash(password_hash)


def _is_right(password: str, password_hash: str | None) -> bool:
    is_possible = password_hash is not None and len(password) <= PASSWORD_CHARS_MAX
    try:
        _hasher.verify(
            password_hash if password_hash is not None else _nobodys(), prepared(password[:PASSWORD_CHARS_MAX])
        )
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False
    return is_possible


@cache
def _nobodys() -> str:
    """Returns the hash of a password that nobody knows."""
    return _hasher.hash(secrets.token_urlsafe())


async def _in_thread(work: Callable[[], Result]) -> Result:
    if _Queue.waiting >= WAITING_MAX:
        raise Busy
    _Queue.waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, work)
    finally:
        _Queue.waiting -= 1
