"""Staff and service accounts over a real file and batcher: who may act for the house, and until when."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from unittest.mock import Mock

from engine.outcomes import Code
from engine.people import SERVICE_ID_BASE, STAFF_ID_BASE
from tests.asgi import ask
from tests.batches import NOW_US as BOOKS_US
from tests.batches import world
from tests.test_people_service import ADMIN, HORSE, SECRET, House, run, why
from ws.auth import identify
from ws.http.shell import shelled
from ws.people.entrance import Entrance
from ws.people.staff_routes import staff_routes
from ws.rates.rates import Counted, RateLimits, Rates
from ws.rates.windows import Windows
from ws.settings import Settings
from ws.sockets.hub import Hub
from ws.sockets.session import Door
from ws.wire.messages import Limits


def test_staff_log_in_with_their_role_until_they_are_removed(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        assert await house.staff.add_staff(ADMIN, "anna", HORSE, "auditor") == STAFF_ID_BASE
        assert await why(house.staff.add_staff(ADMIN, "anna", HORSE, "auditor")) is Code.IDEMPOTENCY_CONFLICT
        assert await why(house.staff.add_staff(ADMIN, "bert", HORSE, "player")) is Code.INVALID_REQUEST
        told = await house.people.log_in("anna", HORSE, "here")
        who = identify(SECRET, told.access_token)
        assert (who.user_id, who.role) == (STAFF_ID_BASE, "auditor")
        await house.staff.set_staff_password(ADMIN, "anna", "another horse")
        assert house.ended == ["l1"]
        assert await why(house.people.log_in("anna", HORSE, "here")) is Code.UNAUTHORIZED
        await house.people.log_in("anna", "another horse", "here")
        await house.staff.remove_staff(ADMIN, "anna")
        assert house.ended == ["l1", "l2"]
        codes = [await why(house.people.log_in("anna", "another horse", "there")) for _ in range(6)]
        assert codes == [Code.UNAUTHORIZED] * 5 + [Code.RATE_LIMITED], "his password is as wrong as any"
        assert await why(house.staff.remove_staff(ADMIN, "anna")) is Code.NOT_FOUND
        assert await house.name_of(STAFF_ID_BASE) == "anna", "what he did is his for ever"
        told_of = [("staff.add",), ("staff.password",), ("staff.remove",)]
        assert house.rows("SELECT action FROM audit_log ORDER BY id") == told_of, "and not what was refused"
        assert HORSE not in str(house.rows("SELECT * FROM audit_log"))

    run(tmp_path, scenario)


def test_who_is_removed_while_his_password_is_checked_is_not_let_in(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.staff.add_staff(ADMIN, "anna", HORSE, "operator")
        verify = house.passwords.verify

        async def and_meanwhile(password: str, kept: str | None) -> bool:
            matches = await verify(password, kept)
            await house.staff.remove_staff(ADMIN, "anna")
            return matches

        house.passwords.verify = and_meanwhile  # type: ignore[method-assign]
        assert await why(house.people.log_in("anna", HORSE, "here")) is Code.UNAUTHORIZED
        assert house.rows("SELECT count(*) FROM logins") == [(0,)]

    run(tmp_path, scenario)


def test_who_gets_another_password_while_the_old_one_is_checked_is_not_let_in_by_it(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.staff.add_staff(ADMIN, "anna", HORSE, "operator")
        verify = house.passwords.verify

        async def and_meanwhile(password: str, kept: str | None) -> bool:
            matches = await verify(password, kept)
            await house.staff.set_staff_password(ADMIN, "anna", "another horse")
            return matches

        house.passwords.verify = and_meanwhile  # type: ignore[method-assign]
        assert await why(house.people.log_in("anna", HORSE, "here")) is Code.OVERLOADED
        assert house.rows("SELECT count(*) FROM logins") == [(0,)]

    run(tmp_path, scenario)


def test_who_was_let_out_before_it_is_done_changes_nobody_who_may_act(tmp_path: Path) -> None:
    """A password takes its time to be hashed, and what is written waits for bets: long enough for whoever was
    robbed of his token to log out."""

    async def scenario(house: House) -> None:
        rates = Rates(RateLimits(), Counted(Windows()))
        routes = staff_routes(house.staff, lambda: house.now_us)
        app = shelled(routes, partial(identify, SECRET), rates, frozenset())
        await house.staff.add_staff(ADMIN, "anna", HORSE, "admin")
        await house.staff.add_staff(ADMIN, "bert", HORSE, "operator")
        await house.staff.create_key(ADMIN, "partner", "operator", None)
        key = await house.staff.create_key(ADMIN, "keeper", "admin", None)
        who_may = "SELECT * FROM credentials", "SELECT * FROM service_keys", "SELECT * FROM service_accounts"
        change = house.asides.change

        async def asked(path: str, method: str, body: object, token: str, let_out: Awaitable[object]) -> None:
            async def behind_the_end(its: Callable[[Connection], object], **named: bool) -> object:
                house.asides.change = change  # type: ignore[method-assign]
                await let_out
                before.extend(house.rows(each) for each in who_may)
                return await change(its, **named)

            before: list[object] = []
            house.asides.change = behind_the_end  # type: ignore[method-assign,assignment]
            headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
            pieces = [] if body is None else [json.dumps(body).encode()]
            answer = await ask(app, f"/v1/admin/{path}", method, headers, pieces)
            assert (answer.status, answer.code) == (401, "UNAUTHORIZED"), path
            assert [house.rows(each) for each in who_may] == before, path

        mallory = {"username": "mallory", "password": HORSE, "role": "admin"}
        for path, method, body in (
            ("staff", "POST", mallory),
            ("staff/bert", "DELETE", None),
            ("staff/bert/password", "PUT", {"password": "another horse"}),
            ("keys", "POST", {"name": "backdoor", "role": "admin"}),
            ("keys/partner", "DELETE", None),
            ("keys/partner/rotate", "POST", {}),
        ):
            token = (await house.people.log_in("anna", HORSE, "here")).access_token
            await asked(path, method, body, token, house.people.log_out(identify(SECRET, token), None))
        token = (await house.people.exchange_key(key)).access_token
        await asked("staff", "POST", mallory, token, house.staff.rotate_key(ADMIN, "keeper", 0))

    run(tmp_path, scenario)


def test_the_audit_log_has_the_time_of_the_books(tmp_path: Path) -> None:
    """Which is not that of the wall clock while nobody knows whether that is right."""

    async def scenario() -> None:
        async with world(tmp_path) as this:
            door = Door(this.store, this.batcher, Hub(), SECRET, Limits(), this.checks, Mock())
            entrance = Entrance(door, Settings(this.path, SECRET))
            this.wall.now_us += 3_600_000_000
            await entrance.staff.create_key(ADMIN, "partner", "operator", None)
            assert this.rows("SELECT at FROM audit_log") == [(BOOKS_US,)]
            entrance.close()

    asyncio.run(scenario())


def test_a_key_is_exchanged_for_a_token_of_its_scopes_until_it_ends(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        key = await house.staff.create_key(ADMIN, "partner", "operator", ["money", "bets"])
        told = await house.people.exchange_key(key)
        who = identify(SECRET, told.access_token)
        assert (who.user_id, who.role, who.session) == (SERVICE_ID_BASE, "operator", "k1")
        assert who.scopes == {"bets", "money"}
        assert told.refresh_token is None
        new = await house.staff.rotate_key(ADMIN, "partner", grace_s=60)
        assert (await house.people.exchange_key(key)).access_life_s == 60, "no longer than the key"
        assert (await house.people.exchange_key(new)).access_life_s == 900
        house.now_us += 60_000_000
        assert await why(house.people.exchange_key(key)) is Code.UNAUTHORIZED
        assert house.ended == []
        await house.staff.revoke_account(ADMIN, "partner")
        assert house.ended == ["k1", "k2"]
        assert house.rows(
            "SELECT actor, action, json_extract(subject, '$.name') FROM audit_log ORDER BY id"
        ) == [
            (ADMIN.id, "key.create", "partner"),
            (ADMIN.id, "key.rotate", "partner"),
            (ADMIN.id, "key.revoke", "partner"),
        ]
        assert key not in str(house.rows("SELECT * FROM audit_log"))
        assert await why(house.people.exchange_key(new)) is Code.UNAUTHORIZED
        assert await why(house.staff.create_key(ADMIN, "other", "operator", ["all"])) is Code.INVALID_REQUEST
        assert (
            await why(house.staff.create_key(ADMIN, "partner", "operator", None)) is Code.IDEMPOTENCY_CONFLICT
        )

    run(tmp_path, scenario)
