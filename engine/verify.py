"""Recomputes everything that a file of books says, from the file alone: can it be trusted by somebody who
does not trust the program that wrote it? Reads only.

All that `reconcile` checks (engine/checks.py) and, beside it:

signature  a block's signature is not that of its header, or of a key that is not in `signers`
trust      a block is signed by a key that is not among those that were said to be trusted
head       a head that was kept elsewhere is not in the file: its end was cut off, or history was rewritten
state      the block up to which an earlier run has verified is no longer what it was
key, signer, integrity, foreign: see engine/file_checks.py

What was archived is read with the file, if all its archives are at hand: then it is all of history that is
checked, as if nothing had ever been moved. Otherwise, or if so asked, the file alone: of the blocks up to the
newest archive what they say of themselves, and behind it all that there is (engine/left_behind.py).

Each block is a short snapshot; memory grows with the accounts and the free bets, not with entries or bets.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

from engine.archive_checks import ArchiveRow
from engine.archive_files import check_files, check_sealed
from engine.archives import file_of, joined
from engine.audit import BLOCK_FIELDS, Audit, Progress
from engine.blocks import COLUMNS, Block, hash_of, header_of, key_id_of
from engine.carried import FORMAT, CarriedUnusable, Kept, load, save
from engine.checks import Enough, Finding, add
from engine.deed_checks import check_deeds
from engine.errors import ArchiveUnusable
from engine.file_checks import Keys, check_file, check_signers
from engine.files import open_read_only
from engine.keys import Signatures
from engine.left_behind import (
    LeftBehind,
    go_behind,
    has_begun_to_move,
    left_behind,
)
from engine.lifecycle import ArchiveState
from engine.reader import Reader, Shape
from engine.receipts import as_head
from engine.standing import Standing, standing

SAVE_EVERY_S: Final = 30.0

_BLOCK = f"SELECT {COLUMNS} FROM blocks WHERE id = ?"  # noqa: S608  names and numbers of our own
_BLOCK_SHAPE: Final = Shape(BLOCK_FIELDS)


class KeptHead(NamedTuple):
    """A block that was seen elsewhere. `where` names it in findings."""

    where: str
    block_id: int
    hash: bytes


class Asked(NamedTuple):
    """What is to be verified beside the file itself. `trusted`: public keys (32 bytes), None if any will do;
    `state`: where it is kept how far this and earlier runs came; `alone`: without its archives."""

    trusted: Sequence[bytes] | None = None
    heads: Iterable[KeptHead] = ()
    state: Path | None = None
    alone: bool = False


@dataclass
class Verdict:
    """`blocks`, `entries` and `users` say how many there are; `since` from behind which block on sealed rows
    were looked at. `keys`: the id of each key and how many blocks it has signed. `archives`: how many were
    read; `alone`: none were, though there are some, of which `missing` are not at hand. `head`: the newest
    block that was read, and `head_hash` its hash."""

    blocks: int = 0
    entries: int = 0
    users: int = 0
    since: int = 0
    head: dict[str, Any] | None = None
    head_hash: bytes = b""
    keys: list[dict[str, Any]] = field(default_factory=list)
    heads: int = 0
    archives: int = 0
    alone: bool = False
    missing: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def first_bad_block(self) -> int | None:
        """The first block about which there is a finding; None if there is none."""
        return min((each["block"] for each in self.findings if "block" in each), default=None)


def verify(path: Path, asked: Asked = Asked(), progress: Progress = lambda done, total: None) -> Verdict:  # noqa: B008
    """Check the whole file. Where SQLite cannot read it on, that is a finding. Raises `CarriedUnusable` and
    `sqlite3.Error` where nothing can be read at all.
    """
    kept = None if asked.state is None else load(asked.state)
    while True:
        verdict = Verdict()
        with contextlib.closing(open_read_only(path)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            run = _Run(connection, path, asked, verdict, progress)
            with _as_findings(verdict):
                run.look(kept)
            if not verdict.ok and run.has_missed_some():
                continue
            with _as_findings(verdict):
                run.conclude()
        return verdict


@contextlib.contextmanager
def _as_findings(verdict: Verdict) -> Iterator[None]:
    """What makes an end of looking."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        verdict.findings.append({"check": "integrity", "why": str(error)})
    except Enough:
        pass


