"""Send malformed frames, messages, requests and tokens to a real server, and see that nothing comes of them.

    python -m tests.fuzz.wire_fuzz --cases 100000 --seed 7
    python -m tests.fuzz.wire_fuzz --seed 7 --only 4711,4712        the same cases again

A case is made of its seed and number alone (`cases.py`). Messages to one door share a socket, fifty at a
time; what breaks the framing, HTTP, or a token has a connection of its own. After each of these:
- every message that is surely wrong was answered by an error, nothing was answered by INTERNAL or a doubt, no
  socket was closed that should not be (1011 never), no HTTP status is above 499, no bad token was welcomed;
- the server's process is there, and its log has no traceback, no ERROR, no session that failed;
- no row of its file is another than before (SQLite tells whether anything was committed).
A player who means no harm is answered all the time, and the server's memory is flat.

Exit status: 0 when there is nothing to report; 1 with the finding, the numbers of its group and, if one case
on a socket of its own will do, that case.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import socket
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.wire import bet, now_ms
from tests.fuzz.cases import KINDS, Case, case
from tests.fuzz.shapes import SHAPES
from tests.fuzz.target import Target, target
from tests.server_fixture import CLOSE, TEXT, RawSocket, frame

GROUP: Final = 50
"""Cases on one socket."""

CANARY_EVERY: Final = 500
GROWTH_KB: Final = 16 * 1024
"""What the server's memory may grow by, from the first tenth of the cases to the last: what one hostile
client may cost (`test_wire_floods.py`); a leak of 200 bytes a case is more, in 100,000.
"""

WARM_UP_MAX: Final = 5_000
PAUSE_S: Final = 0.02
"""How long HTTP has to answer what may be half a request, before the connection is ended on this side."""

OVERLONG_PING: Final = frame('{"type":"ping","id":"end"}' + " " * 66_000)
"""Behind bytes whose length may swallow what follows."""

NEVER: Final = {"INTERNAL", "OUTCOME_UNKNOWN"}
BAD_CLOSES: Final = {1001, 1011, 1012, 1013, 1014}
STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3}) ")

Json = dict[str, Any]


class Fuzzed(Exception):
    """The server did what it must not. The message says what."""


@dataclass
class Shown:
    """What a run showed."""

    cases: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    types: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of messages: how many were made of that request type, by door."""
    told: Counter[str] = field(default_factory=Counter)
    """Codes of refusals, close codes, HTTP statuses."""
    canary: int = 0
    memory_kb: list[int] = field(default_factory=list)
    """Of the server: after the warm-up, then after each tenth."""
    took_s: float = 0.0
    finding: str | None = None
    group: tuple[int, ...] = ()

    def __str__(self) -> str:
        told = ", ".join(f"{what} {count}" for what, count in sorted(self.told.items()))
        memory = " ".join(f"{kb / 1024:.1f}" for kb in self.memory_kb)
        return (
            f"{self.cases} cases in {self.took_s:.0f} s: "
            + ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
            + f"\ntold: {told}\ncanary served {self.canary} times"
            + f"\nmemory after the warm-up and after each tenth, MiB: {memory}"
        )


