"""Staff and service accounts: added, listed, removed; their keys and passwords. By the admin routes of a
server, or by the command line where none runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from batcher.asides import Asides
from engine import audit_log, logins, service_keys
from engine.actors import Actor
from engine.deeds import ACCEPTED
from engine.logins import NameTaken, StaffMember
from engine.outcomes import Code
from engine.people import normal_scopes
from engine.service_keys import ServiceAccount, ServiceKey
from engine.store import Store
from ws.effects import ENDED_WORDS
from ws.people.passwords import Passwords
from ws.people.secrets_shown import PeopleRefused, check_role, name_of, new_key, password_of

Answer = TypeVar("Answer")


class Told(NamedTuple):
    """Who changes what, for the audit log: see `audit_log.record`."""

    actor: Actor
    action: str
    subject: Mapping[str, Any]
    sid: str | None
    """What his token came from, if that can end."""


class Staff:
    """Everything that admins do about who may act for the house. All of it raises `PeopleRefused`, also where
    the `sid` that the admin's token came from has ended by the time that it is done; what was changed is in
    the audit log, what was refused is not."""

    def __init__(
        self,
        store: Store,
        asides: Asides,
        passwords: Passwords,
        end: Callable[[str], object],
        clock: Callable[[], int],
        books_clock: Callable[[], int],
    ) -> None:
        """`end`: told of each `sid` that has ended, once that is on disk. `clock`: microseconds of the wall
        clock, which tokens and keys go by; `books_clock`: of the time of the books, by which the audit log
        says when."""
        self._store = store
        self._asides = asides
        self._passwords = passwords
        self._end = end
        self._clock = clock
        self._books_clock = books_clock

    # -- staff

    async def list_staff(self) -> list[StaffMember]:
        """All of the staff, also who was removed."""
        return await self._store.read(logins.list_staff)

    async def add_staff(
        self, actor: Actor, username: str, password: str, role: str, *, sid: str | None = None
    ) -> int:
        """One more of the staff; his number. Raises `PeopleRefused`, as all of these do: INVALID_REQUEST,
        IDEMPOTENCY_CONFLICT (the name is or was somebody's)."""
        name, normal = name_of(username), password_of(password)
        check_role(role)
        kept = await self._passwords.hash(normal)
        deed = Told(actor, "staff.add", {"username": name, "role": role}, sid)
        return await self._by_name(deed, lambda c: logins.add_staff(c, name, role, kept, self._clock()))

    async def remove_staff(self, actor: Actor, username: str, *, sid: str | None = None) -> None:
        """He logs in no more, and his log-ins end. NOT_FOUND."""
        name = name_of(username)
        deed = Told(actor, "staff.remove", {"username": name}, sid)
        self._ended(await self._by_name(deed, lambda c: logins.remove_staff(c, name, self._clock())))

    async def set_staff_password(
        self, actor: Actor, username: str, password: str, *, sid: str | None = None
    ) -> None:
        """He has another password, and his log-ins end. NOT_FOUND, INVALID_REQUEST."""
        name, kept = name_of(username), await self._passwords.hash(password_of(password))
        deed = Told(actor, "staff.password", {"username": name}, sid)
        self._ended(
            await self._by_name(deed, lambda c: logins.set_staff_password(c, name, kept, self._clock()))
        )

    # -- service accounts

    async def list_accounts(self) -> list[tuple[ServiceAccount, list[ServiceKey]]]:
        """All service accounts with their keys, also what was revoked."""
        return await self._store.read(service_keys.list_accounts)

    async def create_key(
        self, actor: Actor, name: str, role: str, scopes: list[str] | None, *, sid: str | None = None
    ) -> str:
        """A new service account; its key, which nobody can read again. INVALID_REQUEST,
        IDEMPOTENCY_CONFLICT."""
        normal = name_of(name)
        check_role(role)
        try:
            kept_scopes = normal_scopes(scopes)
        except ValueError as error:
            raise PeopleRefused(Code.INVALID_REQUEST, str(error)) from error
        key, hash_, prefix = new_key()

        def create(connection: sqlite3.Connection) -> str:
            now_us = self._clock()
            account_id = service_keys.create_account(connection, normal, role, kept_scopes, now_us)
            service_keys.add_key(connection, account_id, hash_, prefix, now_us)
            return key

        subject = {"name": normal, "role": role, "scopes": kept_scopes, "key": prefix}
        deed = Told(actor, "key.create", subject, sid)
        return await self._by_name(deed, create)

    async def rotate_key(self, actor: Actor, name: str, grace_s: int, *, sid: str | None = None) -> str:
        """A new key of this account; those before it are good for `grace_s` more. NOT_FOUND."""
        normal = name_of(name)
        key, hash_, prefix = new_key()
        grace_us = grace_s * 1_000_000
        deed = Told(actor, "key.rotate", {"name": normal, "grace_s": grace_s, "key": prefix}, sid)
        self._ended(
            await self._by_name(
                deed,
                lambda c: service_keys.rotate_key(c, normal, hash_, prefix, grace_us, self._clock()),
            )
        )
        return key

    async def revoke_account(self, actor: Actor, name: str, *, sid: str | None = None) -> None:
        """The account and its keys are good no more. NOT_FOUND."""
        normal = name_of(name)
        deed = Told(actor, "key.revoke", {"name": normal}, sid)
        self._ended(
            await self._by_name(deed, lambda c: service_keys.revoke_account(c, normal, self._clock()))
        )

    def _ended(self, sids: Iterable[str]) -> None:
        for sid in sids:
            self._end(sid)

    async def _by_name(self, deed: Told, change: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Change it, and have the audit log say so in the same transaction."""
        at_us = self._books_clock()  # here, on the event loop, as everybody else reads it

        def recorded(connection: sqlite3.Connection) -> Answer:
            if logins.is_over(connection, deed.actor.id, deed.sid):  # since he asked: a password takes time
                raise PeopleRefused(Code.UNAUTHORIZED, ENDED_WORDS)
            changed = change(connection)
            audit_log.record(connection, deed.actor, deed.action, deed.subject, ACCEPTED, at_us)
            return changed

        try:
            return await self._asides.change(recorded, is_urgent=True)
        except NameTaken as error:
            raise PeopleRefused(Code.IDEMPOTENCY_CONFLICT, str(error)) from error
        except logins.NoSuchName as error:
            raise PeopleRefused(Code.NOT_FOUND, str(error)) from error