class _Run:
    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        asked: Asked,
        verdict: Verdict,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._path = path
        self._asked = asked
        self._verdict = verdict
        self._progress = progress
        self._reader = Reader(connection)
        self._rows: Standing | None = None
        self._audit: Audit | None = None
        self._moving: list[ArchiveRow] = []
        self._left: LeftBehind | None = None
        self._keys = Keys()
        self._signed: Counter[str] = Counter()
        self._first_hash = b""
        self._saved_s = time.monotonic()

    def look(self, kept: Kept | None) -> None:
        """Go through all there is."""
        rows = self._rows = standing(self._connection, self._reader)
        self._moving = [row for row in rows.archives if row.state == ArchiveState.MOVING]
        self._verdict.users = len(rows.users)
        self._found(rows.unsealed)
        self._found(check_file(self._connection, self._path))
        signers, unsound = check_signers(self._reader)
        self._found(unsound)
        self._found(check_deeds(self._reader))  # before archives are joined: of this file
        left = self._left = left_behind(self._connection, self._reader, rows)
        if left is not None:
            self._found(left.findings)
            self._join()
        audit = Audit(self._reader, rows)
        behind: Iterator[tuple[Block | None, list[Finding]]] = iter(())
        if left is not None and self._verdict.alone:
            if left.origin is None:
                return
            behind = go_behind(self._connection, audit, left)
            if kept is not None and kept.carried.block_id < left.archive.block_id:
                kept = None
        if kept is not None and self._resume(audit, kept, rows):
            behind = iter(())
        self._audit = audit
        self._history(chain(behind, audit.history()), audit, rows, Signatures(signers.values()))
        self._found(audit.verdict())
        self._found(self._keys.check(self._reader, rows.last_transaction_id))
        self._verdict.entries = audit.entries
        self._verdict.keys = [{"id": id_, "blocks": count} for id_, count in sorted(self._signed.items())]

    def has_missed_some(self) -> bool:
        """Whether rows were moved out of the file that it was to read."""
        try:
            return self._rows is not None and has_begun_to_move(self._reader, self._rows)
        except sqlite3.DatabaseError:
            return False

    def conclude(self) -> None:
        """Compare it with what was kept elsewhere, and keep how far this came."""
        for head in self._asked.heads:
            self._verdict.heads += 1
            self._found(self._kept(head))
        if self._asked.state is not None and self._verdict.ok and self._audit is not None:
            self._save(self._asked.state, self._audit)

    def _join(self) -> None:
        """Read the archives too, if they are at hand."""
        verdict = self._verdict
        names = [file_of(self._path, row.block_id) for row in self._moving]
        verdict.missing = [name.name for name in names if not name.exists()]
        if self._asked.alone or verdict.missing:
            verdict.alone = True
            return
        try:
            verdict.missing = [name.name for name in joined(self._connection)]
        except ArchiveUnusable as error:
            verdict.alone = True
            self._found([{"check": "archive", "why": str(error)}])
            return
        verdict.alone = bool(verdict.missing)
        if not verdict.alone:
            verdict.archives = len(self._moving)
            self._found(check_files(self._connection, self._reader, self._moving, self._path))

    def _resume(self, audit: Audit, kept: Kept, rows: Standing) -> bool:
        """Go on behind the block up to which an earlier run has verified, if it is still that one."""
        height = kept.carried.block_id
        first = self._read_block(1)
        if first is None or hash_of(first) != kept.first_hash:
            raise CarriedUnusable(f"{self._asked.state}: is the state of other books")
        found = self._read_block(height)
        if found is None or hash_of(found) != kept.carried.hash or found.hash != kept.carried.hash:
            why = "it is not the block that was verified before: everything is checked again"
            self._found([{"check": "state", "block": height, "why": why}])
            return False
        for block, findings in audit.resume(kept.carried):
            self._read(audit, rows)
            self._found(_within(block, findings))
        self._signed.update(kept.keys)
        self._first_hash = kept.first_hash
        self._verdict.since = self._verdict.blocks = height
        self._verdict.head, self._verdict.head_hash = as_head(found), found.hash
        return True

    def _history(
        self,
        history: Iterable[tuple[Block | None, list[Finding]]],
        audit: Audit,
        rows: Standing,
        signatures: Signatures,
    ) -> None:
        asked = self._asked
        if audit.origin is not None:
            # Before that there is nothing yet to go on from.
            self._verdict.since = max(self._verdict.since, audit.origin.carried.block_id)
        trusted = None if asked.trusted is None else {key_id_of(key) for key in asked.trusted}
        for block, findings in history:
            if block is None:
                self._found(findings)
                continue
            self._found(_within(block, findings))
            self._read(audit, rows)
            where: Finding = {"block": block.id, "key": block.key_id.hex()}
            if not signatures.knows(block.key_id):
                self._found([{"check": "signature", **where, "why": "its key is not in signers"}])
            elif not signatures.is_valid(block.key_id, block.signature, header_of(block)):
                self._found([{"check": "signature", **where, "why": "it is not that of its header"}])
            self._signed[block.key_id.hex()] += 1
            self._first_hash = self._first_hash or block.hash
            self._verdict.blocks += 1
            self._verdict.head, self._verdict.head_hash = as_head(block), block.hash
            if not self._verdict.alone:
                self._found(check_sealed(self._reader, audit, block, self._moving))
            if (
                asked.state is not None
                and block.id > self._verdict.since
                and time.monotonic() - self._saved_s > SAVE_EVERY_S
                and self._verdict.ok
            ):
                self._save(asked.state, audit)
        if trusted is not None:
            for id_ in sorted(self._signed):
                if bytes.fromhex(id_) not in trusted:
                    blocks = self._blocks_of(bytes.fromhex(id_))
                    self._found([{"check": "trust", **blocks, "key": id_, "why": "it is not trusted"}])

    def _blocks_of(self, key_id: bytes) -> Finding:
        sql = "SELECT min(id), max(id) FROM blocks WHERE key_id = ?"
        first, last = self._connection.execute(sql, (key_id,)).fetchone()
        return {"block": first, "last_block": last}

    def _read(self, audit: Audit, rows: Standing) -> None:
        self._keys.add(audit.transactions)
        if audit.transactions:
            self._progress(audit.transactions[-1].id, rows.last_transaction_id)

    def _kept(self, head: KeptHead) -> list[Finding]:
        found = self._read_block(head.block_id)
        if found is not None and hash_of(found) == head.hash:
            return []
        why = "it is not in the file" if found is None else "the file has another block of that number"
        return [{"check": "head", "block": head.block_id, "head": head.where, "why": why}]

    def _read_block(self, number: int) -> Block | None:
        row = self._reader.row(_BLOCK, (number,), _BLOCK_SHAPE)
        return None if row is None else Block(*row)

    def _save(self, path: Path, audit: Audit) -> None:
        if audit.head.block_id:
            save(path, Kept(FORMAT, self._first_hash, audit.carried(), dict(self._signed)))
        self._saved_s = time.monotonic()

    def _found(self, findings: Iterable[Finding]) -> None:
        add(self._verdict.findings, findings)


def _within(block: Block, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Findings that came up in a block, with its number; those about the block with the rows that it seals:
    which of them was changed, a root cannot tell."""
    for finding in findings:
        named: Finding = {"check": finding["check"], "block": block.id}
        if finding["check"] == "block":
            named["transactions"] = [block.first_transaction_id, block.last_transaction_id]
            named["entries"] = [block.first_entry_id, block.last_entry_id]
        yield named | finding
