"""Runs a script of events on the client's state machine, and tells what it does at each step.

`tests/run_scripts.mjs` runs the same scripts on the machine in JavaScript, and tells it in the same words.
A step is an object: `at`, milliseconds, and what happens, one of `connected`, `receive` (messages), `closed`
(a code), `start` (`as`, `request`, `only_looks`, `is_doubtful`), `abandon`, `follow` (a seq), `unfollow`,
`take` (how many entries), or nothing but the time.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ws.client.errors import Gap, NotPlaced
from ws.client.state import ClientState, Phase, Task
from ws.wire.fields import Reply, Request
from ws.wire.messages import AnyRequest

Json = dict[str, Any]


class Script:
    """One machine, and the tasks that a script has named."""

    def __init__(self, chances: Sequence[float] = (0.5,)) -> None:
        cycle = itertools.cycle(chances)
        self.state = ClientState(lambda: next(cycle))
        self.tasks: dict[str, Task] = {}

    def step(self, step: Mapping[str, Any]) -> Json:
        """Let it happen, send what is due, and tell."""
        at, state = step["at"], self.state
        taken: list[Any] = []
        if "connected" in step:
            state.connected(at)
        if "receive" in step:
            state.receive(json.dumps(step["receive"]), at)
        if "closed" in step:
            state.disconnected(step["closed"], at, step.get("retry_after_ms"))
        if "start" in step:
            start = step["start"]
            made_here = {"id": "?", "sent_at": 0} if start["request"]["type"] == "bet.place" else {"id": "?"}
            request: Request = msgspec.convert(made_here | start["request"], AnyRequest)
            self.tasks[start["as"]] = state.start(
                request,
                only_looks=start.get("only_looks", False),
                is_doubtful=start.get("is_doubtful", False),
            )
        if "abandon" in step:
            state.abandon(self.tasks[step["abandon"]])
        if "follow" in step:
            state.view.feed.follow(step["follow"])
        if "unfollow" in step:
            state.view.feed.unfollow()
        for _ in range(min(step.get("take", 0), len(state.view.feed.waiting))):
            taken.append(_shown(state.view.feed.waiting.popleft()))
        return self._told(at, taken)

    def _told(self, at: int, taken: list[Any]) -> Json:
        state = self.state
        frames = [json.loads(frame) for frame in state.to_send(at)]
        finished, state.finished = state.finished, []
        unasked, state.unasked = state.unasked, []
        names = {task: name for name, task in self.tasks.items()}
        funds = state.view.funds
        return {
            "sent": [each for frame in frames for each in (frame if isinstance(frame, list) else [frame])],
            "frames": len(frames),
            "done": {names[task]: _shown(task.result) for task in finished},
            "rejected": sorted(name for name, task in self.tasks.items() if task.is_rejected),
            "phase": state.phase.value,
            "wake_ms": None if state.phase in (Phase.OFFLINE, Phase.ENDED) else state.wake_ms(),
            "connect_ms": state.connect_ms if state.phase is Phase.OFFLINE else None,
            "needs_token": state.needs_token,
            "fault": None if state.fault is None else type(state.fault).__name__,
            "dead": state.is_dead(at),
            "funds": None if funds is None else funds._asdict(),
            "cursor": state.view.feed.cursor,
            "waiting": len(state.view.feed.waiting),
            "taken": taken,
            "unasked": [msgspec.to_builtins(message)["type"] for message in unasked],
        }


def _shown(result: Reply | NotPlaced | Gap | None) -> Any:
    match result:
        case NotPlaced():
            return {"type": "not_placed", "bet_id": result.bet_id}
        case Gap():
            return {"type": "gap", "after_seq": result.after_seq, "upto_seq": result.upto_seq}
        case _:
            return msgspec.to_builtins(result)


def run(steps: Iterable[Mapping[str, Any]], chances: Sequence[float] = (0.5,)) -> list[Json]:
    """What is told of each step."""
    script = Script(chances)
    return [script.step(step) for step in steps]
