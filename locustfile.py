"""Players who bet over the WebSocket, and who check every answer against books of their own.

    solidgreen seed --db demo.db --players 100 --balance 1000000 --currency EUR --json --tokens > players.json
    solidgreen serve --db demo.db
    export SOLIDGREEN_PLAYERS=players.json
    locust -f locustfile.py                                              # Locust's page, on port 8089
    locust -f locustfile.py --headless --users 100 --spawn-rate 100 --run-time 30s

One user is one wallet is one socket. This file needs `locust` and `websockets` and nothing else of this tree:
it speaks the wire (`wallet.v1`), as any client would. Its lines in Locust's tables, in milliseconds:

    bet pending         first sending to `bet.pending`: the server has the bet; no money has moved
    bet confirmed       first sending to `bet.confirmed`: the money has moved, on disk; the bet is solid green
    bet recovered       the same, of a bet sent again because its connection broke or the server was busy
    bet replay          a bet sent twice on purpose, to its second answer: the first again, marked `replayed`
    bet rejected        no money has moved; a failure, unless the wallet is short of funds
    bet bet.get         state of a bet that was answered before
    wallet balance.get  `balance.get` to `balance`
    wallet connect      TCP, handshake and `welcome`
    wallet resume       `resume` to `resumed`, and every entry in between
    wallet entry        failures only: an entry that contradicts the books
    wallet connection   failures only: a connection that broke, or a bet that nobody answered
    error <request>     failures only: the server answered that request with an `error`

Each bet counts once in `confirmed` or `recovered`. The figures of a check that failed are in Locust's log.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import logging
import random
import secrets
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# isort: off
from locust import User, events, task  # first: it patches sockets and threads, which websockets then uses
from locust.exception import StopUser
import gevent
from gevent.event import Event
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol
# isort: on

Message = dict[str, Any]

STAKES_MINOR = (1, 10)  # smallest and largest stake
FRAME_BETS = (2, 8)  # fewest and most bets in an array frame
IN_FLIGHT_MAX = 1000  # `limits.in_flight` of the server's welcome
ANSWER_WITHIN_S = (
    10.0  # the server sheds what it cannot answer in 2 s (`deadline_ms`); then something is lost
)
REMEMBERED = 200  # entries, and answers, that a player keeps for its checks
OVERLAP = 50  # known entries that a `resume` asks for once more, to compare both tellings
BROKE_PAUSE_S = 1.0  # a player without money tries again after this
BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # between attempts to connect; the last one repeats

log = logging.getLogger("solidgreen.players")


# --- ids, books and bets: no I/O ----------------------------------------------------------------------------


def uuid7() -> str:
    """A new UUID of version 7 (RFC 9562, 5.7): 48 bits of Unix milliseconds, 12 bits for the fraction of that
    millisecond (6.2, method 3), 62 random bits. Ids made more than 0.25 µs apart sort by time.
    """
    ms, fraction_ns = divmod(time.time_ns(), 1_000_000)
    fraction = (fraction_ns << 12) // 1_000_000
    digits = f"{ms << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class Wrong(Exception):
    """The server contradicted itself or the protocol. Locust groups failures by `str()`, so that has no
    figures; they are in `detail`.
    """

    def __init__(self, what: str, detail: object = "") -> None:
        super().__init__(what)
        self.detail = detail


@dataclass(slots=True, frozen=True)
class Entry:
    """What is known of one ledger entry; `None` where the message that told of it does not say."""

    balance: int  # after the entry
    amount: int | None = None
    prev_seq: int | None = None  # the wallet's entry before it

    def contradicts(self, other: Entry) -> bool:
        pairs = ((self.amount, other.amount), (self.prev_seq, other.prev_seq), (self.balance, other.balance))
        return any(None not in pair and pair[0] != pair[1] for pair in pairs)


class Books:
    """One wallet as its own player can prove it: each balance is the one before plus the entry's amount.

    Entries become known from `bet.confirmed`, from `wallet.entry`, and, as a balance only, from `welcome`
    and `balance`. One that cannot follow the newest entry waits in `early`: either its message overtook
    another, or an entry is missing. A `resume` decides which: it walks the chain of `prev_seq`.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.balance = 0
        self.known: dict[int, Entry] = {}  # the newest entries, in order of seq
        self.early: dict[int, Entry] = {}
        self.walked: int | None = None  # while resuming: the entry that the unbroken chain has reached
        self.must_reach = 0  # while resuming: the newest entry that was known at its beginning

    @property
    def gap(self) -> bool:
        """Is there an entry that does not follow the newest one?"""
        return any(entry.amount is not None for entry in self.early.values())

    def post(self, seq: int, entry: Entry) -> None:
        """Take in an entry with its amount. Raises `Wrong` if it contradicts what is known."""
        if self.walked is not None and entry.prev_seq == self.walked:
            self.walked = seq
        if seq <= self.seq:
            self._compare(seq, entry)
        elif self._fits(entry):
            self._enter(seq, entry)
            while self.early and (following := min(self.early)) > seq and self._fits(self.early[following]):
                seq = following
                self._enter(seq, self.early[seq])
        elif entry.prev_seq == self.seq:
            before = self.balance
            self._enter(seq, entry)  # go on from the server's word: one fault is reported once, not for ever
            raise Wrong("a balance is not the one before plus the amount", f"{before=} {seq=} {entry}")
        else:
            self._keep_for_later(seq, entry)

    def told(self, seq: int, balance: int) -> None:
        """Take in the balance that the server states after entry `seq`. The books open with the first one.
        Raises `Wrong` if it contradicts what is known.
        """
        if not self.known:
            self._enter(seq, Entry(balance))
        elif seq <= self.seq:
            self._compare(seq, Entry(balance))
        else:
            self._keep_for_later(seq, Entry(balance))

    def resume_from(self) -> int:
        """Begin to walk the chain. Returns the `from_seq` to ask for: `OVERLAP` entries back, or fewer."""
        back = min(OVERLAP, len(self.known) - 1)
        self.walked = next(itertools.islice(reversed(self.known), back, None))
        self.must_reach = self.seq
        return self.walked

    def resumed(self, seq: int) -> None:
        """The server says that it told every entry up to `seq`. Raises `Wrong` if one of them is missing."""
        walked, self.walked = self.walked, None
        unfounded = sorted(early for early in self.early if early <= seq)
        detail = f"walked to {walked}, told {seq}, newest known {self.must_reach}, waiting {unfounded}"
        if unfounded and unfounded[-1] > self.seq:  # as above: go on from the server's word
            self.seq, self.balance = unfounded[-1], self.early[unfounded[-1]].balance
            self.known = {self.seq: Entry(self.balance)}
        for early in unfounded:
            del self.early[early]
        if walked is None or walked < seq:
            raise Wrong("resume left out an entry", detail)
        if seq < self.must_reach:
            raise Wrong("resume ends before an entry that is known", detail)
        if unfounded:
            raise Wrong("an entry that was announced is not in the wallet", detail)

    def _fits(self, entry: Entry) -> bool:
        follows = entry.prev_seq is None or entry.prev_seq == self.seq
        return follows and entry.amount is not None and self.balance + entry.amount == entry.balance

    def _enter(self, seq: int, entry: Entry) -> None:
        announced = self.early.pop(seq, entry)
        self.known[seq] = Entry(entry.balance, entry.amount, self.seq)
        self.seq, self.balance = seq, entry.balance
        if len(self.known) > REMEMBERED:
            del self.known[next(iter(self.known))]
        self._agree(seq, announced, entry)

    def _compare(self, seq: int, entry: Entry) -> None:
        if seq in self.known:
            self._agree(seq, self.known[seq], entry)
        elif seq > next(iter(self.known)):
            raise Wrong("an entry turned up between two that follow each other", f"{seq=} {entry}")

    def _keep_for_later(self, seq: int, entry: Entry) -> None:
        other = self.early.setdefault(seq, entry)
        if other.amount is None or entry.prev_seq is not None:
            self.early[seq] = entry  # it says more
        self._agree(seq, other, entry)

    def _agree(self, seq: int, one: Entry, other: Entry) -> None:
        if one.contradicts(other):
            raise Wrong("two messages contradict each other about an entry", f"{seq=} {one} {other}")


