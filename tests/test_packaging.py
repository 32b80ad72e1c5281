"""What a newcomer gets: the wheel, installed far from the checkout, and what `make run` does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.process import READY_WITHIN_S, environment, free_port
from harness.wire import bet, connect

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("engine", "batcher", "ws", "cli")

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def output(*command: str | Path, cwd: Path) -> str:
    """Run it; what it printed. Fails the test on any status but 0."""
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def running(*command: str | Path, port: int, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A process group that serves on `port`, ready when this begins and gone when it ends."""
    process = subprocess.Popen(
        command, cwd=cwd, env=environment(), text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while not answers(f"http://127.0.0.1:{port}/health/ready"):
            assert process.poll() is None, process.stdout and process.stdout.read()
            assert time.monotonic() < deadline, "the server did not get ready"
            time.sleep(0.05)  # the process gives no other sign that its port is open
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps")
    output(*pip, "--wheel-dir", folder, ".", cwd=ROOT)
    (built,) = folder.glob("solidgreen-*.whl")
    return built


@pytest.fixture(scope="module")
def far_away(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a venv that holds the wheel and what it asks for, in the locked versions, and no more."""
    folder = tmp_path_factory.mktemp("far")
    output(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    # Without its hashes: in hash mode pip would want one for the wheel that was built just now, too.
    versions = re.sub(r" \\\n +--hash=[^\n]*|(?<=\n) +--hash=[^\n]*\n?", "", lock)
    (folder / "locked.txt").write_text(versions, encoding="utf-8")
    programs = folder / "venv" / "bin"
    install = (programs / "python", "-m", "pip", "install", "--quiet", "--no-compile")
    output(*install, "--constraint", folder / "locked.txt", wheel, cwd=folder)
    return programs


def test_the_wheel_holds_the_rooms_and_the_schema_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        schema = archive.read("engine/schema.sql")
    rooms = {str(path.relative_to(ROOT)) for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    verifier = {str(path.relative_to(ROOT)) for path in (ROOT / "verifier").iterdir() if path.is_file()}
    steps = {f"engine/schema_steps/{path.name}" for path in (ROOT / "upgrades").iterdir()}
    web = {f"ws/pages/{path.relative_to(ROOT)}" for path in (ROOT / "web").rglob("*") if path.is_file()}
    client = {f"ws/pages/client/{path.name}" for path in (ROOT / "clients/javascript").glob("*.js")}
    # Else type checkers take all that the client is made of for untyped (PEP 561).
    typed = {"engine/py.typed", "ws/py.typed"}
    assert held == rooms | verifier | steps | web | client | typed | {
        "engine/schema.sql",
        "ws/docs/style.css",
    }
    assert schema == (ROOT / "schema.sql").read_bytes()


def test_what_is_installed_is_locked_and_fits_together(far_away: Path) -> None:
    output(far_away / "python", "-m", "pip", "check", cwd=far_away)
    listed = json.loads(output(far_away / "python", "-m", "pip", "list", "--format", "json", cwd=far_away))
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([\w.-]+)==([\w.+-]+)", lock, re.MULTILINE))
    ours = {(package["name"].lower().replace("_", "-"), package["version"]) for package in listed}
    strangers = {name for name, _ in ours - locked} - {"pip", "setuptools", "solidgreen"}
    assert strangers == set()
    assert not {"pytest", "locust", "mypy"} & {name for name, _ in ours}


def test_the_wheel_works_far_from_the_checkout(far_away: Path, tmp_path: Path) -> None:
    solidgreen, port = far_away / "solidgreen", free_port()
    where = output(far_away / "python", "-c", "import engine; print(engine.__file__)", cwd=tmp_path)
    assert where.startswith(str(far_away.parent)), "PYTHONPATH leads to the checkout"
    output(solidgreen, "seed", "--db", "a.db", "--players", "1", cwd=tmp_path)
    token = output(solidgreen, "token", "--db", "a.db", "--user", "7", cwd=tmp_path).strip()

    async def place() -> str:
        async with connect(f"ws://127.0.0.1:{port}/ws", token) as wire:
            return str((await wire.ask(bet(250)))["type"])

    serve = (solidgreen, "serve", "--db", "a.db", "--port", str(port))
    with running(*serve, port=port, cwd=tmp_path) as server:
        assert asyncio.run(place()) == "bet.confirmed"
        for asset in (
            "",
            "operator",
            "web/client/solidgreen.js",
            "web/verifier/check.mjs",
            "web/style/base.css",
        ):
            assert answers(f"http://127.0.0.1:{port}/{asset}"), asset
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
    verdict = json.loads(output(solidgreen, "reconcile", "--db", "a.db", "--json", cwd=tmp_path))
    assert verdict == {"ok": True, "users": 8, "entries": 4, "findings": []}
    assert json.loads(output(solidgreen, "doctor", "--db", "a.db", "--json", cwd=tmp_path))["ok"]
    assert "the newest" in output(
        solidgreen, "upgrade", "--db", "a.db", cwd=tmp_path
    )  # its steps are with it


def test_make_run_seeds_once_and_what_it_prints_can_be_typed(tmp_path: Path) -> None:
    """With the venv that runs this test: `-o` keeps make from building another."""
    db, port, programs = tmp_path / "demo.db", free_port(), f"{sys.prefix}/bin/"
    make = ("make", "-o", f"{sys.prefix}/.stamp", "run", f"VENV={sys.prefix}", f"DB={db}", f"PORT={port}")
    for number, balance in enumerate(("997.50 EUR", "995.00 EUR")):
        with running(*make, port=port, cwd=ROOT) as made:
            found = re.compile(rf"^  \w.*?  ({re.escape(programs)}.*)$")
            printed, to_try = [], []
            assert made.stdout is not None
            for line in made.stdout:
                printed.append(line)
                to_try += found.findall(line.rstrip())
                if "serving" in line:
                    break
            assert any("100 players, ids 7 to 106" in line for line in printed) == (number == 0)
            assert f"http://127.0.0.1:{port}/health/ready" in "".join(printed)
            assert len(to_try) >= 4
            told = "".join(output("/bin/sh", "-c", command, cwd=ROOT) for command in to_try)
            assert '"type": "bet.confirmed"' in told
            assert "every balance is the sum of its entries" in told
            os.killpg(made.pid, signal.SIGINT)  # what Ctrl-C does
            rest, _ = made.communicate(timeout=30)
            assert "stopped" in rest
            assert not {"Traceback", "Error"} & set(re.findall(r"\w+", rest))
            assert made.returncode in (0, -signal.SIGINT), "make passes the interruption on"
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
        at = ("statement", "--db", str(db), "--user", "7", "--at", now)
        assert output(f"{programs}solidgreen", *at, cwd=tmp_path).strip() == balance


AS_NOBODY = ("setpriv", "--reuid=10001", "--regid=10001", "--clear-groups")
AS_ROOT_WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""Where this Python is below a home that is closed to others: what root is to a file, and no more."""


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root may become somebody else"
)
def test_what_the_image_would_hold_serves_without_rights_in_a_tree_that_it_cannot_write_to(
    far_away: Path, tmp_path: Path
) -> None:
    """No Docker here: the wheel in a venv of its own, by a process that can write to its folder only. As the
    last: nothing can be written to that venv any more."""
    python, books, port = far_away / "python", tmp_path / "books", free_port()
    books.mkdir()
    (packages,) = far_away.parent.glob("lib/python*/site-packages")
    for folder in [*books.parents, *far_away.parents]:
        if folder.stat().st_mode & 0o011 != 0o011 and "pytest" in str(folder):
            folder.chmod(folder.stat().st_mode | 0o055)
    for each in [packages, *packages.rglob("*")]:
        if not each.is_symlink():
            each.chmod(each.stat().st_mode & ~0o222)
    settings = {
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "SOLIDGREEN_DB": str(books / "wallet.db"),
        "SOLIDGREEN_PORT": str(port),
    }

    def command(who: Sequence[str], *words: str) -> subprocess.CompletedProcess[str]:
        given = [*who, "--no-new-privs", str(python), *words]
        return subprocess.run(given, env=settings, cwd=books, capture_output=True, text=True)

    # Where only its library is closed to others, another Python's is loaded instead.
    is_this_python = command(AS_NOBODY, "-c", "import sys; print(sys.version)").stdout.strip() == sys.version
    who = AS_NOBODY if is_this_python else AS_ROOT_WITHOUT_RIGHTS
    if who == AS_NOBODY:
        os.chown(books, 10001, 10001)
    refused = command(who, "-c", f"open({str(packages / 'x')!r}, 'w')")
    assert "Permission denied" in refused.stderr, "its own tree is not its to write"
    made = command(who, "-m", "cli.main", "seed", "--players", "1")
    assert made.returncode == 0, made.stderr
    serve = [*who, "--no-new-privs", str(python), "-m", "cli.main", "serve"]
    server = subprocess.Popen(serve, env=settings, cwd=books)
    try:
        while not answers(f"http://127.0.0.1:{port}/health/ready"):
            assert server.poll() is None
            time.sleep(0.05)  # as above
    finally:
        server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=30) == 0
