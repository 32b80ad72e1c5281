"""Passwords by argon2id, beside the event loop."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from pathlib import Path

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from ws.people import passwords as passwords_module
from ws.people.pace import Pace
from ws.people.passwords import LANES, MEMORY_KIB, PASSES, Passwords, TooManyPasswords


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
        assert not passwords.is_outdated(kept)
        assert passwords.is_outdated(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x"))
        passwords.close()

    asyncio.run(scenario())


def test_nobody_is_verified_under_the_same_parameters_as_somebody() -> None:
    async def scenario() -> None:
        passwords = Passwords()
        kept = await passwords.hash("correct horse")
        assert extract_parameters(passwords._nobody) == extract_parameters(kept)
        assert len(passwords._nobody) == len(kept)
        with pytest.raises(VerifyMismatchError):  # and not that it is torn, which would take no time
            PasswordHasher().verify(passwords._nobody, "correct horse")
        passwords.close()

    asyncio.run(scenario())


def test_it_is_done_by_another_process_that_gives_way_to_all_others() -> None:
    async def scenario() -> None:
        passwords = Passwords()
        assert passwords._patient._process is None, "started when it is needed"
        hashing = asyncio.create_task(passwords.hash("correct horse"))
        await asyncio.sleep(0)
        process = passwords._patient._process
        assert process is not None
        assert os.sched_getscheduler(process.pid) == os.SCHED_IDLE, "also while it imports"
        kept = await hashing
        threads = [int(each.name) for each in Path(f"/proc/{process.pid}/task").iterdir()]
        assert len(threads) > 1
        assert {os.sched_getscheduler(each) for each in threads} == {os.SCHED_IDLE}
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 19
        told = await asyncio.gather(
            *(passwords.verify(word, kept) for word in ["correct horse", "wrong"] * 8)
        )
        assert told == [True, False] * 8, "each hears his own answer"
        assert passwords._patient._process is process
        passwords.close()
        assert process.wait(30) == -signal.SIGKILL

    asyncio.run(scenario())


def test_if_that_is_killed_who_waits_is_told_and_the_next_one_starts_another(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords_module, "HURRY_AFTER_S", 60.0)  # an idle process is slow to die as well

    async def scenario() -> None:
        passwords = Passwords()
        await passwords.hash("correct horse")
        assert passwords._patient._process is not None
        passwords._patient._process.send_signal(signal.SIGSTOP)
        waiting = asyncio.create_task(passwords.hash("correct horse"))
        await asyncio.sleep(0)
        passwords._patient._process.kill()
        with pytest.raises(TooManyPasswords):
            await waiting
        assert await passwords.verify("correct horse", await passwords.hash("correct horse"))
        passwords.close()

    asyncio.run(scenario())
    assert caplog.text.count("a process that checks passwords has ended") == 1


def test_more_than_may_wait_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords_module, "WAITING_MAX", 6)

    async def scenario() -> None:
        passwords = Passwords()
        told = await asyncio.gather(
            *(passwords.verify("correct horse", None) for _ in range(8)), return_exceptions=True
        )
        assert told[:6] == [False] * 6
        assert [type(each) for each in told[6:]] == [TooManyPasswords] * 2
        assert not await passwords.verify("correct horse", None)
        assert passwords._in_hand == {}
        passwords.close()

    asyncio.run(scenario())


def test_who_waits_too_long_is_told_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        passwords = Passwords()
        await passwords.hash("correct horse")
        assert passwords._patient._process is not None
        passwords._patient._process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(passwords_module, "WITHIN_S", 0.0)
        with pytest.raises(TooManyPasswords):
            await passwords.verify("correct horse", None)
        monkeypatch.undo()
        passwords._patient._process.send_signal(signal.SIGCONT)
        assert not await passwords.verify("correct horse", None), "the answer that came too late is nobody's"
        passwords.close()

    asyncio.run(scenario())


def test_a_process_that_does_not_read_holds_up_nobody_but_log_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is handed over stays within what a pipe takes, or writing to it would stop the event loop."""

    async def scenario() -> None:
        passwords = Passwords()
        await passwords.hash("correct horse")
        assert passwords._patient._process is not None
        passwords._patient._process.send_signal(signal.SIGSTOP)
        handed: list[bytes] = []
        hand_over = passwords._hand_over
        monkeypatch.setattr(
            passwords, "_hand_over", lambda asked: (handed.append(asked.line), hand_over(asked))
        )
        monkeypatch.setattr(passwords_module, "WITHIN_S", 0.001)
        for _ in range(20):
            with pytest.raises(TooManyPasswords):
                await passwords.verify("\N{HORSE}" * 256, None)
        assert 0 < sum(map(len, handed)) < 65_536
        assert len(handed) < 20
        monkeypatch.undo()
        passwords._patient._process.send_signal(signal.SIGCONT)
        assert not await passwords.verify("correct horse", None), "and all is well again"
        passwords.close()

    asyncio.run(scenario())


