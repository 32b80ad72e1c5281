"""Recomputes everything that a file of books says, from the file alone: can it be trusted by somebody who
does not trust the program that wrote it? Reads only.

All that `reconcile` checks (engine/checks.py) and, beside it:

signature  a block's signature is not that of its header, or of a key that is not in `signers`
trust      a block is signed by a key that is not among those that were said to be trusted
head       a head that was kept elsewhere is not in the file: its end was cut off, or history was rewritten
state      the block up to which an earlier run has verified is no longer what it was
key, signer, integrity, foreign: see engine/file_checks.py

Each block is a short snapshot; memory grows with the accounts and the free bets, not with entries or bets.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from engine.audit import BLOCK_FIELDS, Audit
from engine.blocks import COLUMNS, Block, hash_of, header_of, key_id_of
from engine.carried import FORMAT, CarriedUnusable, Kept, load, save
from engine.checks import Finding
from engine.file_checks import Keys, check_file, check_signers
from engine.files import open_read_only
from engine.keys import Signatures
from engine.reader import Reader, Shape
from engine.receipts import as_head
from engine.standing import Standing, standing

FINDINGS_MAX: Final = 10_000
"""After so many it is not looked any further: a file that is wrong everywhere must not fill the memory."""

SAVE_EVERY_S: Final = 30.0

_BLOCK = f"SELECT {COLUMNS} FROM blocks WHERE id = ?"  # noqa: S608  names and numbers of our own
_BLOCK_SHAPE: Final = Shape(BLOCK_FIELDS)
Progress = Callable[[int, int], None]
"""Hears how many transactions were read, and how many there are."""


class KeptHead(NamedTuple):
    """A block that was seen elsewhere. `where` names it in findings."""

    where: str
    block_id: int
    hash: bytes


class Asked(NamedTuple):
    """What is to be verified beside the file itself. `trusted`: public keys (32 bytes), None if any will do;
    `state`: where it is kept how far this and earlier runs came."""

    trusted: Sequence[bytes] | None = None
    heads: Iterable[KeptHead] = ()
    state: Path | None = None


@dataclass
class Verdict:
    """`blocks`, `entries` and `users` say how many there are; `since` from behind which block on sealed rows
    were looked at. `keys`: the id of each key and how many blocks it has signed."""

    blocks: int = 0
    entries: int = 0
    users: int = 0
    since: int = 0
    head: dict[str, Any] | None = None
    keys: list[dict[str, Any]] = field(default_factory=list)
    heads: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def first_bad_block(self) -> int | None:
        """The first block about which there is a finding; None if there is none."""
        return min((each["block"] for each in self.findings if "block" in each), default=None)


class _Enough(Exception):
    """There are `FINDINGS_MAX` findings."""


def verify(path: Path, asked: Asked = Asked(), progress: Progress = lambda done, total: None) -> Verdict:  # noqa: B008
    """Check the whole file. Where SQLite cannot read it on, that is a finding. Raises `CarriedUnusable` and
    `sqlite3.Error` where nothing can be read at all.
    """
    kept = None if asked.state is None else load(asked.state)
    verdict = Verdict()
    with contextlib.closing(open_read_only(path)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        try:
            _Run(connection, path, asked, verdict, progress).run(kept)
        except sqlite3.DatabaseError as error:
            verdict.findings.append({"check": "integrity", "why": str(error)})
        except _Enough:
            why = f"there are more than {FINDINGS_MAX} findings: it was not looked any further"
            verdict.findings.append({"check": "integrity", "why": why})
    return verdict


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
        self._keys = Keys()
        self._signed: Counter[str] = Counter()
        self._first_hash = b""
        self._saved_s = time.monotonic()

    def run(self, kept: Kept | None) -> None:
        rows = standing(self._connection, self._reader)
        self._verdict.users = len(rows.users)
        self._found(rows.unsealed)
        self._found(check_file(self._connection, self._path))
        signers, unsound = check_signers(self._reader)
        self._found(unsound)
        audit = Audit(self._reader, rows)
        if kept is not None:
            self._resume(audit, kept, rows)
        self._history(audit, rows, Signatures(signers.values()))
        self._found(audit.verdict())
        self._found(self._keys.check(self._reader, rows.last_transaction_id))
        for head in self._asked.heads:
            self._verdict.heads += 1
            self._found(self._kept(head))
        self._verdict.entries = audit.entries
        self._verdict.keys = [{"id": id_, "blocks": count} for id_, count in sorted(self._signed.items())]
        if self._asked.state is not None and self._verdict.ok:
            self._save(self._asked.state, audit)

    def _resume(self, audit: Audit, kept: Kept, rows: Standing) -> None:
        """Go on behind the block up to which an earlier run has verified, if it is still that one."""
        height = kept.carried.block_id
        first = self._read_block(1)
        if first is None or hash_of(first) != kept.first_hash:
            raise CarriedUnusable(f"{self._asked.state}: is the state of other books")
        found = self._read_block(height)
        if found is None or hash_of(found) != kept.carried.hash or found.hash != kept.carried.hash:
            why = "it is not the block that was verified before: everything is checked again"
            self._found([{"check": "state", "block": height, "why": why}])
            return
        for block, findings in audit.resume(kept.carried):
            self._read(audit, rows)
            self._found(_within(block, findings))
        self._signed.update(kept.keys)
        self._first_hash = kept.first_hash
        self._verdict.since = self._verdict.blocks = height
        self._verdict.head = as_head(found)

    def _history(self, audit: Audit, rows: Standing, signatures: Signatures) -> None:
        asked = self._asked
        trusted = None if asked.trusted is None else {key_id_of(key) for key in asked.trusted}
        for block, findings in audit.history():
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
            self._verdict.head = as_head(block)
            if (
                asked.state is not None
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
        for finding in findings:
            if len(self._verdict.findings) >= FINDINGS_MAX:
                raise _Enough
            self._verdict.findings.append(finding)


def _within(block: Block, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Findings that came up in a block, with its number; those about the block with the rows that it seals:
    which of them was changed, a root cannot tell."""
    for finding in findings:
        named: Finding = {"check": finding["check"], "block": block.id}
        if finding["check"] == "block":
            named["transactions"] = [block.first_transaction_id, block.last_transaction_id]
            named["entries"] = [block.first_entry_id, block.last_entry_id]
        yield named | finding
