"""What the documentation says is done, here: every fenced block of `python`, `sh`, `sql` and `js` runs.

The blocks run against a real server, in a folder laid out like a checkout after `make run`, so that only
the port differs from what the page says. Commands that would serve for ever, or call `make`, stand in
`console` blocks: those are parsed, not run.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import re
import shlex
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cli.parser import build_parser
from harness.process import Server, environment, token
from harness.wire import connect
from tests.command import seed
from ws.settings import VARIABLES

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGES = {"python", "sh", "sql", "js"}
NOT_RUN = {"console", "text", "json", ""}
# docs/evidence.md: the tests of blocks compute them again; docs/wallet.md: test_wallet_doc.py draws it.
# docs/clients.md: test_client_in_node.py runs what is for Node, test_client_types.py compiles the TypeScript.
CHECKED_ELSEWHERE = {"bytes", "sha256", "ed25519", "mermaid", "javascript", "typescript"}
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CONFIRMED = re.compile(r'"type":"bet\.confirmed"|^BetConfirmed\(', re.MULTILINE)
WITHIN_S = 30


class Block(NamedTuple):
    """One fenced block of a page."""

    page: Path
    language: str
    text: str
    number: int

    def __str__(self) -> str:
        return f"{self.page.name}-{self.language}-{self.number}"


def blocks_of(pages: list[Path]) -> Iterator[Block]:
    for page in pages:
        for number, found in enumerate(FENCE.finditer(page.read_text(encoding="utf-8")), start=1):
            yield Block(page, found[1].partition(" ")[0].strip(), found[2], number)


BLOCKS = list(blocks_of(PAGES))


def written_in(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


class House(NamedTuple):
    """A folder as `make run` leaves it, and its server."""

    folder: Path
    server: Server

    def here(self, text: str) -> str:
        """The page's text with this server's port for the page's."""
        return text.replace("127.0.0.1:8000", f"127.0.0.1:{self.server.port}")

    def run(self, *command: str, stdin: str | None = None) -> str:
        """Run it in the folder; what it printed. Fails the test on any status but 0."""
        done = subprocess.run(
            command, cwd=self.folder, env=environment(), input=stdin, capture_output=True, text=True,
            timeout=WITHIN_S,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with built(tmp_path_factory) as one:
        yield one


@contextlib.contextmanager
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house of its own."""
    folder = tmp_path_factory.mktemp("checkout")
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, command in {"python": "", "solidgreen": "-m cli.main"}.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" {command} "$@"\n')
        program.chmod(0o700)
    for name in ("examples", "schema.sql"):
        (folder / name).symlink_to(ROOT / name)
    seed(folder / "demo.db", players=100)
    # Where make run would seed: players 7 to 106, as the pages say.
    with Server(folder / "demo.db") as server:
        yield House(folder, server)


def test_every_block_says_what_it_is() -> None:
    assert {block.language for block in BLOCKS} <= LANGUAGES | NOT_RUN | CHECKED_ELSEWHERE
    readme = {block.language for block in BLOCKS if block.page.name == "README.md"}
    assert readme >= LANGUAGES, "the README has lost one of its examples"


@pytest.mark.parametrize("block", written_in("python"), ids=str)
def test_python_blocks_run(block: Block, house: House) -> None:
    program = house.here(block.text)
    printed = house.run(str(house.folder / ".venv/bin/python"), "-c", program)
    if places_a_bet(block):
        assert CONFIRMED.search(printed)


def places_a_bet(block: Block) -> bool:
    """Whether it is a client, of the messages or of `ws.client`."""
    return "bet.place" in block.text or "wallet.place(" in block.text


@pytest.mark.parametrize("block", [b for b in written_in("python") if places_a_bet(b)], ids=str)
def test_python_clients_can_be_pasted_into_a_shell(block: Block, house: House) -> None:
    lines = [line for line in block.text.splitlines() if line.strip()]
    assert len(lines) <= 10 or block.page.name == "clients.md", "ten lines are promised"
    pasted = f"{house.here(block.text)}\nraise SystemExit(0)\n"
    printed = house.run(str(house.folder / ".venv/bin/python"), "-i", "-q", stdin=pasted)
    assert CONFIRMED.search(printed)


@pytest.mark.parametrize("block", written_in("sh"), ids=str)
def test_shell_blocks_run(block: Block, house: House, tmp_path_factory: pytest.TempPathFactory) -> None:
    if "archive" in block.text:  # the other pages tell of what it moves
        with built(tmp_path_factory) as another:
            run_in(another, block)
    else:
        run_in(house, block)


def run_in(house: House, block: Block) -> None:
    script = house.here(block.text)
    for command in ("place_bet.py", "archive"):  # their default is port 8000
        script = script.replace(f"{command} ", f"{command} --url {house.server.ws} ")
    # These books begin today: nothing in them is older.
    script = re.sub(r"--before \S+", datetime.now(UTC).strftime("--before %Y-%m-%dT%H:%M:%S.%fZ"), script)
    printed = house.run("/bin/sh", "-eu", "-c", script)
    assert "place_bet" not in script or '"type": "bet.confirmed"' in printed


@pytest.mark.parametrize("block", written_in("sql"), ids=str)
def test_sql_blocks_read_beside_the_running_server(block: Block, house: House) -> None:
    uri = f"{(house.folder / 'demo.db').as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        # The first block sets floors, and has no entries.
        a_block = dict(connection.execute("SELECT * FROM blocks WHERE id = 2").fetchone())
        for statement in statements(block.text):  # some have parameters, named like a block's columns
            rows = connection.execute(statement, a_block).fetchall()
            if "none should" in statement:
                assert rows == []
            else:
                assert rows


def test_the_readme_s_sums_find_what_is_wrong(tmp_path: Path) -> None:
    (block,) = [block for block in written_in("sql") if block.page.name == "README.md"]
    balances, transactions, currencies = statements(block.text)
    seed(tmp_path / "demo.db", players=2, balance=500)
    with contextlib.closing(sqlite3.connect(tmp_path / "demo.db")) as connection:
        assert connection.execute(currencies).fetchall() == [("EUR", 0)]
        connection.execute("UPDATE users SET balance = 501 WHERE id = 7")
        assert connection.execute(balances).fetchall() == [(7, 501, 500)]
        connection.execute("DROP TRIGGER ledger_is_never_updated")
        connection.execute("UPDATE transaction_ledger SET amount = 499 WHERE user_id = 8")
        ((transaction_id,),) = connection.execute(
            "SELECT transaction_id FROM transaction_ledger WHERE user_id = 8"
        ).fetchall()
        assert connection.execute(transactions).fetchall() == [(transaction_id, "EUR", -1)]
        assert connection.execute(currencies).fetchall() == [("EUR", -1)]


def statements(script: str) -> list[str]:
    return [statement for statement in script.split(";\n") if statement.strip()]


@pytest.mark.parametrize("block", written_in("js"), ids=str)
def test_the_frames_of_browser_clients_are_what_the_server_accepts(block: Block, house: House) -> None:
    """Checked without a browser: page, address, subprotocol, length, and the two frames that it sends."""
    with urllib.request.urlopen(f"{house.server.http}/", timeout=5) as page:  # that the README says to open
        assert "connect-src 'self'" in page.headers["Content-Security-Policy"]
    assert len(block.text.splitlines()) <= 10, "the README promises ten lines"
    assert 'new WebSocket("ws://127.0.0.1:8000/ws", "wallet.v1")' in block.text
    (bet_literal,) = re.findall(r"^const bet = (\{.*\});$", block.text, re.MULTILINE)
    auth, sent = re.findall(r"send\((\{.*?\})\)", block.text)
    assert javascript_object(auth) == {"type": "auth", "token": "TOKEN"}
    bet = javascript_object(sent.replace("...bet", bet_literal.strip("{}")))
    assert (bet["type"], bet["stake"]) == ("bet.place", 250)

    async def talk() -> dict[str, Any]:
        async with connect(house.server.ws, token(house.folder / "demo.db", 7), by_message=True) as wire:
            return await wire.ask(bet)

    assert asyncio.run(talk())["type"] == "bet.confirmed"


def javascript_object(literal: str) -> dict[str, Any]:
    """The value of an object literal of the README's kind: names, strings, numbers and a few known calls."""
    pairs = [pair.strip().partition(":") for pair in literal.strip("{} ").split(",")]
    named = {name.strip(): value.strip() or name.strip() for name, _, value in pairs}
    known = {"token": "TOKEN", "Date.now()": time.time_ns() // 1_000_000}
    return {
        name: str(uuid.uuid4()) if value == "crypto.randomUUID()" else known.get(value) or json.loads(value)
        for name, value in named.items()
    }


def test_the_page_of_the_examples_speaks_as_the_readme_does() -> None:
    page = (ROOT / "examples/place_bet.html").read_text(encoding="utf-8")
    assert 'new WebSocket(form.url.value, "wallet.v1")' in page
    assert re.search(r'name="url" value="ws://127\.0\.0\.1:8000/ws"', page)
    assert 'send({ type: "auth", token: form.token.value.trim() })' in page
    (bet,) = re.findall(r'send\(\{ (type: "bet\.place".*?) \}\)', page)
    names = {pair.partition(":")[0].strip() for pair in bet.split(",")}
    assert names == {"type", "id", "bet_id", "stake", "nonce", "sent_at"}


@pytest.mark.parametrize("block", written_in("console"), ids=str)
def test_what_consoles_show_can_be_typed(block: Block) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in block.text.splitlines():
        words = [word for word in shlex.split(line, comments=True) if not word.startswith("SOLIDGREEN_")]
        match words:
            case ["make", *wanted]:
                assert set(wanted) <= targets
            case [".venv/bin/solidgreen", *arguments]:
                build_parser().parse_args(arguments)
            case [] | [".venv/bin/python" | "sqlite3" | "mkdir" | "mv" | "cp", *_]:
                pass
            case _:
                pytest.fail(f"nobody has looked at: {line}")


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / target).exists(), target
    for target in re.findall(
        r"`((?:docs|examples|tests|engine|batcher|ws|cli|harness|bench|clients)/(?:[\w/]*\.\w+)?)`", text
    ):
        assert (ROOT / target).exists(), target


def test_operations_lists_every_setting() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    source = "".join(
        path.read_text(encoding="utf-8") for room in ("cli", "ws") for path in (ROOT / room).rglob("*.py")
    )
    read = {f"SOLIDGREEN_{name.upper()}" for name in re.findall(r'\bvariable\("(\w+)"', source)}
    assert read, "how settings are read has changed: teach this test"
    assert set(re.findall(r"^\| `(SOLIDGREEN_\w+)`", page, re.MULTILINE)) == read
    assert {f"SOLIDGREEN_{name.upper()}" for name in VARIABLES} == read, "what is none of these is told"


def test_operations_explains_every_log_line() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| (\w+) \| `(.+?)` \|", page, re.MULTILINE))
    assert explained == set(log_lines())


def log_lines() -> Iterator[tuple[str, str]]:
    """The level and the format of every call of a module's `log`, with … for what is filled in."""
    for room in ("engine", "batcher", "ws", "cli"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(
                        func=ast.Attribute(value=ast.Name(id="log"), attr=level),
                        args=[ast.Constant(value=str(words)), *_],
                    ):
                        said = "error" if level == "exception" else level
                        yield said, re.sub(r"%[+.\d]*[sdrf]", "…", words).replace("…:…", "…")


def test_operations_explains_the_health_report(house: House) -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    with urllib.request.urlopen(f"{house.server.http}/health/ready", timeout=5) as answer:
        report = json.load(answer)
    (table,) = re.findall(r"^## Health\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(report)


def test_a_page_from_disk_needs_to_be_let_in(tmp_path: Path) -> None:
    """`--origins null`, as the README says; a stranger's page stays outside."""
    ((player),) = seed(tmp_path / "demo.db", players=1)
    with Server(tmp_path / "demo.db", settings={"origins": "http://127.0.0.1:8001, null"}) as server:
        for origin, status in {
            "null": 101,
            "http://127.0.0.1:8001": 101,
            "https://evil.example": 403,
        }.items():
            assert handshake(server, origin) == status
        assert handshake(server, server.http) == 101
    assert player["id"] == 7


def handshake(server: Server, origin: str) -> int:
    """The HTTP status that a page of `origin` gets."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as door:
        door.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nOrigin: {origin}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: wallet.v1\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        return int(door.recv(4096).split()[1])