class Trial:
    """One run of cases against one target. `per_socket`: how many messages share a socket."""

    def __init__(self, at: Target, seed: str, per_socket: int = GROUP) -> None:
        self._at = at
        self._seed = seed
        self._per_socket = per_socket
        self.shown = Shown()

    def run(self, numbers: Sequence[int]) -> Shown:
        """Send those cases. Stops at the first finding."""
        began = time.monotonic()
        shown = self.shown
        warm = min(len(numbers) // 10, WARM_UP_MAX)
        step = max(1, len(numbers) // 10)
        samples, canaries = warm, 0
        for group in self._groups(numbers):
            try:
                self._send(group)
                finding = self._at.finding()
                if finding is None and shown.cases >= canaries:
                    canaries += CANARY_EVERY
                    shown.canary += 1
                    finding = self._at.canary_finding()
            except (Fuzzed, TimeoutError, ConnectionError, EOFError, ValueError) as fault:
                finding = self._at.finding() or f"{type(fault).__name__}: {fault}"
            shown.cases += len(group)
            if finding is not None:
                shown.finding, shown.group = finding, tuple(each.number for each in group)
                break
            if shown.cases >= samples:
                samples += step
                shown.memory_kb.append(self._at.resident_kb())
                print(f"{shown.cases} cases, {shown.memory_kb[-1] / 1024:.1f} MiB", flush=True)
        else:
            shown.memory_kb.append(self._at.resident_kb())
            shown.finding = self._at.books_changed() or self._at.canary_finding() or _grown(shown.memory_kb)
        shown.took_s = time.monotonic() - began
        return shown

    def _groups(self, numbers: Iterable[int]) -> Iterator[list[Case]]:
        """The cases, those that can share a socket together. What is surely wrong apart from what may be
        refused or not: else a refusal of the latter would stand in for one of the former that is missing."""
        waiting: dict[tuple[str, bool], list[Case]] = defaultdict(list)
        for number in numbers:
            each = case(self._seed, number, self._at.things, now_ms())
            self.shown.kinds[each.kind] += 1
            if each.kind == "message":
                self.shown.types[each.type, each.door] += 1
            if each.kind == "message" and each.door != "stranger":
                place = each.door, each.refusals > 0
                waiting[place].append(each)
                if len(waiting[place]) == self._per_socket:
                    yield waiting.pop(place)
            else:
                yield [each]
        yield from waiting.values()

    def _send(self, group: list[Case]) -> None:
        match group[0]:
            case Case(kind="message", door="stranger"):
                self._by_a_stranger(group[0])
            case Case(kind="message"):
                self._messages(group)
            case Case(kind="frames"):
                self._frames(group[0])
            case Case(kind="http"):
                self._http(group[0])
            case _:
                self._token(group[0])

    def _messages(self, group: list[Case]) -> None:
        door, port = group[0].door, self._at.server.port
        with RawSocket(port, token=self._at.token(door, group[0].number)) as raw:
            raw.read_messages()
            last: list[Json] = [{"type": "ping", "id": "fuzz ping"}]
            if door != "auditor":  # behind all that the batcher was given: nothing there overtakes it
                whose = {"user_id": self._at.things.user_id} if door == "operator" else {}
                last.append(bet(1, id="fuzz bet", sent_at=0, **whose))
            raw.send(b"".join(frame(each.sent) for each in group) + frame(json.dumps(last)))
            awaited = {each["id"] for each in last}
            refused = 0
            while awaited:
                opcode, payload = raw.read_frame()
                if opcode == CLOSE:
                    raise Fuzzed(f"a socket of sound frames was closed: {payload!r}")
                for message in self._heard(payload):
                    if message["type"] != "bet.pending":
                        awaited.discard(message.get("id"))
                    refused += message["type"] in ("error", "bet.rejected")
            expected = sum(each.refusals for each in group)
            if refused - len(last) + 1 < expected:  # the last bet is refused as well
                raise Fuzzed(f"{expected} messages that are surely wrong had {refused} refusals")

    def _by_a_stranger(self, one: Case) -> None:
        with RawSocket(self._at.server.port) as raw:
            raw.send_frame(one.sent)
            self._ended(raw, one, {4401})

    def _frames(self, one: Case) -> None:
        assert isinstance(one.sent, bytes)
        token = self._at.token("player", one.number) if one.door == "player" else None
        with RawSocket(self._at.server.port, token=token) as raw:
            if token is not None:
                raw.read_messages()
            try:
                raw.send(one.sent + (OVERLONG_PING if one.number % 2 else b""))
                raw.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has closed already, which is the answer
            self._ended(raw, one, None)

    def _token(self, one: Case) -> None:
        assert isinstance(one.sent, str)
        in_header = one.door == "header"
        with RawSocket(self._at.server.port, token=one.sent if in_header else None) as raw:
            if raw.status != 101:
                self._is_status(raw.status)
                return
            if not in_header:
                raw.send_frame(json.dumps({"type": "auth", "token": one.sent}))
            self._ended(raw, one, {4401})

    def _http(self, one: Case) -> None:
        assert isinstance(one.sent, bytes)
        heard = b""
        with RawSocket(self._at.server.port, upgrade=False) as raw:
            patience_s = raw.socket.gettimeout()
            try:
                raw.send(one.sent)
                raw.socket.settimeout(PAUSE_S)
                while some := _received(raw):
                    heard += some
                raw.socket.settimeout(patience_s)
                raw.socket.shutdown(socket.SHUT_WR)
                while some := raw.socket.recv(65536):
                    heard += some
            except TimeoutError:
                raise Fuzzed(f"neither answered nor closed: {one.sent[:200]!r}") from None
            except OSError:
                pass  # reset: it had not read all that was sent
        for status in STATUS.findall(heard):
            self._is_status(int(status))

    def _is_status(self, status: int) -> None:
        self.shown.told[f"HTTP {status}"] += 1
        if status >= 500:
            raise Fuzzed(f"HTTP {status}")

    def _ended(self, raw: RawSocket, one: Case, codes: set[int] | None) -> None:
        """Read until the server ends it: with one of `codes` if there are any, never by a fault of its."""
        code = 1006
        try:
            while True:
                opcode, payload = raw.read_frame()
                if opcode == CLOSE:
                    code = int.from_bytes(payload[:2]) if payload else 1005
                    break
                if opcode == TEXT and any(each["type"] == "welcome" for each in self._heard(payload)):
                    raise Fuzzed("a stranger was welcomed")
        except TimeoutError:
            raise Fuzzed(f"neither answered nor closed: {one.sent[:200]!r}") from None
        except (EOFError, ConnectionError):
            pass
        self.shown.told[f"close {code}"] += 1
        if code in BAD_CLOSES or (codes is not None and code not in codes):
            raise Fuzzed(f"closed with {code}")

    def _heard(self, payload: bytes) -> list[Json]:
        content = json.loads(payload) if payload[:1] in (b"{", b"[") else []
        messages: list[Json] = content if isinstance(content, list) else [content]
        for message in messages:
            if code := message.get("code"):
                self.shown.told[code] += 1
                if code in NEVER:
                    raise Fuzzed(f"an answer was {message}")
        return messages


def _received(raw: RawSocket) -> bytes:
    try:
        return raw.socket.recv(65536)
    except TimeoutError:
        return b""


def _grown(memory_kb: Sequence[int]) -> str | None:
    grown = memory_kb[-1] - memory_kb[0]
    return f"memory has grown by {grown} KiB, after the warm-up" if grown > GROWTH_KB else None


def fuzz(
    folder: Path,
    seed: str,
    numbers: Sequence[int],
    module: str = "cli.main",
    per_socket: int = GROUP,
) -> Shown:
    """Those cases against a new server of `module`."""
    with target(folder, module) as at:
        return Trial(at, seed, per_socket).run(numbers)


def vacuous(shown: Shown) -> list[str]:
    """Why a run proves less than it says."""
    missing = [f"no case was one of {kind}" for kind in KINDS if not shown.kinds[kind]]
    types = {type_ for type_, _ in shown.types}
    missing += [f"no message was made of {type_}" for type_ in SHAPES if type_ not in types]
    reached = ["INVALID_REQUEST", "FORBIDDEN", "UNAUTHORIZED", "STALE_REQUEST", "IDEMPOTENCY_CONFLICT",
               "close 1002", "close 1007", "close 1009", "close 4400", "close 4401", "HTTP 400", "HTTP 404",
               "HTTP 101"]  # fmt: skip
    return missing + [f"nothing was told {what}" for what in reached if not shown.told[what]]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="wire_fuzz", description="Send what is malformed, in every way.")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", default=None, help="any text; one is drawn, and printed, if absent")
    parser.add_argument("--only", default=None, help="these numbers, separated by commas")
    chosen = parser.parse_args(arguments)
    seed = chosen.seed or secrets.token_hex(4)
    numbers = [int(number) for number in chosen.only.split(",")] if chosen.only else range(chosen.cases)
    print(f"seed {seed}, {len(numbers)} cases", flush=True)
    with tempfile.TemporaryDirectory(prefix="wire-fuzz-") as folder:
        shown = fuzz(Path(folder), seed, numbers)
    print(shown)
    if shown.finding is not None:
        group = ",".join(map(str, shown.group))
        print(f"FOUND: {shown.finding}\nagain with: --seed {seed} --only {group}")
        if len(shown.group) > 1:
            with tempfile.TemporaryDirectory(prefix="wire-fuzz-") as folder:
                alone = fuzz(Path(folder), seed, shown.group, per_socket=1)
            if alone.finding is not None:
                print(f"on a socket of its own: --seed {seed} --only {alone.group[0]}: {alone.finding}")
        return 1
    for lack in vacuous(shown) if chosen.only is None else []:
        print(f"vacuous: {lack}")
        return 1
    print("nothing came of it: no fault, no 5xx, no row, memory flat")
    return 0


if __name__ == "__main__":
    sys.exit(main())
