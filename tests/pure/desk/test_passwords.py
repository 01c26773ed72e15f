"""Passwords are hashed as the library advises, and a page is never held up by it."""

import asyncio
import threading

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.profiles import get_default_parameters

from tillkeeper.desk.access import passwords


async def test_a_password_is_hashed_with_the_librarys_own_parameters_of_today():
    password_hash = await passwords.hashed("correct horse battery")
    assert extract_parameters(password_hash) == get_default_parameters()
    assert password_hash.startswith("$argon2id$")
    assert await passwords.is_right("correct horse battery", password_hash)
    assert not await passwords.is_right("correct horse batterz", password_hash)
    assert not passwords.is_outdated(password_hash)
    assert passwords.is_outdated(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("x"))


async def test_the_same_password_typed_on_another_keyboard_is_right():
    password_hash = await passwords.hashed("cafe\u0301 au lait, s'il vous plait")
    assert await passwords.is_right("caf\u00e9 au lait, s'il vous plait", password_hash)


@pytest.mark.parametrize("password_hash", ["", "x", "$argon2id$", "{disabled}"])
async def test_what_is_no_hash_is_no_password_and_no_error(password_hash):
    assert not await passwords.is_right("correct horse battery", password_hash)


@pytest.mark.parametrize("password", ["", "\ud800", "x" * 5000])
async def test_whatever_was_typed_is_checked_against_nobody(password):
    assert not await passwords.is_right(password, None)


async def test_pages_go_on_while_passwords_are_checked_and_few_may_wait(monkeypatch):
    go_on, begun = threading.Event(), threading.Semaphore(0)

    class Held(PasswordHasher):
        def hash(self, password, *, salt=None):
            begun.release()
            go_on.wait()
            return "hash"

    monkeypatch.setattr(passwords, "_hasher", Held())
    waiting = [asyncio.ensure_future(passwords.hashed("x")) for _ in range(passwords.WAITING_MAX)]
    await asyncio.sleep(0)  # each is handed to a thread
    try:
        for _ in range(passwords.THREADS):
            begun.acquire()
        assert not begun.acquire(blocking=False)  # and no more at a time
        with pytest.raises(passwords.Busy):
            await passwords.hashed("one more")
    finally:
        go_on.set()
    assert await asyncio.gather(*waiting) == ["hash"] * passwords.WAITING_MAX
    monkeypatch.undo()
    await passwords.hashed("the places are free again")
