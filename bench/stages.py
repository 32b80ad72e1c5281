"""The stages of a bet, and which of them a sampled stack is in. Pure, but for reading the sources.

A stack belongs to the innermost function that the table knows: `json.dumps` called by `encode_frame` is
encoding, whoever called that. Whatever no stage knows is `OTHER`, and is told like any other line.

The table is checked against the sources before anything is measured, so a function that was renamed is an
error here and not a microsecond in the wrong line.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench.machine import ROOT

OTHER: Final = "other"
REDIS: Final = "nonces, in Redis' own process"

# A place is a file, `file:function`, or `file:function:call`, where `call` is part of a call's text. The more
# exact one wins. Files are as py-spy shortens them: from the outermost package on.
STAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "receive and parse frames": (
        "ws/transport/websocket_door.py",
        "ws/transport/turns.py",
        "uvicorn/protocols/websockets/websockets_sansio_impl.py",
    ),
    "decode": ("ws/codec.py", "ws/protocol.py:Conversation.read"),
    "protocol and admission": (
        "ws/sockets/session.py:Session.take",
        "ws/protocol.py",
        "batcher/batcher.py:Batcher.submit",
        "batcher/breaker.py",
        "batcher/pipeline.py:Pipeline.offer",
        "batcher/policy.py:Queue.offer",
        "batcher/undecided.py",
    ),
    "close a batch, hand it over": (
        "batcher/pipeline.py",
        "batcher/policy.py",
        "engine/store.py:Store.write",
        "aiosqlite/core.py:set_result",  # the way back from its threads
    ),
    "nonces": (
        "batcher/pipeline.py:Pipeline._ask_nonces",
        "batcher/nonces.py",
        "batcher/lateness.py",
        "batcher/memory_nonces.py",
        "batcher/redis_nonces.py",
        "asyncio/streams.py",  # redis-py's; the sockets of players have none
    ),
    REDIS: (),  # no Python to be seen there: a line of its own by its process
    "look-up": ("engine/store.py:Store._next_view", "engine/warm.py"),
    "look up keys (SQLite)": ("engine/prefetch.py:look_up",),
    "decide": (
        "engine/store.py:Store.prepare",
        "engine/decide/__init__.py",
        "engine/decide/place.py",
        "engine/decide/answers.py",
        "engine/view.py",
        "engine/commands.py",
    ),
    "seal": ("engine/blocks.py",),
    "begin, call the next batch": (
        "engine/writer.py:Writer.write",
        "engine/writer.py:Writer._is_as_we_left_it",
        "engine/rows.py:write",
    ),
    "rows of transactions (bind, SQLite)": ("engine/rows.py:write:_ADD_TRANSACTION",),
    "rows of transaction_ledger (bind, SQLite)": ("engine/rows.py:write:_ADD_ENTRY",),
    "rows of bets (bind, SQLite)": ("engine/rows.py:write:_ADD_BET",),
    "rows of users (bind, SQLite)": ("engine/rows.py:write:_MOVE", "engine/rows.py:write:_CHANGE_ACCOUNTS"),
    "block: open, check, seal (SQLite)": (
        "engine/rows.py:write:_OPEN_BATCH",
        "engine/rows.py:write:_SEAL",
    ),
    "COMMIT (WAL, fsync)": (
        "engine/writer.py:Writer._commit:execute('COMMIT')",
        "engine/writer.py:Writer.checkpoint",
    ),
    "resolve": (
        "batcher/pipeline.py:Pipeline.write",
        "batcher/pipeline.py:Pipeline._settle",
        "batcher/pipeline.py:Pipeline._outcomes",
        "batcher/copies.py",
        "batcher/undecided.py:Undecided.leave",
        "batcher/batcher.py:Batcher._tell",
        "ws/sockets/session.py:Session.answer",
        "ws/protocol.py:Conversation.answered",
        "ws/wire/outcomes.py:answer",
        "ws/wire/outcomes.py:bet_answer",
        "ws/sockets/hub.py:Hub.posted",
    ),
    "encode": ("ws/codec.py:encode_frame",),
    "send": (
        "ws/sockets/hub.py:Hub._deliver",
        "ws/sockets/session.py:Session.deliver",
        "ws/transport/websocket_door.py:WebSocketDoor.write",
    ),
}
"""In the order in which a bet comes through them."""

ROOTS: Final[Mapping[str, tuple[str, ...]]] = {
    "wake up, hand back": ("aiosqlite/core.py:_connection_worker_thread",),
    "event loop and recv(2)": ("asyncio/runners.py:Runner.run",),
}
"""From where all the rest is called. They count only as the innermost function: else nothing would be
`OTHER`. A thread that stands here, and does not run, waits for work.
"""

MARKS: Final[Mapping[str, str]] = {
    "writer": "engine/writer.py:Writer.write",
    "reader": "engine/prefetch.py:look_up",
}
"""A thread that is ever seen in this function has this part, the first that fits. The main thread is the
event loop's."""


class Frame(NamedTuple):
    """One call of a stack: the function's qualified name, its file, and the line where it is."""

    function: str
    file: str
    line: int


