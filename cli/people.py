"""The commands `keys` and `staff`: who may act for the house. By themselves, or through the server that
serves the file, which is the only one that may write to it then.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from batcher.asides import Asides
from batcher.clock import wall_us
from cli.shell import at_the_shell, own_token
from engine.errors import FileServed, SolidGreenError
from engine.files import check_is_ours, served_at
from engine.store import Store
from ws.people.messages import AddStaff, Body, CreateKey, RotateKey, SetPassword
from ws.people.passwords import Passwords
from ws.people.secrets_shown import name_of, password_of
from ws.people.staff import Staff
from ws.people.staff_routes import account_shown, member_shown
from ws.settings import jwt_secret, variable

ANSWER_WITHIN_S: Final = 30.0

Json = dict[str, Any]
Local = Callable[[Staff], Awaitable[Json]]


class NotDone(SolidGreenError):
    """The server did not do it, or cannot be asked."""


def create_key(options: argparse.Namespace) -> int:
    """Make a service account, and print its key."""
    scopes = None if options.scopes is None else [each for each in options.scopes.split(",") if each]

    async def local(staff: Staff) -> Json:
        return {"key": await staff.create_key(at_the_shell(), options.name, options.role, scopes)}

    body = CreateKey(name_of(options.name), options.role, scopes)
    print(_do(options, "POST", "/v1/admin/keys", body, local)["key"])
    return 0


def rotate_key(options: argparse.Namespace) -> int:
    """Give a service account another key, and print it."""

    async def local(staff: Staff) -> Json:
        return {"key": await staff.rotate_key(at_the_shell(), options.name, options.grace)}

    path = f"{_path('keys', options.name)}/rotate"
    print(_do(options, "POST", path, RotateKey(options.grace), local)["key"])
    return 0


def revoke_key(options: argparse.Namespace) -> int:
    """Take a service account and all its keys back."""

    async def local(staff: Staff) -> Json:
        await staff.revoke_account(at_the_shell(), options.name)
        return {}

    _do(options, "DELETE", _path("keys", options.name), None, local)
    return 0


def list_keys(options: argparse.Namespace) -> int:
    """Print service accounts and their keys, of which only the beginnings are known."""

    async def local(staff: Staff) -> Json:
        now_us = wall_us()
        return {"accounts": [account_shown(*each, now_us) for each in await staff.list_accounts()]}

    accounts = _do(options, "GET", "/v1/admin/keys", None, local)["accounts"]
    if options.json:
        print(json.dumps({"accounts": accounts}))
        return 0
    for account in accounts:
        scopes = "everything" if account["scopes"] is None else ", ".join(account["scopes"])
        over = "" if account["revoked_at"] is None else f", revoked {_time(account['revoked_at'])}"
        print(f"{account['user_id']} {account['name']}: {account['role']}, {scopes}{over}")
        for key in account["keys"]:
            print(f"  {key['prefix']}…  {_time(key['created_at'])}  {_state(key)}")
    return 0


def add_staff(options: argparse.Namespace) -> int:
    """Add one of the staff, who logs in by a password."""
    password = _password(options)

    async def local(staff: Staff) -> Json:
        return {"user_id": await staff.add_staff(at_the_shell(), options.name, password, options.role)}

    body = AddStaff(name_of(options.name), password, options.role)
    print(_do(options, "POST", "/v1/admin/staff", body, local)["user_id"])
    return 0


def set_password(options: argparse.Namespace) -> int:
    """Give one of the staff another password; his log-ins end."""
    password = _password(options)

    async def local(staff: Staff) -> Json:
        await staff.set_staff_password(at_the_shell(), options.name, password)
        return {}

    path = f"{_path('staff', options.name)}/password"
    _do(options, "PUT", path, SetPassword(password), local)
    return 0


def remove_staff(options: argparse.Namespace) -> int:
    """Let one of the staff in no more; his log-ins end."""

    async def local(staff: Staff) -> Json:
        await staff.remove_staff(at_the_shell(), options.name)
        return {}

    _do(options, "DELETE", _path("staff", options.name), None, local)
    return 0


def list_staff(options: argparse.Namespace) -> int:
    """Print the staff."""

    async def local(staff: Staff) -> Json:
        return {"staff": [member_shown(each) for each in await staff.list_staff()]}

    members = _do(options, "GET", "/v1/admin/staff", None, local)["staff"]
    if options.json:
        print(json.dumps({"staff": members}))
        return 0
    for member in members:
        over = "" if member["removed_at"] is None else f", removed {_time(member['removed_at'])}"
        print(f"{member['user_id']} {member['username']}: {member['role']}{over}")
    return 0


def _do(options: argparse.Namespace, method: str, path: str, body: Body | None, local: Local) -> Json:
    """What was asked for, by whoever may write to the file; the answer as the server gives it."""
    check_is_ours(options.db, writing=True)
    try:
        done = asyncio.run(_by_itself(options.db, local))
    except FileServed as error:
        url = _http(options.url) or served_at(options.db)
        if url is None:
            raise NotDone(f"{error}; it does not say where it answers: try again, or see --url") from error
        return _ask(options.db, url, method, path, body)
    answer: Json = msgspec.to_builtins(done)
    return answer


async def _by_itself(db: Path, local: Local) -> Json:
    store = await Store.open(db)
    passwords = Passwords()
    try:
        # A start would take the wall clock for the time of the books as well (docs/adr/0019).
        return await local(Staff(store, Asides(store), passwords, lambda sid: None, wall_us, wall_us))
    finally:
        passwords.close()
        await store.close()


def _ask(db: Path, url: str, method: str, path: str, body: Body | None) -> Json:
    secret = jwt_secret(db, create=False, given=variable("jwt_secret"))
    headers = {
        "authorization": f"Bearer {own_token(secret, 'admin')}",
        "content-type": "application/json",
    }
    content = None if body is None else msgspec.json.encode(body)
    # The server is the one beside this file: a proxy of the environment is not meant.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        request = urllib.request.Request(url + path, content, headers, method=method)  # noqa: S310  # below
        with opener.open(request, timeout=ANSWER_WITHIN_S) as answer:
            told: Json = json.loads(answer.read() or b"{}")
            return told
    except urllib.error.HTTPError as error:
        raise NotDone(_detail(error)) from error
    except (OSError, ValueError) as error:  # ValueError: no URL, or no JSON
        raise NotDone(f"{url}: the server that has the file cannot be asked: {error}") from error


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{error.url}: {error}"


def _http(url: str | None) -> str | None:
    """Where HTTP is beside a WebSocket: `archive` is told the latter, by the same variable."""
    if url is None:
        return None
    for websocket, http in (("ws://", "http://"), ("wss://", "https://")):
        if url.startswith(websocket):
            url = http + url.removeprefix(websocket).removesuffix("/ws")
    if not url.startswith(("http://", "https://")):
        raise NotDone(f"--url: expected http://… or https://…, not {url[:80]!r}")
    return url.rstrip("/")


def _path(kind: str, name: str) -> str:
    """The route of whoever has this name. Raises `PeopleRefused` where nobody can."""
    return f"/v1/admin/{kind}/{quote(name_of(name), safe='')}"


def _password(options: argparse.Namespace) -> str:
    """From standard input, a line; else asked for twice, unseen. Other users can read a command line. Raises
    `PeopleRefused` for what is none."""
    if options.password_stdin:
        try:
            return password_of(sys.stdin.readline().rstrip("\r\n"))
        except UnicodeDecodeError as error:
            raise NotDone(f"the password is no text of this locale ({error.encoding})") from error
    given = getpass.getpass(f"password of {options.name}: ")
    if getpass.getpass("again: ") != given:
        raise NotDone("the two passwords differ")
    return password_of(given)


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _state(key: Json) -> str:
    if key["revoked_at"] is not None:
        return f"revoked {_time(key['revoked_at'])}"
    if key["expires_at"] is not None:
        return f"{'good until' if key['good'] else 'expired'} {_time(key['expires_at'])}"
    return "good"
