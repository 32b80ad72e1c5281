"""Who may act: people log in and out, service accounts show keys, and what they had can be taken back.

Everything that somebody is told is on disk first. What ends, ends here at once as well: its access tokens are
refused from then on, and its sockets close.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from batcher.asides import Asides
from batcher.clock import wall_us
from batcher.jobs import Ask
from engine import logins, service_keys
from engine.commands import OpenWallet
from engine.logins import Credential, NameTaken
from engine.outcomes import Code, Rejected
from engine.people import (
    ACCESS_LIFE_S,
    LOGIN_LIFE_S,
    PLAYER,
    Family,
    Presented,
    hash_of,
    kept_of,
    login_of_sid,
    normal_password,
    normal_username,
    presented,
    sid_of_key,
    sid_of_login,
    successor_of,
)
from engine.store import Store
from ws.asking.ended import REMEMBERED_S
from ws.auth import issue
from ws.effects import Identity
from ws.people.lockout import Lockout
from ws.people.passwords import Passwords
from ws.people.secrets_shown import (
    KEY_PREFIX,
    NO_KEY,
    NO_TOKEN,
    REFRESH_PREFIX,
    SECRET_BYTES,
    WRONG,
    LoggedIn,
    PeopleRefused,
    bytes_of,
    name_of,
    password_of,
    taken,
    text_of,
)

log = logging.getLogger("solidgreen.people")

CALLER: Final = "register"
"""Who asks for the wallets of those who register: no wallet's number, so no other caller's keys are these."""


class People:
    """Everything that is known of who may act. Made in the event loop."""

    def __init__(
        self,
        store: Store,
        asides: Asides,
        passwords: Passwords,
        ask: Ask,
        secret: str,
        end: Callable[[str], object],
        *,
        registers: bool = True,
        clock: Callable[[], int] = wall_us,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`secret`: signs tokens. `end`: told of each `sid` that has ended, once that is on disk. `clock`:
        microseconds of the wall clock, which tokens go by. `registers`: whether strangers may."""
        self._passwords = passwords
        self._store = store
        self._asides = asides
        self._ask = ask
        self._secret = secret
        self._end = end
        self._registers = registers
        self._clock = clock
        self._steady = steady
        self._lockout = Lockout()

    # -- people

    async def register(self, username: str, password: str, currency: str | None, address: str) -> LoggedIn:
        """A new player with an empty wallet in `currency`, or in that of the oldest books; he is logged in.

        Raises `PeopleRefused`: FORBIDDEN, INVALID_REQUEST, IDEMPOTENCY_CONFLICT (the name is taken),
        CURRENCY_MISMATCH, OVERLOADED and what the ledger answers. Where anything fails behind the wallet, the
        next try finishes it, whoever makes it: the wallet is the name's, and empty.
        """
        if not self._registers:
            raise PeopleRefused(Code.FORBIDDEN, "players are not registered here")
        name, normal = name_of(username), password_of(password)
        if await self._store.read(partial(logins.credential, username=name)) is not None:
            raise taken()
        currency = currency or await self._store.read(logins.first_currency)
        kept = await self._passwords.hash(normal)
        user_id = await self._wallet(name, currency)

        def begin(connection: sqlite3.Connection) -> LoggedIn:
            now_us = self._clock()
            logins.add_player(connection, user_id, name, kept, now_us)
            return self._log_in(connection, user_id, PLAYER, now_us)

        try:
            begun = await self._asides.change(begin)
        except NameTaken as error:
            raise taken() from error
        self._lockout.knew(name, address)
        return begun

    async def _wallet(self, name: str, currency: str | None) -> int:
        if currency is None:
            raise PeopleRefused(Code.CURRENCY_MISMATCH, "currency: the house has no books yet")
        key = hashlib.sha256(name.encode()).hexdigest()  # 64 characters, which a name might exceed
        outcome = await self._ask(OpenWallet(currency, key=key, caller=CALLER))
        if isinstance(outcome, Rejected):
            if outcome.code is Code.IDEMPOTENCY_CONFLICT:
                words = "currency: this name was begun with another one"
                raise PeopleRefused(Code.CURRENCY_MISMATCH, words)
            words = f"currency: the house has no books in {currency}"
            if outcome.code is not Code.CURRENCY_MISMATCH:
                words = "no wallet could be opened; try again"
            retry_after_s = None if outcome.retry_after_us is None else outcome.retry_after_us / 1e6
            raise PeopleRefused(outcome.code, words, retry_after_s)
        assert outcome.opened is not None
        return outcome.opened.user_id

    async def log_in(self, username: str, password: str, address: str) -> LoggedIn:
        """Who knows the password. Raises `PeopleRefused`: UNAUTHORIZED, the same for an unknown name and a
        wrong password, after the same time; RATE_LIMITED after too many failures; OVERLOADED."""
        # A name that cannot be is nobody's; it is counted as well, in little room.
        normal = normal_username(username)
        name = normal or hashlib.sha256(username.encode(errors="replace")).hexdigest()
        wait_s = self._lockout.begin(name, address, self._steady())
        if wait_s is not None:
            raise PeopleRefused(Code.RATE_LIMITED, "too many failed log-ins; try again later", wait_s)
        failed = False
        try:
            known = await self._knows(normal or username, password)
            failed = known is None
        finally:
            self._lockout.end(name, address, self._steady(), failed=failed)
        if known is None:
            raise PeopleRefused(Code.UNAUTHORIZED, WRONG)
        welcome = partial(self._welcome, known=known, kept=await self._anew(known, password))
        begun = await self._asides.change(welcome)
        self._lockout.knew(name, address)
        return begun

    async def _knows(self, name: str, password: str) -> Credential | None:
        """Whose password it is. The same steps, whether anybody has the name or not."""
        normal = normal_password(password)
        known = await self._store.read(partial(logins.credential, username=_encodable(name)))
        kept = None if known is None or known.is_removed or normal is None else known.password_hash
        matches = await self._passwords.verify(normal or "no password", kept)
        return known if matches else None

    async def _anew(self, known: Credential, password: str) -> str | None:
        """The password as it is hashed by now, if it was kept under other parameters."""
        normal = normal_password(password)
        if normal is None or not self._passwords.is_outdated(known.password_hash):
            return None
        return await self._passwords.hash(normal)

    def _welcome(self, connection: sqlite3.Connection, known: Credential, kept: str | None) -> LoggedIn:
        now = logins.credential(connection, known.username)
        if now is None or now.is_removed:  # since it was read
            raise PeopleRefused(Code.UNAUTHORIZED, WRONG)
        if now != known:  # perhaps only hashed anew, by another log-in of his
            raise PeopleRefused(Code.OVERLOADED, "the password was changed meanwhile; try again", 1.0)
        if kept is not None:
            logins.hash_anew(connection, known, kept)
        return self._log_in(connection, known.user_id, known.role, self._clock())

    def _log_in(self, connection: sqlite3.Connection, user_id: int, role: str, now_us: int) -> LoggedIn:
        token = secrets.token_bytes(SECRET_BYTES)
        login_id = logins.begin_login(connection, user_id, kept_of(self._secret, token), now_us)
        expires_us = now_us + LOGIN_LIFE_S * 1_000_000
        return self._tokens(Family(login_id, user_id, role, expires_us, False, None, False), token, now_us)

    def _tokens(self, family: Family, token: bytes, now_us: int) -> LoggedIn:
        """What whoever holds this log-in acts with from now on; `token`: the good one."""
        left_s = (family.expires_us - now_us) // 1_000_000
        life_s = max(1, min(ACCESS_LIFE_S, left_s))
        access = issue(
            self._secret,
            family.user_id,
            family.role,
            now_us // 1_000_000,
            life_s,
            sid=sid_of_login(family.login_id),
        )
        return LoggedIn(family.user_id, family.role, access, life_s, text_of(REFRESH_PREFIX, token), left_s)

    async def refresh(self, refresh_token: str) -> LoggedIn:
        """New tokens for a refresh token, which is used by that. Raises `PeopleRefused`, UNAUTHORIZED: it is
        not good; where it was used before, its log-in ends (`engine/people.py`)."""
        token = bytes_of(REFRESH_PREFIX, refresh_token)
        if token is None:
            raise PeopleRefused(Code.UNAUTHORIZED, NO_TOKEN)
        successor = successor_of(self._secret, token)
        hashes = kept_of(self._secret, token), kept_of(self._secret, successor)
        # What a stranger makes up does not wait for the writer, nor bets for it.
        found = await self._store.read(lambda connection: logins.family(connection, *hashes))
        meaning = presented(found, self._clock())
        if meaning is Presented.GOOD or meaning is Presented.REUSED:
            meaning, found = await self._asides.change(
                lambda connection: logins.rotate(connection, *hashes, self._clock())
            )
        if meaning is Presented.REUSED and found is not None:
            log.warning(
                "a refresh token of user %d was used twice: its log-in %d is ended",
                found.user_id,
                found.login_id,
            )
            self._end(sid_of_login(found.login_id))
        if found is None or meaning not in (Presented.GOOD, Presented.AGAIN):
            raise PeopleRefused(Code.UNAUTHORIZED, NO_TOKEN)
        return self._tokens(found, successor, self._clock())

    async def log_out(
        self, identity: Identity, refresh_token: str | None, in_cookie: str | None = None
    ) -> None:
        """End the log-in that this token comes from, and that of a refresh token of the same user. Raises
        `PeopleRefused`: INVALID_REQUEST where there is none to be ended, UNAUTHORIZED. `in_cookie`: the
        refresh token that his browser is told to forget; looked over where it is not good, or another's."""
        ids = {login_of_sid(identity.session)}
        if refresh_token is not None:
            shown = await self._login_of(identity, refresh_token)
            if shown is None:
                raise PeopleRefused(Code.UNAUTHORIZED, NO_TOKEN)
            ids.add(shown)
        if in_cookie is not None:
            ids.add(await self._login_of(identity, in_cookie))
        ids.discard(None)
        if not ids:
            raise PeopleRefused(
                Code.INVALID_REQUEST, "this token comes from no log-in: it ends with its time"
            )

        def end(connection: sqlite3.Connection) -> list[str]:
            now_us = self._clock()
            return [
                sid_of_login(id_)
                for id_ in ids
                if id_ and logins.end_login(connection, id_, "logout", now_us)
            ]

        self._ended(await self._asides.change(end, is_urgent=True))

    async def _login_of(self, identity: Identity, refresh_token: str) -> int | None:
        """The log-in of his that this refresh token belongs to; None: to none."""
        token = bytes_of(REFRESH_PREFIX, refresh_token)
        if token is None:
            return None
        successor = successor_of(self._secret, token)
        hashes = kept_of(self._secret, token), kept_of(self._secret, successor)
        found = await self._store.read(lambda connection: logins.family(connection, *hashes))
        return found.login_id if found is not None and found.user_id == identity.user_id else None

    # -- service accounts

    async def exchange_key(self, key: str) -> LoggedIn:
        """An access token for a key. Raises `PeopleRefused`, UNAUTHORIZED."""
        secret = bytes_of(KEY_PREFIX, key)
        now_us = self._clock()
        shown = None
        if secret is not None:
            hash_ = hash_of(secret)
            shown = await self._store.read(
                lambda connection: service_keys.shown_key(connection, hash_, now_us)
            )
        if shown is None:
            raise PeopleRefused(Code.UNAUTHORIZED, NO_KEY)
        left_s = ACCESS_LIFE_S if shown.expires_us is None else (shown.expires_us - now_us) // 1_000_000
        life_s = max(1, min(ACCESS_LIFE_S, left_s))
        access = issue(
            self._secret,
            shown.account_id,
            shown.role,
            now_us // 1_000_000,
            life_s,
            sid=sid_of_key(shown.key_id),
            scope=shown.scopes,
        )
        return LoggedIn(shown.account_id, shown.role, access, life_s, scope=shown.scopes)

    # -- what has ended

    async def remember(self) -> None:
        """Tell `end` of what ended before the start, while tokens that came from it may still be valid."""
        since_us = self._clock() - REMEMBERED_S * 1_000_000

        def look(connection: sqlite3.Connection) -> list[str]:
            ended = logins.ended_since(connection, since_us) + service_keys.revoked_since(
                connection, since_us
            )
            return [sid for sid, _ in sorted(ended, key=lambda each: each[1])]

        self._ended(await self._store.read(look))

    def _ended(self, sids: Iterable[str]) -> None:
        for sid in sids:
            self._end(sid)


def _encodable(name: str) -> str:
    """A lone surrogate cannot be looked for: it stands in no name."""
    return name.encode(errors="replace").decode()
