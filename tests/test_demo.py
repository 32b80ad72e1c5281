"""`make demo`, small and to its end: it kills the server, loses nothing and says so; Ctrl-C ends it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DEMO = (sys.executable, "-m", "demo.run")
DEAF = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")  # to SIGINT, as a shell's jobs in the background are
SMALL = ("--bots", "20", "--seconds", "6")
ALONE = ("--bots", "1", "--seconds", "6")  # nobody else's bet could be on its way at the kill
LOG_IN = re.compile(r"(http://127\.0\.0\.1:\d+)(/\S*) +name (\S+), password (\S+)")

pytestmark = pytest.mark.long


def figures(report: str) -> dict[str, str]:
    """The report's lines, by their words."""
    return dict(re.findall(r"^  +(\S.*?)  +([\d,]+(?: all| of [\d,]+)?)$", report, re.MULTILINE))


def test_a_small_demo_to_its_end(tmp_path: Path) -> None:
    done = subprocess.run(
        [*DEMO, *SMALL, "--no-stay", "--folder", str(tmp_path / "demo")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    shown = figures(done.stdout)
    before = shown["bets acknowledged before the kill"]
    assert int(before) > 0
    assert int(shown["bets on their way when the server was killed"]) > 0
    assert shown["of these in the file as the crash left it"] == f"{before} all"
    assert int(shown["bets acknowledged in all, before and after"]) > int(before)
    assert shown["players who see the balance that is in the file"] == "20 all"
    assert (shown["lost"], shown["twice"]) == ("0", "0")
    assert re.search(r"reconcile .*: every balance is the sum of its entries$", done.stdout, re.MULTILINE)
    assert re.search(r"verify .*: everything holds$", done.stdout, re.MULTILINE)
    assert "All is well" in done.stdout
    assert (tmp_path / "demo" / "crashed" / "demo.db").exists()


def test_people_can_log_in_and_ctrl_c_ends_all_of_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*DEAF, *DEMO, *ALONE], cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, text=True,
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as demo:  # fmt: skip
        assert demo.stdout is not None
        try:
            printed = ""
            while "Ctrl-C ends it" not in printed:
                line = demo.stdout.readline()
                assert line, printed
                printed += line
            (url, page, *alice), (_, staff_page, *olga) = LOG_IN.findall(printed)
            assert (page, staff_page) == ("/", "/operator")
            assert [log_in(url, *alice), log_in(url, *olga)] == ["player", "operator"]
            os.killpg(demo.pid, signal.SIGINT)  # as a terminal does: the server hears it too
            printed += demo.stdout.read()
            assert demo.wait() == 0, printed
        finally:
            if demo.poll() is None:
                os.killpg(demo.pid, signal.SIGKILL)
    assert "Traceback" not in printed
    assert figures(printed)["bets on their way when the server was killed"] == "1"
    assert "All is well" in printed
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{url}/health/live", timeout=2)
    assert [*tmp_path.iterdir()] == []


def log_in(url: str, username: str, password: str) -> str:
    """What his role is."""
    body = json.dumps({"username": username, "password": password}).encode()
    request = urllib.request.Request(f"{url}/v1/auth/login", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(json.load(answer)["role"])


@pytest.mark.parametrize("wrong", [("--bots", "0"), ("--seconds", "0"), ("--folder", str(ROOT))])
def test_a_wrong_call_is_told_so(wrong: tuple[str, str]) -> None:
    done = subprocess.run([*DEMO, *wrong], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
