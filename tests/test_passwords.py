"""Passwords by argon2id, beside the event loop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import pytest
from argon2 import PasswordHasher, extract_parameters

from ws import passwords as passwords_module
from ws.passwords import LANES, MEMORY_KIB, PASSES, Passwords, TooManyPasswords


def test_what_is_kept_is_argon2id_with_the_parameters_of_owasp_and_verifies() -> None:
    async def scenario() -> None:
        passwords = Passwords()
        kept, again = await passwords.hash("correct horse"), await passwords.hash("correct horse")
        assert kept.startswith(f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$")
        assert (MEMORY_KIB, PASSES, LANES) == (19_456, 2, 1)
        assert kept != again, "each has a salt of its own"
        assert await passwords.verify("correct horse", kept)
        assert not await passwords.verify("wrong horse", kept)
        assert not await passwords.verify("correct horse", None)
        assert not await passwords.verify("correct horse", "$argon2id$ but torn")
        assert not passwords.is_outdated(kept)
        assert passwords.is_outdated(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x"))
        passwords.close()

    asyncio.run(scenario())


def test_nobody_is_verified_under_the_same_parameters_as_somebody() -> None:
    async def scenario() -> None:
        passwords = Passwords()
        parameters = extract_parameters(passwords._nobody)
        assert parameters == extract_parameters(await passwords.hash("correct horse"))
        passwords.close()

    asyncio.run(scenario())


def test_two_run_at_a_time_on_threads_of_the_lowest_priority_and_the_loop_keeps_its_own() -> None:
    async def scenario() -> None:
        passwords = Passwords()
        both = threading.Barrier(2, timeout=10)
        running, most, lock = 0, 0, threading.Lock()

        def work() -> int:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            both.wait()  # the third of three would break it, and two alone pass
            with lock:
                running -= 1
            return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

        priorities = await asyncio.gather(*(passwords._run(work) for _ in range(6)))
        assert most == 2
        if sys.platform == "linux":
            assert set(priorities) == {19}
            assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) < 19
        passwords.close()

    asyncio.run(scenario())


def test_more_than_may_wait_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords_module, "WAITING_MAX", 3)

    async def scenario() -> None:
        passwords = Passwords()
        go = threading.Event()
        waiting = [asyncio.create_task(passwords._run(lambda: go.wait(10))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyPasswords):
            await passwords.verify("correct horse", None)
        go.set()
        assert await asyncio.gather(*waiting) == [True] * 3
        assert not await passwords.verify("correct horse", None)
        passwords.close()

    asyncio.run(scenario())


def test_who_waits_too_long_is_told_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords_module, "WITHIN_S", 0.0)

    async def scenario() -> None:
        passwords = Passwords()
        go = threading.Event()
        with pytest.raises(TooManyPasswords):
            await passwords._run(lambda: go.wait(10))
        go.set()
        passwords.close()

    asyncio.run(scenario())
