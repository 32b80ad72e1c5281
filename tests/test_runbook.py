"""The procedures of docs/runbook.md, each walked as it is written, on real files and with a real server."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.files import SCHEMA_VERSION
from harness.process import PATIENT, Server
from tests.books_open import look
from tests.command import Done, run, seed
from tests.old_books import OLD_FILES, unpacked
from tests.test_docs import FENCE

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
PARTS = re.split(r"^(?=## )", PAGE.split("\n# Alerts\n")[0], flags=re.MULTILINE)
PROCEDURES = {part.splitlines()[0][3:]: part for part in PARTS[1:]}

pytestmark = pytest.mark.long


def lines_of(part: str) -> Iterator[str]:
    """What is typed in a procedure, in its order."""
    for found in FENCE.finditer(part):
        if found[1].strip() == "console":
            yield from found[2].splitlines()


class Terminal:
    """Types what the page says, in a folder; `solidgreen serve` is a server until Ctrl-C."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server: Server | None = None
        self.said: dict[str, Done] = {}

    def type(self, line: str) -> None:
        match shlex.split(line):
            case ["#", "Ctrl-C"]:
                assert self.server is not None
                assert self.server.stop() == 0, line
                self.server = None
            case [".venv/bin/solidgreen", "serve", "--db", db]:
                assert self.server is None
                # Its own secret, made beside the file: not the harness's.
                self.server = Server(Path(db), settings=PATIENT | {"jwt_secret": ""}).start()
            case [".venv/bin/solidgreen", "health"]:
                assert self.server is not None
                self.expect(line, run("health", "--url", self.server.http))
            case [".venv/bin/solidgreen", command, *rest]:
                self.expect(line, run(command, *rest, jwt_secret=""))
            case [program, *_]:
                assert program in ("mkdir", "mv", "cp"), line
                subprocess.run(shlex.split(line), check=True, cwd=self.folder)

    def expect(self, line: str, done: Done) -> None:
        assert done.status == 0, (line, done)
        self.said[line] = done


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.chdir(tmp_path)
    one = Terminal(tmp_path)
    yield one
    if one.server is not None and one.server.process is not None and one.server.process.poll() is None:
        one.server.kill()


def begun(terminal: Terminal) -> Path:
    """A file that has been served: with a key and a secret beside it."""
    db = terminal.folder / "wallet.db"
    seed(db, 3)
    terminal.type(".venv/bin/solidgreen serve --db wallet.db")
    terminal.type("# Ctrl-C")
    return db


def names(db: Path) -> set[str]:
    return {each.name for each in db.parent.iterdir() if not each.name.endswith((".log", ".lock"))}


def test_every_procedure_is_walked_here() -> None:
    typed = {name for name, part in PROCEDURES.items() if [*lines_of(part)]}
    assert typed == {"Start", "Upgrade", "Back up", "Restore", "Move to another machine", "Rotate a secret"}
    assert PAGE.count("```console") == sum(part.count("\n```console") for part in PROCEDURES.values())


@pytest.mark.parametrize("name", ["Back up", "Restore", "Move to another machine", "Rotate a secret"])
def test_a_procedure_does_what_it_says(name: str, terminal: Terminal) -> None:
    db = begun(terminal)
    before = look(db, "SELECT id, balance FROM users ORDER BY id")
    secrets = {
        each: (terminal.folder / each).read_bytes()
        for each in ("wallet.db.jwt-secret", "wallet.db.signing-key")
    }
    for line in lines_of(PROCEDURES[name]):
        terminal.type(line)
    now = db if name != "Move to another machine" else terminal.folder / "elsewhere/wallet.db"
    assert look(now, "SELECT id, balance FROM users ORDER BY id") == before
    assert now.stat().st_mode & 0o777 == 0o600
    kept = {each: (now.parent / each).read_bytes() for each in secrets}
    if name == "Restore":
        key = {"wallet.db.signing-key": secrets["wallet.db.signing-key"]}
        assert secrets.items() & kept.items() == key.items(), "no token of before is good"
    elif name == "Rotate a secret":
        assert not secrets.items() & kept.items()
        assert (
            terminal.said[".venv/bin/solidgreen public-key --db wallet.db"].out.count("BEGIN PUBLIC KEY") == 2
        )
    else:
        assert kept == secrets
    if name == "Move to another machine":
        assert not db.exists(), "nobody starts it here again"


def test_a_first_start_begins_with_nothing(terminal: Terminal) -> None:
    for line in lines_of(PROCEDURES["Start"]):
        terminal.type(line)
    assert names(terminal.folder / "wallet.db") >= {
        "wallet.db",
        "wallet.db.jwt-secret",
        "wallet.db.signing-key",
    }


def test_an_old_file_is_upgraded_as_the_page_says(terminal: Terminal) -> None:
    old = unpacked(OLD_FILES[0], terminal.folder)
    for each in terminal.folder.glob(f"{old.db.name}*"):
        each.rename(each.with_name(each.name.replace(old.db.name, "wallet.db")))
    for line in lines_of(PROCEDURES["Upgrade"]):
        terminal.type(line)
    assert look(terminal.folder / "wallet.db", "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    kept = {name for name in names(terminal.folder / "wallet.db") if ".before-upgrade-" in name}
    assert len(kept) == (old.said["schema_version"] < SCHEMA_VERSION)


def test_every_alert_says_what_to_do_and_what_not() -> None:
    """What stands under each heading; that each alert has one is for whoever has the alerts."""
    alerts = re.split(r"^### ", PAGE.split("\n# Alerts\n")[1], flags=re.MULTILINE)[1:]
    assert len(alerts) >= 14
    for alert in alerts:
        name, *said = alert.strip().splitlines()
        assert name.startswith("SolidGreen")
        begins = [line.split("*")[1] for line in said if line.startswith("*")]
        assert begins == ["It means", "Look first", "Do", "Do not"], name


def test_links_inside_the_page_lead_to_headings() -> None:
    for page, target in re.findall(r"\]\((operations\.md|)#([\w-]+)\)", PAGE):
        text = PAGE if not page else (ROOT / "docs" / page).read_text(encoding="utf-8")
        headings = {
            re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        }
        assert target in headings, target