@dataclass(slots=True)
class Bet:
    """One bet, from its making to its final answer. `bet_id` and `nonce` stay, however often it is sent."""

    bet_id: str
    nonce: str
    stake: int
    placed_at: float  # perf_counter, seconds
    sendings: int = 0
    sent_at: float = 0.0  # perf_counter of the newest sending
    pending: bool = False  # has `bet.pending` been heard?
    answer: Message | None = None  # the first final answer

    def check(self, message: Message) -> None:
        """Compare a final answer with the bet, and with its first answer. Raises `Wrong`."""
        if message["bet_id"] != self.bet_id or message.get("stake", self.stake) != self.stake:
            raise Wrong("an answer about another bet", f"{self} {message}")
        if self.sendings == 1 and message["replayed"]:
            raise Wrong("a bet that was sent once was answered as a replay", f"{self} {message}")
        if self.sendings == 1 and not self.pending and message["type"] == "bet.confirmed":
            raise Wrong("a bet was confirmed that was not pending", f"{self} {message}")
        if self.answer is None:
            return
        if not message["replayed"]:
            raise Wrong("a duplicate was not answered as a replay", f"{self} {message}")
        if self.answer | {"id": 0, "replayed": 0} != message | {"id": 0, "replayed": 0}:
            raise Wrong("a replay is not the first answer", f"{self} {message}")


