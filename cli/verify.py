"""The command `verify`: the file is asked, with its archives, and heads that were kept elsewhere."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from cli.audit import count_of
from engine.checks import line_of
from engine.errors import SolidGreenError
from engine.files import check_is_ours
from engine.keys import public_key_file
from engine.verify import Asked, KeptHead, Verdict
from engine.verify import verify as verify_file
from verifier.check import BLOCK, Refused, fields, header, parse

BAR_WIDTH: Final = 40
DRAWN_EVERY_S: Final = 0.2


class HeadUnusable(SolidGreenError):
    """What was kept elsewhere is no head. The message names the file and the line."""


def verify(options: argparse.Namespace) -> int:
    """Print the verdict; 1 if anything is wrong."""
    check_is_ours(options.db, writing=False)
    trusted = [public_key_file(path) for path in options.public_key] or None
    for _ in kept_heads(options.head):  # what is no head is told before anything else is done
        pass
    bar = Bar()
    try:
        verdict = verify_file(options.db, _asked(options, trusted), bar.draw)
    finally:
        bar.clear()
    if options.json:
        print(json.dumps(_as_json(verdict)))
        return 0 if verdict.ok else 1
    for finding in verdict.findings:
        print(line_of(finding))
    if verdict.first_bad_block is not None:
        print(f"the first bad block is {verdict.first_bad_block}")
    for key in verdict.keys:
        print(f"{key['blocks']} blocks are signed by the key {key['id']}{_trust(trusted)}")
    heads = f", {verdict.heads} heads kept elsewhere" if verdict.heads else ""
    counted = f"{verdict.blocks} blocks, {verdict.entries} entries, {verdict.users} accounts{heads}"
    found = "everything holds" if verdict.ok else count_of(verdict.findings)
    print(f"{options.db}: {counted}{_reach(verdict)}: {found}")
    return 0 if verdict.ok else 1


def _asked(options: argparse.Namespace, trusted: Sequence[bytes] | None) -> Asked:
    return Asked(trusted, kept_heads(options.head), options.state, options.alone)


def _reach(verdict: Verdict) -> str:
    """What was looked at, where that is not the file and all of it."""
    if verdict.alone:
        count = len(verdict.missing)
        files = "1 archive file is" if count == 1 else f"{count} archive files are"
        away = f"; {files} not at hand: {', '.join(verdict.missing)}"
        return f" (behind block {verdict.since}{away if count else ', without its archives'})"
    count = verdict.archives
    read = f", {count} archive{'s' if count > 1 else ''}" if count else ""
    return read + (f" (sealed rows from block {verdict.since + 1} on)" if verdict.since else "")


def kept_heads(paths: Sequence[Path]) -> Iterator[KeptHead]:
    """The blocks of heads and receipts in these files, one at a time. Raises `HeadUnusable`."""
    for path in paths:
        try:
            with path.open(encoding="utf-8") as file:
                first = file.readline()
                if not _is_json(first):  # one object, written over several lines
                    yield _kept(f"{path}", first + file.read())
                    continue
                yield _kept(f"{path}:1", first)
                for number, text in enumerate(file, start=2):
                    if text.strip():
                        yield _kept(f"{path}:{number}", text)
        except OSError as error:
            raise HeadUnusable(f"{path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise HeadUnusable(f"{path}: is not UTF-8") from error


def _kept(where: str, text: str) -> KeptHead:
    try:
        block = fields(parse(text).get("block"), BLOCK)
    except Refused as error:
        raise HeadUnusable(f"{where}: is neither a head nor a receipt: {error}") from error
    return KeptHead(where, block["id"], sha256(header(block)).digest())


def _is_json(text: str) -> bool:
    try:
        parse(text)
    except Refused:
        return False
    return True


def _trust(trusted: Sequence[bytes] | None) -> str:
    return "" if trusted else "; say with --public-key whom you trust"


def _as_json(verdict: Verdict) -> dict[str, object]:
    return {
        "ok": verdict.ok,
        "blocks": verdict.blocks,
        "entries": verdict.entries,
        "users": verdict.users,
        "head": verdict.head,
        "keys": verdict.keys,
        "since": verdict.since,
        "archives": verdict.archives,
        "alone": verdict.alone,
        "missing": verdict.missing,
        "first_bad_block": verdict.first_bad_block,
        "findings": verdict.findings,
    }


class Bar:
    """How far it is, on standard error, if somebody looks."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._began_s = self._drawn_s = time.monotonic()

    def draw(self, done: int, total: int) -> None:
        """`done` of `total` transactions are read."""
        now_s = time.monotonic()
        if not self._is_shown or not 0 < done <= total or now_s - self._drawn_s < DRAWN_EVERY_S:
            return
        self._drawn_s = now_s
        left_s = (now_s - self._began_s) * (total - done) / done
        bar = ("#" * (BAR_WIDTH * done // total)).ljust(BAR_WIDTH, ".")
        words = (
            f"\r[{bar}] {100 * done // total:3} %, {done:,} of {total:,} transactions, {left_s:.0f} s left "
        )
        print(words, end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave nothing of it."""
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
