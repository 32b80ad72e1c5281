"""The load of a kill cycle: players who bet as fast as they are answered, an operator who ends their bets."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.process import seed
from harness.wire import SocketClosed, Wire, bet, connect, now_ms
from tests.crash.moves import Move, ending, transfer, under_another_key
from tests.crash.witness import Bet, Witness

Json = dict[str, Any]

OPERATOR = 1  # a book of the house's: it needs no wallet

IN_FLIGHT = 6  # bets that each rich socket keeps in flight
STAKE_MAX = 50
DOUBLED_SHARE = 0.05  # of the bets, sent twice with the same bet_id

POOR_BETS = 6  # a cycle and poor player: few, for the server bounds how many refusals it records a minute
POOR_PAUSE_MAX_S = 0.05
POOR_BALANCE = 400
RICH_BALANCE = 1_000_000_000

MOVES_IN_FLIGHT = 12  # of the operator's: one for each ten bets or so
TRANSFER_SHARE = 0.2  # of them, into wallets and out of them; the others end bets
TRANSFER_MAX = 500

RETRY_AFTER_MS = 20  # where a retryable refusal does not say
FRAME_BETS = 200  # bets asked about in one array frame


@dataclass(frozen=True)
class Player:
    """A wallet and who may act for it. A poor one soon bets what it does not have."""

    user_id: int
    token: str
    poor: bool


def seat_players(db: Path, witness: Witness, sockets: int, module: str) -> list[Player]:
    """Seed wallets for so many sockets, and note what each holds.

    Two thirds as many players, so that a third of the sockets are a player's second one; the poor come last
    and have one each. `module`: what is run to seed.
    """
    poor = max(1, sockets // 8)
    rich = sockets * 2 // 3 - poor
    players = []
    for count, balance in ((rich, RICH_BALANCE), (poor, POOR_BALANCE)):
        for seeded in seed(db, count, balance, module=module):
            players.append(Player(seeded["id"], seeded["token"], poor=balance == POOR_BALANCE))
            witness.record(player=seeded["id"], seeded=balance)
    return players


class Table:
    """The sockets of one cycle, open at once, each with its player."""

    def __init__(self, url: str, witness: Witness) -> None:
        self._url = url
        self._witness = witness
        self._sockets: dict[Player, list[Wire]] = defaultdict(list)
        self._stack = AsyncExitStack()
        self._to_end: deque[tuple[Player, Json]] = deque()
        """Bets that were confirmed, for the operator to end."""

    async def sit(self, players: list[Player], sockets: int, operator: str) -> None:
        """Open `sockets` sockets: one for every player, then one more for the first ones, and so on round.
        One more is the operator's, whose token is given.
        """
        sitting = connect(self._url, operator, on_message=self._witness.heard)
        self._operator = await self._stack.enter_async_context(sitting)
        for number in range(sockets):
            player = players[number % len(players)]
            opening = connect(self._url, player.token, on_message=self._witness.heard)
            self._sockets[player].append(await self._stack.enter_async_context(opening))

    async def play(self, seed: str) -> None:
        """Bet on every socket until the server goes away; what was in flight then stays unanswered."""
        async with asyncio.TaskGroup() as tasks:
            for player, wires in self._sockets.items():
                for number in range(1 if player.poor else IN_FLIGHT * len(wires)):
                    rng = random.Random(f"{seed}/{player.user_id}/{number}")
                    behaviour = self._bet_poorly if player.poor else self._bet_on
                    tasks.create_task(behaviour(player, number % len(wires), rng))
            for number in range(MOVES_IN_FLIGHT):
                tasks.create_task(self._operate(random.Random(f"{seed}/operator/{number}")))

    async def _bet_on(self, player: Player, seat: int, rng: random.Random) -> None:
        wires = self._sockets[player]
        try:
            while True:
                request = bet(rng.randint(1, STAKE_MAX))
                if rng.random() >= DOUBLED_SHARE:
                    await self._place(player, wires[seat], request)
                elif rng.random() < 0.5:
                    await self._place(player, wires[seat], request, request)
                else:  # again on another socket of the same wallet, if it has one
                    again = self._place(player, wires[seat - 1], request)
                    await asyncio.gather(self._place(player, wires[seat], request), again)
        except SocketClosed:
            return

    async def _bet_poorly(self, player: Player, seat: int, rng: random.Random) -> None:
        try:
            for _ in range(POOR_BETS):
                await asyncio.sleep(rng.uniform(0, POOR_PAUSE_MAX_S))
                await self._place(player, self._sockets[player][seat], bet(rng.randint(1, POOR_BALANCE * 2)))
        except SocketClosed:
            return

    async def _place(self, player: Player, wire: Wire, *requests: Json) -> None:
        """Send `requests` in one frame, logged before they leave, and wait for what ends each of them."""
        exchanges = await wire.send(*(self._witness.sending(player.user_id, request) for request in requests))
        for exchange in exchanges:
            answer = await exchange.answer()
            if answer["type"] == "bet.confirmed" and not answer["replayed"]:
                self._to_end.append((player, exchange.request))
            await _as_asked(answer)

    async def _operate(self, rng: random.Random) -> None:
        """End bets, some of them twice, and move money into wallets and out of them."""
        players = list(self._sockets)
        try:
            while True:
                if rng.random() < TRANSFER_SHARE or not self._to_end:
                    player = rng.choice(players)
                    requests = [transfer(player.user_id, TRANSFER_MAX, rng)]
                else:
                    player, placed = self._to_end.popleft()
                    requests = [ending(placed["bet_id"], placed["stake"], rng)]
                if rng.random() < DOUBLED_SHARE:
                    again = requests[0] if rng.random() < 0.5 else under_another_key(requests[0])
                    requests.append(again)
                await self._move(player.user_id, *requests)
        except SocketClosed:
            return

    async def _move(self, user_id: int, *requests: Json) -> None:
        """Send an operator's `requests` in one frame, logged before they leave, and wait for each answer."""
        logged = [self._witness.sending(user_id, request) for request in requests]
        for exchange in await self._operator.send(*logged):
            await _as_asked(await exchange.answer())

    async def move_again(self, moves: Iterable[Move]) -> None:
        """Send each of `moves` once more, under its key."""
        for move in moves:
            await self._move(move.user_id, move.request)

    async def look_up(self, bets: Iterable[Bet]) -> None:
        """Ask `bet.get` for each of `bets`, every player for its own."""
        await self._ask(bets, lambda one: {"type": "bet.get", "bet_id": one.bet_id})

    async def place_again(self, bets: Iterable[Bet]) -> None:
        """Send each of `bets` once more: same `bet_id`, same nonce, `sent_at` of now."""
        await self._ask(bets, lambda one: one.request | {"sent_at": now_ms()})

    async def _ask(self, bets: Iterable[Bet], question: Callable[[Bet], Json]) -> None:
        asked: dict[int, list[Bet]] = defaultdict(list)
        for one in bets:
            asked[one.user_id].append(one)

        async def by(player: Player) -> None:
            questions = [question(one) for one in asked[player.user_id]]
            for start in range(0, len(questions), FRAME_BETS):
                some = questions[start : start + FRAME_BETS]
                logged = [self._witness.sending(player.user_id, request) for request in some]
                await self._sockets[player][0].ask_all(*logged)

        await asyncio.gather(*(by(player) for player in self._sockets))

    async def __aenter__(self) -> Table:
        return self

    async def __aexit__(self, *fault: Any) -> None:
        await self._stack.__aexit__(*fault)


async def _as_asked(answer: Json) -> None:
    """Where the server asks for less, give it that before going on."""
    if answer.get("retryable"):
        await asyncio.sleep((answer.get("retry_after_ms") or RETRY_AFTER_MS) / 1000)
