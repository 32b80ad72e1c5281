"""The house of the demo: a server on a file of its own, and the people who may log in."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from demo.bots import Seat
from demo.games import character
from harness.process import Server, free_port, solidgreen

Json = dict[str, Any]

OWN_SECRET: Final = ""
"""Not the harness's, which everybody knows: the server makes one, beside its file."""
CROUPIER: Final = "croupier"
ASKS_WITHIN_S: Final = 30.0


@dataclass(frozen=True)
class Person:
    """Who can log in, and where."""

    username: str
    password: str
    user_id: int
    page: str


@dataclass(frozen=True)
class Check:
    """What a command that looks for mistakes has printed, and whether there are none."""

    command: str
    is_well: bool
    lines: list[str]


class House:
    """A fresh file in `folder`, and the server of it, which may be killed and started again on one port."""

    def __init__(self, folder: Path, port: int | None, redis_url: str | None, **settings: str) -> None:
        """`settings` as of `SOLIDGREEN_…`, beside those that every user has. `port`: None for a free one."""
        self.folder = folder
        self.db = folder / "demo.db"
        self.server = Server(
            self.db,
            port=free_port() if port is None else port,
            redis_url=redis_url,
            settings={"jwt_secret": OWN_SECRET} | settings,
            log=folder / "server.log",
        )
        self._key = ""
        self._lock = threading.Lock()
        """Who ends it waits until who starts it has: there is never a server that nobody ends."""

    def build(self, bots: int) -> list[Seat]:
        """Make the file: wallets for so many bots, and the croupier's key. Before the first start."""
        seats: list[Seat] = []
        characters = [character(number) for number in range(bots)]
        for kind in dict.fromkeys(characters):
            told = self.run(
                "seed", "--players", str(characters.count(kind)), "--balance", str(kind.balance),
                "--json", "--tokens",
            )  # fmt: skip
            seats += [Seat(one["id"], one["token"], kind) for one in json.loads(told)["players"]]
        told = self.run(
            "keys", "create", CROUPIER, "--role", "operator", "--scopes", "bets,money,payouts,wallets"
        )
        self._key = told.strip()
        return seats

    def run(self, command: str, *arguments: str, said: str | None = None) -> str:
        """A `solidgreen` command on the file; what it printed. `said`: on its standard input."""
        return solidgreen(command, *arguments, "--db", str(self.db), said=said, jwt_secret=OWN_SECRET).stdout

    def check(self, command: str) -> Check:
        """What `reconcile` or `verify` says of the file, served or not."""
        done = solidgreen(command, "--db", str(self.db), check=False, jwt_secret=OWN_SECRET)
        return Check(command, done.returncode == 0, (done.stdout + done.stderr).strip().splitlines())

    def start(self) -> None:
        """Start the server and wait until it answers. Raises `RuntimeError` with its log if it does not."""
        with self._lock:
            self.server.start()

    def kill(self) -> None:
        """SIGKILL."""
        with self._lock:
            self.server.kill()

    def end(self) -> None:
        """Stop the server, if it runs."""
        with self._lock:
            self.server.__exit__()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP: its sockets are open, and nothing is done."""
        process = self.server.process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def register(self, username: str) -> Person:
        """A new player, as the page would do it. His wallet is empty."""
        password = new_password()
        told = self.post("/v1/auth/register", username=username, password=password, currency="EUR")
        return Person(username, password, told["user_id"], f"{self.server.http}/")

    def hire(self, username: str, role: str = "operator") -> Person:
        """Somebody who may act for the house."""
        password = new_password()
        user_id = self.run("staff", "add", username, "--role", role, "--password-stdin", said=f"{password}\n")
        return Person(username, password, int(user_id), f"{self.server.http}/operator")

    def croupiers_token(self) -> str:
        """An access token for the croupier: of fifteen minutes, as of every program."""
        return str(self.post("/v1/auth/token", key=self._key)["access_token"])

    def players_token(self, user_id: int) -> str:
        """An access token for a player, from the command line."""
        return self.run("token", "--user", str(user_id)).strip()

    def post(self, route: str, **body: Any) -> Json:
        """One HTTP request without a log-in; its answer."""
        request = urllib.request.Request(
            self.server.http + route, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=ASKS_WITHIN_S) as answer:
            return dict(json.load(answer))


def new_password() -> str:
    """One that can be typed: 59 bits, in three groups."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"  # none that looks like another
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(3))
