"""People over a real file and a real batcher: what is told, and what is on disk."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import jwt
import pytest
from argon2 import PasswordHasher

from batcher.asides import Asides
from engine import logins
from engine.actors import Actor
from engine.commands import Command
from engine.outcomes import Code, Outcome, Rejected
from engine.people import GRACE_US, LOGIN_LIFE_S, STAFF_ID_BASE, successor_of
from tests.batches import BOB, World, world
from tests.books_open import look
from ws.asking.ended import REMEMBERED_S
from ws.auth import identify
from ws.people.lockout import FAILURES_ANYWHERE
from ws.people.log_ins import People
from ws.people.passwords import Passwords
from ws.people.secrets_shown import REFRESH_PREFIX, PeopleRefused, bytes_of, text_of
from ws.people.staff import Staff

SECRET = "a secret that is long enough for HS256"
HORSE = "correct horse"
ADMIN = Actor(STAFF_ID_BASE + 9, "admin", "192.0.2.1", "http")
NOW_US = time.time_ns() // 1000  # PyJWT has the wall clock


class House:
    """All that is asked about people; `ended` is what sockets and doors would hear of."""

    def __init__(self, this: World, *, registers: bool = True) -> None:
        assert this.batcher is not None
        self.world, self.ended, self.now_us = this, [], NOW_US  # type: ignore[var-annotated]
        self.ask = this.batcher.ask
        self.passwords = Passwords()
        self.asides = Asides(this.store)
        self.people = People(
            this.store,
            self.asides,
            self.passwords,
            self._ask,
            SECRET,
            self.ended.append,
            registers=registers,
            clock=lambda: self.now_us,
        )
        self.staff = Staff(
            this.store,
            self.asides,
            self.passwords,
            self.ended.append,
            clock=lambda: self.now_us,
            books_clock=lambda: this.batcher.books_clock.now().at_us,
        )

    async def _ask(self, command: Command) -> Outcome:
        return await self.ask(command)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        return look(self.world.path, sql)

    async def name_of(self, number: int) -> str | None:
        return await self.world.store.read(partial(logins.name_of, number=number))


@contextlib.asynccontextmanager
async def opened(folder: Path, *, registers: bool = True) -> AsyncIterator[House]:
    async with world(folder) as this:
        house = House(this, registers=registers)
        try:
            yield house
        finally:
            house.passwords.close()


def run(folder: Path, scenario: Callable[[House], Awaitable[None]], *, registers: bool = True) -> None:
    async def all_of_it() -> None:
        async with opened(folder, registers=registers) as house:
            await scenario(house)

    asyncio.run(all_of_it())


async def why(asked: Awaitable[object]) -> Code:
    """The code with which it is refused."""
    with pytest.raises(PeopleRefused) as raised:
        await asked
    return raised.value.code


def test_who_registers_has_an_empty_wallet_of_his_own_and_is_logged_in(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        told = await house.people.register("Alice", HORSE, None, "home")
        assert (told.user_id, told.role, told.access_life_s) == (BOB + 1, "player", 900)
        who = identify(SECRET, told.access_token)
        assert (who.user_id, who.role, who.session, who.scopes) == (BOB + 1, "player", "l1", None)
        assert await house.name_of(told.user_id) is None, "who acts for the house as her is not she"
        row = "SELECT kind, currency, balance FROM users WHERE id = (SELECT max(user_id) FROM credentials)"
        assert house.rows(row) == [("player", "EUR", 0)]
        assert await why(house.people.register("ＡＬＩＣＥ", HORSE, None, "")) is Code.IDEMPOTENCY_CONFLICT
        assert await why(house.people.register("bob", "short", None, "home")) is Code.INVALID_REQUEST
        assert await why(house.people.register("a b", HORSE, None, "home")) is Code.INVALID_REQUEST
        assert await why(house.people.register("bob", HORSE, "USD", "home")) is Code.CURRENCY_MISMATCH
        assert house.rows("SELECT count(*) FROM credentials") == [(1,)]

    run(tmp_path, scenario)


def test_secrets_are_not_in_the_file(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        told = await house.people.register("alice", HORSE, None, "home")
        key = await house.staff.create_key(ADMIN, "partner", "operator", None)
        assert told.refresh_token is not None
        await house.world.store.checkpoint()
        content = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
        for secret in (HORSE, told.refresh_token, told.refresh_token[4:], key, key[3:], told.access_token):
            assert secret.encode() not in content
        assert key[:8].encode() in content

    run(tmp_path, scenario)


def test_two_who_register_one_name_at_once_are_one_wallet_and_one_person(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        told = await asyncio.gather(
            *(house.people.register("alice", HORSE, None, "home") for _ in range(8)), return_exceptions=True
        )
        refused = [each.code for each in told if isinstance(each, PeopleRefused)]
        assert refused == [Code.IDEMPOTENCY_CONFLICT] * 7
        assert house.rows("SELECT count(*) FROM transactions WHERE kind = 'WALLET'") == [(1,)]

    run(tmp_path, scenario)


def test_a_registration_that_broke_behind_the_wallet_is_finished_by_the_next_try(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        async def breaks(change: object) -> None:
            raise ZeroDivisionError

        change, house.asides.change = house.asides.change, breaks  # type: ignore[method-assign,assignment]
        with pytest.raises(ZeroDivisionError):
            await house.people.register("alice", HORSE, None, "home")
        house.asides.change = change  # type: ignore[method-assign]
        assert house.rows("SELECT count(*) FROM transactions WHERE kind = 'WALLET'") == [(1,)]
        assert await why(house.people.log_in("alice", HORSE, "here")) is Code.UNAUTHORIZED
        told = await house.people.register("alice", "another password", None, "home")
        assert told.user_id == BOB + 1
        assert house.rows("SELECT count(*) FROM transactions WHERE kind = 'WALLET'") == [(1,)]

    run(tmp_path, scenario)


def test_what_the_ledger_refuses_is_told_with_its_code(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        async def refuses(command: Command) -> Outcome:
            return Rejected(Code.CIRCUIT_OPEN, retry_after_us=1_500_000)

        house.ask = refuses  # type: ignore[assignment]
        with pytest.raises(PeopleRefused) as raised:
            await house.people.register("alice", HORSE, None, "home")
        assert (raised.value.code, raised.value.retry_after_s) == (Code.CIRCUIT_OPEN, 1.5)
        assert house.rows("SELECT count(*) FROM credentials") == [(0,)]

    run(tmp_path, scenario)


def test_registration_can_be_switched_off(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        assert await why(house.people.register("alice", HORSE, None, "home")) is Code.FORBIDDEN

    run(tmp_path, scenario, registers=False)


def test_unknown_and_wrong_hear_the_same_after_the_same_time(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.people.register("alice", HORSE, None, "home")
        took_s: dict[str, list[float]] = {"alice": [], "nobody": []}
        words = set()
        addresses = itertools.count()
        for _ in range(
            6
        ):  # more are taken where a busy machine blurs them; to verify nothing takes a fiftieth
            for address in itertools.islice(addresses, 7):
                for name in took_s:  # interleaved, so that a busy machine is busy for both
                    began_s = time.perf_counter()
                    with pytest.raises(PeopleRefused) as raised:
                        await house.people.log_in(name, "wrong horse", f"address {address}")
                    took_s[name].append(time.perf_counter() - began_s)
                    words.add((raised.value.code, raised.value.words, raised.value.retry_after_s))
            known, unknown = (statistics.median(times) for times in took_s.values())
            if min(known, unknown) > 0.7 * max(known, unknown):
                break
        else:
            pytest.fail(f"known {known}, unknown {unknown}")
        assert len(words) == 1

    run(tmp_path, scenario)


def test_who_fails_too_often_is_refused_also_with_the_right_password_and_so_is_a_name_of_nobody(
    tmp_path: Path,
) -> None:
    async def scenario(house: House) -> None:
        await house.people.register("alice", HORSE, None, "home")
        for name in ("alice", "nobody"):
            codes = [await why(house.people.log_in(name, "wrong horse", "here")) for _ in range(6)]
            assert codes == [Code.UNAUTHORIZED] * 5 + [Code.RATE_LIMITED]
        with pytest.raises(PeopleRefused) as raised:
            await house.people.log_in("ALICE", HORSE, "here")
        assert raised.value.code is Code.RATE_LIMITED
        assert raised.value.retry_after_s is not None
        assert 890 < raised.value.retry_after_s <= 900
        assert (await house.people.log_in("alice", HORSE, "there")).user_id == BOB + 1

    run(tmp_path, scenario)


def test_strangers_cannot_lock_anybody_out_where_he_has_been_let_in(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.people.register("alice", HORSE, None, "home")
        await house.people.log_in("alice", HORSE, "work")
        for number in range(FAILURES_ANYWHERE):
            assert await why(house.people.log_in("alice", "wrong horse", f"{number}")) is Code.UNAUTHORIZED
        assert await why(house.people.log_in("alice", HORSE, "elsewhere")) is Code.RATE_LIMITED
        for place in ("home", "work"):
            await house.people.log_in("alice", HORSE, place)

    run(tmp_path, scenario)


def test_what_is_no_name_is_counted_like_one(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        for name in ("a b", "\udc80" * 256, "x" * 65):
            codes = [await why(house.people.log_in(name, "wrong horse", "here")) for _ in range(6)]
            assert codes == [Code.UNAUTHORIZED] * 5 + [Code.RATE_LIMITED]

    run(tmp_path, scenario)


def test_a_password_under_old_parameters_is_hashed_anew_when_it_is_known_again(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.people.register("alice", HORSE, None, "home")
        old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(HORSE)

        def make_old(connection: object) -> None:
            connection.execute("UPDATE credentials SET password_hash = ?", (old,))  # type: ignore[attr-defined]

        await house.asides.change(make_old)
        assert await why(house.people.log_in("alice", "wrong horse", "here")) is Code.UNAUTHORIZED
        assert house.rows("SELECT password_hash FROM credentials") == [(old,)]
        await house.people.log_in("alice", HORSE, "here")
        ((kept,),) = house.rows("SELECT password_hash FROM credentials")
        assert "m=19456,t=2,p=1" in str(kept)
        await house.people.log_in("alice", HORSE, "here")

    run(tmp_path, scenario)


def test_a_thousand_who_refresh_one_token_at_once_get_one_successor(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        told = await house.people.register("alice", HORSE, None, "home")
        assert told.refresh_token is not None
        before = house.world.store.commits
        answers = await asyncio.gather(*(house.people.refresh(told.refresh_token) for _ in range(1000)))
        (successor,) = {answer.refresh_token for answer in answers}
        assert house.world.store.commits - before <= 10
        assert house.rows("SELECT count(*), sum(used_at IS NULL) FROM refresh_tokens") == [(2, 1)]
        assert successor is not None
        await house.people.refresh(successor)
        assert house.ended == []
        assert await why(house.people.refresh(told.refresh_token)) is Code.UNAUTHORIZED
        assert house.ended == ["l1"]

    run(tmp_path, scenario)


def test_a_token_that_is_used_again_ends_its_log_in_and_says_so_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(house: House) -> None:
        first = (await house.people.register("alice", HORSE, None, "home")).refresh_token
        other = (await house.people.log_in("alice", HORSE, "here")).refresh_token
        assert first is not None
        assert other is not None
        second = (await house.people.refresh(first)).refresh_token
        assert second is not None
        house.now_us += GRACE_US
        assert (await house.people.refresh(first)).refresh_token == second, "the reply was lost"
        house.now_us += 1
        assert await why(house.people.refresh(first)) is Code.UNAUTHORIZED
        assert house.ended == ["l1"]
        assert f"a refresh token of user {BOB + 1} was used twice: its log-in 1 is ended" in caplog.text
        assert first not in caplog.text
        assert await why(house.people.refresh(second)) is Code.UNAUTHORIZED
        await house.people.refresh(other)
        house.ended.clear()
        await house.people.remember()
        assert house.ended == ["l1"], "as after a restart"

    run(tmp_path, scenario)


def test_with_another_secret_nobody_is_logged_in_and_nobody_is_taken_for_a_thief(tmp_path: Path) -> None:
    """Whoever has had the old one can derive each successor of a token that he has seen."""

    async def scenario(house: House) -> None:
        first = (await house.people.register("alice", HORSE, None, "home")).refresh_token
        assert first is not None
        stolen = bytes_of(REFRESH_PREFIX, first)
        assert stolen is not None
        second = (await house.people.refresh(first)).refresh_token
        assert second is not None
        assert second == text_of(REFRESH_PREFIX, successor_of(SECRET, stolen))
        house.people._secret = SECRET[::-1]
        for token in (second, first):
            assert await why(house.people.refresh(token)) is Code.UNAUTHORIZED
        assert house.ended == []
        await house.people.log_in("alice", HORSE, "home")

    run(tmp_path, scenario)


def test_what_a_stranger_makes_up_does_not_reach_the_writer(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        before = house.world.store.commits
        for made_up in (
            "",
            "sgr_",
            "sgr_" + "A" * 43,
            "sgr_" + "A" * 42 + "B",
            "é" * 47,
            "x" * 256,
            "\ud800",
        ):
            assert await why(house.people.refresh(made_up)) is Code.UNAUTHORIZED
            assert await why(house.people.exchange_key(made_up.replace("sgr_", "sg_"))) is Code.UNAUTHORIZED
        assert house.world.store.commits == before

    run(tmp_path, scenario)


def test_a_log_out_ends_one_log_in_and_those_of_others_cannot_be_ended(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        told = await house.people.register("alice", HORSE, None, "home")
        other = await house.people.log_in("alice", HORSE, "here")
        stranger = await house.people.register("mallory", HORSE, None, "home")
        who = identify(SECRET, told.access_token)
        assert await why(house.people.log_out(who, stranger.refresh_token)) is Code.UNAUTHORIZED
        assert await why(house.people.log_out(who._replace(session=None), None)) is Code.INVALID_REQUEST
        assert house.ended == []
        await house.people.log_out(who, None)
        await house.people.log_out(who, None)  # a retry
        assert house.ended == ["l1"]
        assert told.refresh_token is not None
        assert await why(house.people.refresh(told.refresh_token)) is Code.UNAUTHORIZED
        await house.people.log_out(who._replace(session=None), other.refresh_token)
        assert house.ended == ["l1", "l2"]
        here, in_cookie = [await house.people.log_in("alice", HORSE, "here") for _ in range(2)]
        who = identify(SECRET, here.access_token)
        for worthless in (stranger.refresh_token, "sgr_nonsense"):
            await house.people.log_out(who, None, worthless)
        assert house.ended == ["l1", "l2", "l4"], "not the stranger's"
        await house.people.log_out(who, None, in_cookie.refresh_token)
        assert house.ended == ["l1", "l2", "l4", "l5"]

    run(tmp_path, scenario)


def test_an_access_token_lives_no_longer_than_its_log_in(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        told = await house.people.register("alice", HORSE, None, "home")
        house.now_us += (LOGIN_LIFE_S - 60) * 1_000_000
        assert told.refresh_token is not None
        last = await house.people.refresh(told.refresh_token)
        assert (last.access_life_s, last.refresh_life_s) == (60, 60)
        claims = jwt.decode(last.access_token, options={"verify_signature": False})
        assert claims["exp"] == house.now_us // 1_000_000 + 60
        house.now_us += 60_000_000
        assert last.refresh_token is not None
        assert await why(house.people.refresh(last.refresh_token)) is Code.UNAUTHORIZED

    run(tmp_path, scenario)


def test_a_start_remembers_what_ended_while_tokens_of_it_may_be_shown(tmp_path: Path) -> None:
    """Log-ins and keys alike, in the order in which they ended; what is older needs no remembering."""

    async def scenario(house: House) -> None:
        await house.staff.add_staff(ADMIN, "anna", HORSE, "operator")
        for name in ("early", "late"):
            await house.staff.create_key(ADMIN, name, "operator", None)
            await house.people.log_in("anna", HORSE, "here")
        await house.staff.revoke_account(ADMIN, "early")
        await house.staff.set_staff_password(ADMIN, "anna", "another horse")
        house.now_us += 1_000_000
        await house.staff.revoke_account(ADMIN, "late")
        await house.people.log_in("anna", "another horse", "here")
        house.now_us += 1_000_000
        await house.staff.remove_staff(ADMIN, "anna")
        house.ended.clear()
        house.now_us += (REMEMBERED_S - 2) * 1_000_000
        await house.people.remember()
        assert house.ended == ["l1", "l2", "k1", "k2", "l3"]
        house.ended.clear()
        house.now_us += 1_000_000
        await house.people.remember()
        assert house.ended == ["k2", "l3"]

    run(tmp_path, scenario)