# --- who plays ----------------------------------------------------------------------------------------------


def load_players(path: str | None) -> list[Message]:
    """The players in a file that `solidgreen seed --json --tokens` wrote. Raises `ValueError`, in words."""
    if not path:
        raise ValueError(
            "no players: set SOLIDGREEN_PLAYERS, or --players, to a file with the output of"
            " `solidgreen seed --json --tokens`"
        )
    try:
        players = json.loads(Path(path).read_text(encoding="utf-8"))["players"]
        tokens = [player["token"] for player in players]
    except OSError as error:
        raise ValueError(f"cannot read the players: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path}: expected {{"players":[{{"id":7,"token":"…"}}]}}; found {error!r}'
        ) from error
    if not tokens:
        raise ValueError(f"{path}: no player in it")
    return list(players)


free_players: deque[Message] = deque()


# Locust's event hooks carry no types.
@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def declare_options(parser: Any) -> None:
    parser.add_argument(
        "--players", metavar="FILE", env_var="SOLIDGREEN_PLAYERS", default="",
        help="who plays: a file with the output of solidgreen seed --json --tokens",
    )  # fmt: skip
    parser.add_argument(
        "--in-flight", type=int, env_var="SOLIDGREEN_IN_FLIGHT", default=10,
        help="bets that one player lets wait for their answers at a time",
    )  # fmt: skip


@events.init.add_listener  # type: ignore[untyped-decorator]
def check_options(environment: Any, **_: Any) -> None:
    """Refuse to start in one line, instead of with users who all fail."""
    options = environment.parsed_options
    if not FRAME_BETS[1] <= options.in_flight <= IN_FLIGHT_MAX:
        sys.exit(f"--in-flight: expected {FRAME_BETS[1]} to {IN_FLIGHT_MAX}")
    try:
        load_players(options.players)
    except ValueError as error:
        sys.exit(str(error))
    # A player that is stopped ends its task and closes its books, instead of dying in the middle of a frame.
    environment.stop_timeout = environment.stop_timeout or 3 * ANSWER_WITHIN_S


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def deal_players(environment: Any, **_: Any) -> None:
    """With --processes each worker gets a share of its own: a wallet is played once."""
    options = environment.parsed_options
    workers = options.processes or 1
    share = getattr(environment.runner, "worker_index", 0) % workers
    free_players.clear()
    free_players.extend(load_players(options.players)[share::workers])


# --- a player -----------------------------------------------------------------------------------------------


class Lost(Exception):
    """The connection is closed, or the server is silent."""


BROKEN = (Lost, OSError, WebSocketException)


def survives(play: Callable[[Player], None]) -> Callable[[Player], None]:
    """A task that outlives its connection: it connects again, and what was in flight is sent again."""

    @functools.wraps(play)
    def wrapped(self: Player) -> None:
        try:
            if self.books.gap:
                self.resume()
            oldest = next(iter(self.open_bets.values()), None)
            if oldest is not None and time.perf_counter() - oldest.sent_at > ANSWER_WITHIN_S:
                raise Lost("a bet has no answer")
            play(self)
        except BROKEN as broken:
            self.report("wallet", "connection", None, Wrong(f"lost: {broken}"))
            self.reconnect()

    return wrapped