class Stack(NamedTuple):
    """How often a thread, by its id in the system, was seen with these calls, outermost first."""

    thread_id: int
    frames: tuple[Frame, ...]
    samples: int


_THREAD = re.compile(r"thread \((\d+)\)")
_FRAME = re.compile(r"(.+) \((.+):(\d+)\)")


def read_stacks(text: str) -> list[Stack]:
    """What `py-spy record --threads --format raw` has written. Raises `ValueError` if it is anything else."""
    stacks = []
    for line in text.splitlines():
        calls, _, count = line.rpartition(" ")
        thread, *inner = calls.split(";")
        of_thread, frames = _THREAD.match(thread), [_FRAME.fullmatch(call) for call in inner]
        if of_thread is None or not count.isdecimal():
            raise ValueError(f"no stack of a thread: {line[:200]!r}")
        # What is no function's frame (a thread that is just starting) is none that a stage could know.
        known = [Frame(found[1], found[2], int(found[3])) for found in frames if found is not None]
        stacks.append(Stack(int(of_thread[1]), tuple(known), int(count)))
    return stacks


class _Parts(dict[int, str]):
    def __missing__(self, thread_id: int) -> str:
        return "other threads"


class StageTable:
    """A table of stages that fits the sources."""

    def __init__(
        self,
        stages: Mapping[str, tuple[str, ...]] = STAGES,
        roots: Mapping[str, tuple[str, ...]] = ROOTS,
        marks: Mapping[str, str] = MARKS,
        folders: Sequence[Path] = (ROOT, *map(Path, sys.path)),
    ) -> None:
        """`folders`: where the files are looked for. Raises `LookupError` if one is not there or does not
        have such a function or call, or if a place is named twice.
        """
        self._sources = _Sources(folders)
        self._stages = self._by_key((stage, place) for stage, places in stages.items() for place in places)
        self._roots = self._by_key((stage, place) for stage, places in roots.items() for place in places)
        self._marks = self._by_key(marks.items())
        self.lines = [*stages, *roots, OTHER]
        """All names of lines, in the order of the table."""

    def stage_of(self, stack: Stack) -> str:
        """The stage of the innermost function that the table knows; `OTHER` if it knows none."""
        for frame in reversed(stack.frames):
            if (stage := _most_exact(self._stages, frame)) is not None:
                return stage
        return self.root_of(stack) or OTHER

    def root_of(self, stack: Stack) -> str | None:
        """The root in which the thread stands, if it does."""
        return _most_exact(self._roots, stack.frames[-1]) if stack.frames else None

    def parts(self, stacks: Iterable[Stack], main_thread_id: int) -> Mapping[int, str]:
        """What each thread is for: `loop`, a key of `MARKS`, or else `other threads`."""
        seen: dict[int, set[str]] = {}
        for stack in stacks:
            marks = (_most_exact(self._marks, frame) for frame in stack.frames)
            seen.setdefault(stack.thread_id, set()).update(mark for mark in marks if mark is not None)
        parts = _Parts({main_thread_id: "loop"})
        for thread_id, found in seen.items():
            if first := next((mark for mark in self._marks.values() if mark in found), None):
                parts.setdefault(thread_id, first)
        return parts

    def _by_key(self, places: Iterable[tuple[str, str]]) -> dict[_Key, str]:
        known: dict[_Key, str] = {}
        for name, place in places:
            for key in self._sources.keys(place):
                if key in known:
                    raise LookupError(f"{place}: known as {known[key]!r} and as {name!r}")
                known[key] = name
        return known


_Key = tuple[str, str, int]
"""File, function, line; "" and 0 stand for any."""


def _most_exact(known: Mapping[_Key, str], frame: Frame) -> str | None:
    function = frame.function.partition(".<locals>.")[0]  # a comprehension is where it is written
    keys = ((frame.file, function, frame.line), (frame.file, function, 0), (frame.file, "", 0))
    return next((known[key] for key in keys if key in known), None)


class _Sources:
    """Finds places in the sources."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._functions: dict[str, dict[str, ast.AST]] = {}

    def keys(self, place: str) -> list[_Key]:
        file, _, named = place.partition(":")
        function, _, call = named.partition(":")
        if file not in self._functions:
            self._functions[file] = dict(_functions(self._parse(file)))
        if not function:
            return [(file, "", 0)]
        node = self._functions[file].get(function)
        if node is None:
            raise LookupError(f"{file} has no function {function}")
        if not call:
            return [(file, function, 0)]
        lines = {
            line
            for each in ast.walk(node)
            if isinstance(each, ast.Call) and call in ast.unparse(each)
            for line in range(each.lineno, (each.end_lineno or each.lineno) + 1)
        }
        if not lines:
            raise LookupError(f"{function} in {file} calls nothing like {call}")
        return [(file, function, line) for line in sorted(lines)]

    def _parse(self, file: str) -> ast.Module:
        for folder in self._folders:
            if (folder / file).is_file():
                return ast.parse((folder / file).read_text(encoding="utf-8"))
        raise LookupError(f"there is no {file}")


def _functions(node: ast.AST, within: str = "") -> Iterable[tuple[str, ast.AST]]:
    """The functions of a module and of its classes, by qualified name."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield within + child.name, child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{within}{child.name}.")