def test_where_no_processor_is_idle_one_that_is_only_nice_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is stopped gets as much of a processor as an idle one on a machine that is busy."""
    monkeypatch.setattr(passwords_module, "HURRY_AFTER_S", 60.0)

    async def scenario() -> None:
        passwords = Passwords()
        kept = await passwords.hash("correct horse")
        patient, hurried = passwords._patient, passwords._hurried
        assert patient._process is not None
        assert hurried._process is None, "it is not started where nobody needs it"
        patient._process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(passwords_module, "HURRY_AFTER_S", 0.05)
        assert await passwords.verify("correct horse", kept)
        assert hurried._process is not None
        assert os.sched_getscheduler(hurried._process.pid) == os.SCHED_OTHER
        assert os.getpriority(os.PRIO_PROCESS, hurried._process.pid) == 19

        monkeypatch.setattr(passwords_module, "HURRY_AFTER_S", 60.0)
        for _ in range(10):  # more than the first one may have; no other waits for it meanwhile
            assert not await passwords.verify("wrong", kept)
        assert len(patient.outstanding) == 1
        patient._process.send_signal(signal.SIGCONT)
        while patient.outstanding:
            await asyncio.sleep(0.005)
        hurried._process.send_signal(signal.SIGSTOP)
        assert await passwords.verify("correct horse", kept), "it is the patient one's turn again"
        passwords.close()

    asyncio.run(scenario())


def test_what_was_answered_is_not_hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        passwords = Passwords()
        await passwords.hash("correct horse")
        monkeypatch.setattr(passwords_module, "HURRY_AFTER_S", 0.2)
        late: list[int] = []
        hurry = passwords._hurry

        def watched(asked: passwords_module._Asked) -> None:
            late.extend({asked.number} - passwords._in_hand.keys())
            hurry(asked)

        monkeypatch.setattr(passwords, "_hurry", watched)
        await passwords.hash("correct horse")
        await asyncio.sleep(2 * passwords_module.HURRY_AFTER_S)
        assert not late
        passwords.close()

    asyncio.run(scenario())


def test_of_two_that_have_it_one_may_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        passwords = Passwords()
        kept = await passwords.hash("correct horse")
        patient, hurried = passwords._patient, passwords._hurried
        assert patient._process is not None
        patient._process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(passwords_module, "HURRY_AFTER_S", 0.0)
        waiting = asyncio.create_task(passwords.verify("correct horse", kept))
        while not hurried.outstanding:
            await asyncio.sleep(0)
        assert hurried._process is not None
        hurried._process.send_signal(signal.SIGSTOP)
        patient._process.kill()
        while patient._process is not None:
            await asyncio.sleep(0.001)
        assert not patient.outstanding, "its end is heard, and that it has no answer"
        assert not waiting.done()
        hurried._process.send_signal(signal.SIGCONT)
        assert await waiting
        passwords.close()

    asyncio.run(scenario())


def test_where_memory_is_short_nobody_is_told_that_his_password_is_wrong() -> None:
    async def scenario() -> None:
        passwords = Passwords()
        kept = await passwords.hash("correct horse")
        too_large = kept.replace(f"m={MEMORY_KIB}", "m=4000000000")  # 4 TB
        with pytest.raises(TooManyPasswords, match="cannot be checked"):
            await passwords.verify("correct horse", too_large)
        assert await passwords.verify("correct horse", kept)
        passwords.close()

    asyncio.run(scenario())


def test_what_nobody_thought_of_is_answered_as_well() -> None:
    async def scenario() -> None:
        passwords = Passwords()
        with pytest.raises(TooManyPasswords, match="cannot be checked"):
            await passwords.hash("\ud800")  # half a character: no door lets that in, and it has no bytes
        assert not passwords._patient.outstanding
        passwords.close()

    asyncio.run(scenario())


def test_beside_bets_one_is_checked_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        bets = itertools.count()
        passwords = Passwords(lambda: next(bets))  # one whenever it looks
        in_hand = []
        hand_over = passwords._hand_over
        monkeypatch.setattr(
            passwords, "_hand_over", lambda asked: (in_hand.append(len(passwords._in_hand)), hand_over(asked))
        )
        await asyncio.gather(*(passwords.verify("correct horse", None) for _ in range(6)))
        assert in_hand == [1] * 6
        passwords.close()

    asyncio.run(scenario())


def test_nothing_is_begun_once_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords_module, "HURRY_AFTER_S", 0.02)

    async def scenario() -> None:
        bets = itertools.count()
        passwords = Passwords(lambda: next(bets))
        await passwords.hash("correct horse")
        waiting = asyncio.create_task(passwords.hash("correct horse"))  # rests
        await asyncio.sleep(0)
        passwords.close()
        passwords._pace = Pace()  # the rest is over
        passwords._rested()
        assert passwords._patient._process is None
        waiting.cancel()

        stopped = Passwords()
        in_hand = asyncio.create_task(stopped.hash("correct horse"))
        await asyncio.sleep(0)
        stopped.close()
        await asyncio.sleep(2 * passwords_module.HURRY_AFTER_S)
        assert stopped._hurried._process is None
        in_hand.cancel()

    asyncio.run(scenario())