class Player(User):
    """One wallet on one socket. Tasks ask, and a greenlet beside them listens.

    Without a `wait_time` a player bets as fast as its `--in-flight` bets are answered.
    """

    host = "ws://127.0.0.1:8000"

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.in_flight: int = environment.parsed_options.in_flight
        self.player: Message | None = None
        self.books = Books()
        self.socket: ClientConnection | None = None
        self.welcomed = False  # on this socket
        self.listener: gevent.Greenlet | None = None
        self.ended = ""  # why the listener has nothing to hear any more
        self.ids = itertools.count(1)
        self.asked: dict[str, tuple[str, float, Bet | None]] = {}  # by request id: what, when, which bet
        self.open_bets: dict[str, Bet] = {}  # placed and not answered, the oldest first
        self.answered: deque[Bet] = deque(maxlen=REMEMBERED)
        self.broke = False
        self.news = Event()  # something was heard, or nothing ever will be

    # What Locust calls.

    def on_start(self) -> None:
        if not free_players:
            self.report("wallet", "connect", None, Wrong("more users than players: seed more players"))
            raise StopUser
        self.player = free_players.popleft()
        self.reconnect()

    def on_stop(self) -> None:
        """Hear every answer, compare the last balance, leave."""
        if self.player is None:
            return
        try:
            self.until(lambda: not self.open_bets)
            if self.books.gap:
                self.resume()
            self.ask("balance.get")
            self.until(lambda: not self.asked)
        except BROKEN as broken:
            self.report("wallet", "connection", None, Wrong(f"lost: {broken}"))
        self.hang_up()
        free_players.append(self.player)

    @task(600)
    @survives
    def bet_one(self) -> None:
        self.make_room(1)
        self.place([("place", self.new_bet())])

    @task(300)
    @survives
    def bet_several_in_a_frame(self) -> None:
        count = random.randint(*FRAME_BETS)
        self.make_room(count)
        self.place([("place", self.new_bet()) for _ in range(count)])

    @task(15)
    @survives
    def repeat_within_a_frame(self) -> None:
        self.make_room(1)
        bet = self.new_bet()
        self.place([("place", bet), ("repeat", bet)])

    @task(15)
    @survives
    def repeat_an_earlier_bet(self) -> None:
        if earlier := [*self.answered, *self.open_bets.values()]:
            self.place([("repeat", random.choice(earlier))])

    @task(10)
    @survives
    def ask_for_a_bet(self) -> None:
        if self.answered:
            self.ask("bet.get", bet := random.choice(self.answered), bet_id=bet.bet_id)

    @task(10)
    @survives
    def ask_for_the_balance(self) -> None:
        self.ask("balance.get")

    @task(1)
    @survives
    def change_connection(self) -> None:
        self.make_room(FRAME_BETS[1])
        self.place([("place", self.new_bet()) for _ in range(FRAME_BETS[1])])
        self.reconnect()  # before the answers come

    # Asking.

    def new_bet(self) -> Bet:
        bet = Bet(uuid7(), secrets.token_hex(8), random.randint(*STAKES_MINOR), time.perf_counter())
        self.open_bets[bet.bet_id] = bet
        return bet

    def make_room(self, count: int) -> None:
        """Wait until `count` more bets may be in flight."""
        if self.broke:
            self.broke = False
            gevent.sleep(BROKE_PAUSE_S)
        self.until(lambda: len(self.open_bets) + count <= self.in_flight)

    def place(self, bets: list[tuple[str, Bet]]) -> None:
        """Send each bet: to `place` it, to `retry` it for want of an answer, or to `repeat` it as a test."""
        now, sent_at_ms = time.perf_counter(), time.time_ns() // 1_000_000
        frame = []
        for why, bet in bets:
            request_id = str(next(self.ids))
            self.asked[request_id] = (why, now, bet)
            bet.sendings += 1
            bet.sent_at = now
            same = {"bet_id": bet.bet_id, "stake": bet.stake, "nonce": bet.nonce}
            frame.append({"type": "bet.place", "id": request_id, "sent_at": sent_at_ms, **same})
        if frame:
            self.send(frame if len(frame) > 1 else frame[0])

    def ask(self, what: str, bet: Bet | None = None, **fields: Any) -> None:
        request_id = str(next(self.ids))
        self.asked[request_id] = (what, time.perf_counter(), bet)
        self.send({"type": what, "id": request_id, **fields})

    def send(self, frame: Message | list[Message]) -> None:
        if self.socket is None:
            raise Lost("not connected")
        self.socket.send(json.dumps(frame))

    def until(self, done: Callable[[], bool]) -> None:
        """Wait for what the listener will hear. Raises `Lost` when it cannot come any more, or does not."""
        deadline = time.perf_counter() + ANSWER_WITHIN_S
        while not done():
            if self.listener is None or self.listener.dead:
                raise Lost(self.ended)
            self.news.clear()
            if not self.news.wait(max(0.0, deadline - time.perf_counter())):
                raise Lost("the server is silent")

    # Connecting.

    def reconnect(self) -> None:
        """Connect, however often it takes; learn what was missed; send again what is still unanswered."""
        for pause_s in itertools.chain(BACKOFF_S, itertools.repeat(BACKOFF_S[-1])):
            self.hang_up()
            since = time.perf_counter()
            try:
                self.listener = gevent.spawn(self.listen)
                self.until(lambda: self.welcomed)
                self.report("wallet", "connect", since)
                self.resume()
                self.place([("retry", bet) for bet in self.open_bets.values()])
                return
            except BROKEN as broken:
                self.report("wallet", "connect", since, Wrong(f"failed: {broken}"))
            gevent.sleep(pause_s * random.uniform(0.5, 1.0))  # jitter, or all players come back at once

    def resume(self) -> None:
        """Have every entry since the newest known ones told, and check that none is missing."""
        self.ask("resume", from_seq=self.books.resume_from())
        self.until(lambda: self.books.walked is None)

    def hang_up(self) -> None:
        if self.socket is not None:
            self.socket.close()  # what is already on its way is still heard
        elif self.listener is not None:
            self.listener.kill()
        if self.listener is not None:
            self.listener.join()
        self.socket, self.welcomed = None, False
        self.asked.clear()  # no answer comes over another socket

    # Listening.

    def listen(self) -> None:
        """Connect, and hear everything until the connection ends, for whatever reason: `until` finds out."""
        assert self.host is not None
        assert self.player is not None
        try:
            with connect(
                self.host.replace("http", "ws", 1).rstrip("/") + "/ws",
                # Never in the URL: URLs end up in logs.
                additional_headers={"Authorization": f"Bearer {self.player['token']}"},
                subprotocols=[Subprotocol("wallet.v1")],
                compression=None,  # on small messages it costs more than it saves
                proxy=None,  # measure the server and not a proxy
                max_size=None,  # the answer to a resume may be large
                close_timeout=2,
            ) as socket:
                self.socket = socket
                for frame in socket:
                    messages = json.loads(frame)
                    for message in messages if isinstance(messages, list) else [messages]:
                        self.hear(message)
                    self.news.set()
            self.ended = f"closed with {socket.close_code}"
        except (*BROKEN, ValueError) as broken:
            self.ended = f"{type(broken).__name__}: {broken}"
        finally:
            self.news.set()

    def hear(self, message: Message) -> None:
        """One message from the server. Types that are not known here are ignored, as the protocol asks."""
        try:
            match message["type"]:
                case "bet.pending":
                    self.on_pending(message)
                case "bet.confirmed":
                    self.on_confirmed(message)
                case "wallet.entry":
                    entry = Entry(message["balance"], message["amount"], message["prev_seq"])
                    self.books.post(message["seq"], entry)
                case "bet.rejected":
                    self.on_rejected(message)
                case "welcome":
                    self.on_welcome(message)
                case "bet.state" | "balance" | "resumed":
                    self.on_reply(message)
                case "error":
                    self.on_error(message)
        except Wrong as wrong:
            self.report("wallet", "entry", None, wrong)
        except (KeyError, TypeError, ValueError) as error:
            self.report("wallet", "entry", None, Wrong("not a message of wallet.v1", f"{error!r} {message}"))

    def on_welcome(self, message: Message) -> None:
        self.welcomed = True
        if message["seq"] < self.books.seq:
            raise Wrong("welcome does not know an entry that is known here", f"{self.books.seq} {message}")
        self.books.told(message["seq"], message["balance"])

    def on_pending(self, message: Message) -> None:
        _, since, bet = self.asked[message["id"]]
        if bet is not None and not bet.pending:
            bet.pending = True
            self.report("bet", "pending", since)

    def on_confirmed(self, message: Message) -> None:
        """Only now is the bet solid green."""
        why, since, bet = self.asked.pop(message["id"])
        assert bet is not None
        wrong = None
        try:
            bet.check(message)
            self.books.post(message["seq"], Entry(message["balance"], -message["stake"]))
        except Wrong as found:
            wrong = found
        if bet.answer is not None:
            self.report("bet", "replay", since, wrong)
        else:
            self.close(bet, message)
            self.report("bet", "recovered" if why == "retry" else "confirmed", bet.placed_at, wrong)

    def on_rejected(self, message: Message) -> None:
        why, since, bet = self.asked.pop(message["id"])
        assert bet is not None
        code, wrong = message["code"], None
        if message["retryable"] and bet.answer is None:
            wrong = Wrong(f"rejected for now: {code}", message)
            if why != "repeat":
                self.retry_later(bet, message)
        else:
            try:
                bet.check(message)
                if code != "INSUFFICIENT_FUNDS" or message["available"] >= bet.stake:
                    raise Wrong(f"rejected: {code}", f"{bet} {message}")
                self.broke = True
            except Wrong as found:
                wrong = found
            if bet.answer is None:
                self.close(bet, message)
        self.report("bet", "rejected", since, wrong)

    def on_error(self, message: Message) -> None:
        """An error says nothing about the bet: it stays open while it can be sent again."""
        why, since, bet = self.asked.pop(message["id"], ("frame", time.perf_counter(), None))
        self.report("error", why, since, Wrong(message["code"], message))
        if why in ("place", "retry") and bet is not None and bet.answer is None:
            if message["retryable"]:
                self.retry_later(bet, message)
            else:
                self.open_bets.pop(bet.bet_id, None)
        elif why == "resume":
            self.books.walked = None

    def on_reply(self, message: Message) -> None:
        what, since, bet = self.asked.pop(message["id"])
        wrong = None
        try:
            match message["type"]:
                case "balance":
                    self.books.told(message["seq"], message["balance"])
                case "resumed" if message["more"]:
                    self.ask("resume", from_seq=message["seq"])
                case "resumed":
                    self.books.resumed(message["seq"])
                case "bet.state" if bet is not None and bet.answer is not None:
                    known = bet.answer.get("transaction_id")
                    undone = message["state"] in ("pending", "rejected")
                    if known is not None and (undone or message["transaction_id"] != known):
                        raise Wrong("bet.get does not know the confirmed bet", f"{bet} {message}")
        except Wrong as found:
            wrong = found
        self.report("bet" if bet is not None else "wallet", what, since, wrong)

    def close(self, bet: Bet, answer: Message) -> None:
        bet.answer = answer
        self.open_bets.pop(bet.bet_id, None)
        self.answered.append(bet)

    def retry_later(self, bet: Bet, message: Message) -> None:
        """Send the same bet again when the server asks for it, or after a growing pause."""

        def retry() -> None:
            if bet.bet_id in self.open_bets and self.welcomed:
                with contextlib.suppress(*BROKEN):  # whoever connects again sends all open bets again
                    self.place([("retry", bet)])

        pause_s = message.get("retry_after_ms", 50 * 2 ** min(bet.sendings, 6)) / 1000
        gevent.spawn_later(pause_s * random.uniform(1.0, 1.5), retry)

    def report(self, kind: str, name: str, since: float | None, wrong: Wrong | None = None) -> None:
        """Tell Locust of something that ended now, having begun at `since` (perf_counter)."""
        self.environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=None if since is None else (time.perf_counter() - since) * 1000,
            response_length=0,
            exception=wrong,
            context={},
        )
        if wrong is not None:
            log.error("%s %s: %s: %s", kind, name, wrong, wrong.detail)
