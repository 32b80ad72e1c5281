"""The command `archive`: moves what is old out of a file, by itself or through the server that serves it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from batcher.archiving import Archiving
from batcher.jobs import Ask
from cli.shell import at_the_shell, own_token
from engine import archive_move, queries
from engine.actors import CLI
from engine.archive_copy import Copied, copy
from engine.archives import file_of
from engine.commands import Command, OpenArchive
from engine.errors import FileServed, SolidGreenError
from engine.files import check_is_ours, open_read_only
from engine.outcomes import Accepted, Code, Outcome
from engine.receipts import as_head, head, read_block
from engine.snapshots import ArchiveState
from engine.store import Asked, Store
from ws.settings import jwt_secret, variable
from ws.wire.fields import SUBPROTOCOL

LOOK_EVERY_S: Final = 0.5
ANSWER_WITHIN_S: Final = 30.0
AWAY_S: Final = 30.0
"""How long a server that was there may be restarted."""

Json = dict[str, Any]
Answer = TypeVar("Answer")


class NotArchived(SolidGreenError):
    """The server, or the books, did not take it."""


class ServerAway(NotArchived):
    """The server cannot be asked."""


def archive(options: argparse.Namespace) -> int:
    """Move what is older than a time out of the file, and wait for the end of it."""
    check_is_ours(options.db, writing=True)
    before_bytes = _size_bytes(options.db)
    try:
        moved = asyncio.run(_by_itself(options.db, options.before_us))
    except FileServed:
        moved = _through_the_server(options.db, options.url, options.before_us)
    path = file_of(options.db, moved["upto_block"])
    sizes = {"bytes_before": before_bytes, "bytes": _size_bytes(options.db)}
    if options.json:
        print(json.dumps(moved | {"file": str(path)} | sizes))
    else:
        upto = f"up to block {moved['upto_block']}, entry {moved['upto_entry_id']}"
        size = f"{path.stat().st_size >> 10} KiB" if path.exists() else "not there now"
        print(f"{path}: {size}, {upto}")
        print(f"{options.db}: {before_bytes >> 10} KiB before, {sizes['bytes'] >> 10} KiB now")
    return 0


async def _by_itself(db: Path, before_us: int) -> Json:
    store = await Store.open(db)

    async def ask(command: Command) -> Outcome:
        """Nobody else writes: a command is a batch of its own."""
        actor = at_the_shell() if isinstance(command, OpenArchive) else None  # the rest follows by itself
        (outcome,) = await store.commit([Asked(command, actor=actor)], _now_us())
        return outcome

    try:
        under_way = await store.read(lambda connection: queries.archive(connection, None))
        is_under_way = under_way is not None and under_way.state != "moved"
        archive_id = under_way.id if under_way and is_under_way else await _begin(ask, before_us)

        async def copy_here(path: Path, archive_id: int) -> Copied:
            return await asyncio.to_thread(copy, path, archive_id)

        await Archiving(store, ask, copy_here, rest=0).go_on()
        moved = await store.read(lambda connection: queries.archive(connection, archive_id))
        assert moved is not None
        return _as_json(moved)
    finally:
        await store.close()


async def _begin(ask: Ask, before_us: int) -> int:
    """The archive's id; that of an earlier call with the same time, if there was one."""
    outcome = await ask(OpenArchive(before_us, key=str(before_us), caller=CLI))
    if not isinstance(outcome, Accepted):
        raise NotArchived(_WHY.get(outcome.code, outcome.code.name))
    assert outcome.archive is not None
    return outcome.archive.id


def _through_the_server(db: Path, url: str, before_us: int) -> Json:
    secret = jwt_secret(db, create=False, given=variable("jwt_secret"))
    with _connected(url, secret) as socket:
        _check_it_serves(db, socket, url)
        shown = _ask(socket, {"type": "archive.get"}, or_code="NOT_FOUND")
        if shown is None or shown["state"] == "moved":
            begin = {"type": "archive.begin", "key": str(before_us), "before": before_us // 1000}
            shown = _told(socket, begin)
    print(f"the server at {url} does it; this only waits for its end", file=sys.stderr)
    shown = _wait_for_its_end(db, url, secret, shown)
    return {name: value for name, value in shown.items() if name not in ("type", "id")}


def _wait_for_its_end(db: Path, url: str, secret: str, shown: Json) -> Json:
    """What the server shows in the end. It may be restarted meanwhile: then that goes on with it."""
    archive_id, last_s = shown["archive_id"], time.monotonic()
    while shown["state"] != "moved" or _read(db, archive_move.has_room_to_give_back):
        time.sleep(LOOK_EVERY_S)  # an archive is asked for, not followed
        try:
            with _connected(url, secret) as socket:
                shown = _told(socket, {"type": "archive.get", "archive_id": archive_id})
            last_s = time.monotonic()
        except ServerAway:
            if time.monotonic() - last_s > AWAY_S:
                raise
    return shown


def _check_it_serves(db: Path, socket: ClientConnection, url: str) -> None:
    """Raise `NotArchived` if the books there are others that know the same secret: a copy, for one."""
    newest = _read(db, head)
    shown = _ask(socket, {"type": "head.get"}, or_code="NOT_FOUND")
    told = None if shown is None else shown["head"]
    if told is not None and (newest is None or told["block"]["id"] >= newest["block"]["id"]):
        block = _read(db, lambda connection: read_block(connection, told["block"]["id"]))
        if block is not None and as_head(block) == told:
            return
    if told is not None or newest is not None:
        raise NotArchived(f"{url}: this server serves other books than {db}; see --url")


def _read(db: Path, look: Callable[[sqlite3.Connection], Answer]) -> Answer:
    with closing(open_read_only(db)) as connection:
        return look(connection)


def _size_bytes(db: Path) -> int:
    """Of the database; the file follows when its write-ahead log is written back."""
    (size_bytes,) = _read(db, lambda connection: connection.execute(_SIZE).fetchone())
    return int(size_bytes)


@contextmanager
def _connected(url: str, secret: str) -> Iterator[ClientConnection]:
    bearer = {"Authorization": f"Bearer {own_token(secret, 'operator')}"}
    subprotocols = [Subprotocol(SUBPROTOCOL)]
    try:
        with connect(url, subprotocols=subprotocols, additional_headers=bearer, proxy=None) as socket:
            yield socket
    except (OSError, WebSocketException) as error:
        raise ServerAway(f"{url}: the server that has the file cannot be asked: {error}") from error


def _ask(socket: ClientConnection, request: Json, or_code: str = "") -> Json | None:
    """The reply to a request; None for an error of that code. Raises `NotArchived` for any other."""
    socket.send(json.dumps(request | {"id": "archive"}))
    while True:
        frame = json.loads(socket.recv(timeout=ANSWER_WITHIN_S))
        for message in frame if isinstance(frame, list) else [frame]:
            if message["type"] in ("archive", "head"):
                return dict(message)
            if message["type"] == "error":
                if message["code"] == or_code:
                    return None
                raise NotArchived(message["message"])


def _told(socket: ClientConnection, request: Json) -> Json:
    shown = _ask(socket, request)
    assert shown is not None, "no code was named"
    return shown


def _as_json(archive: ArchiveState) -> Json:
    fields = archive._asdict()
    return {"archive_id": fields.pop("id"), "upto_block": fields.pop("block_id")} | fields


def _now_us() -> int:
    return time.time_ns() // 1000


_SIZE: Final = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"

_WHY: Final = {
    Code.INVALID_REQUEST: "--before: expected a time that is past; and a file has at most ten archives",
    Code.NOT_FOUND: "--before: no block that is older is left to be archived",
}
