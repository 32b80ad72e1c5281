"""What runs it for real: units that systemd takes, an image and a compose file that name nothing that is not
there, and the way in which the image is made, walked without Docker.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path, PurePath
from typing import Any

import pytest
import yaml

from cli.parser import build_parser
from harness.process import Server, environment, free_port
from tests.command import run, seed
from tests.test_packaging import far_away, wheel  # noqa: F401  fixtures
from ws.settings import VARIABLES

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
EXPOSURE_MAX = {"solidgreen.service": "15", "solidgreen-backup.service": "12"}
"""In tenths, as `systemd-analyze security` counts: below 2 it says "OK" and is content."""

PROGRAM = "/opt/solidgreen/bin/solidgreen"
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1


def words_of(command: list[str]) -> None:
    """Fails unless the command line takes it."""
    try:
        build_parser().parse_args(command)
    except SystemExit as end:
        pytest.fail(f"{command}: status {end.code}")


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOLIDGREEN_DB", "wallet.db")


# -- systemd


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units_call_the_program_as_it_is(unit: Path) -> None:
    text = unit.read_text()
    commands = re.findall(rf"{PROGRAM} ([^'\n]+)", text)
    assert commands, "the unit does not call the program"
    for command in commands:
        words_of(shlex.split(command))
    known = set(re.findall(r"`(SOLIDGREEN_\w+)`", (ROOT / "docs/operations.md").read_text()))
    sources = "".join(each.read_text() for each in (DEPLOY / "systemd").iterdir())
    assert set(re.findall(r"SOLIDGREEN_\w+", sources)) <= known


def test_what_root_types_to_install_takes_nothing_from_a_folder_that_strangers_may_write_to() -> None:
    """A package that another user has laid into a folder of a known name would be installed, and run."""
    page = (ROOT / "docs/runbook.md").read_text()
    typed = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (install,) = [block for block in typed if "bin/pip" in block]
    assert "/tmp" not in install
    found = re.search(r"^wheels=\$\(mktemp --directory\)$", install, re.MULTILINE)
    assert found
    assert set(re.findall(r"--(?:wheel-dir|find-links) (\S+)", install)) == {'"$wheels"'}
    named = set(re.findall(r"deploy/[\w./-]+\w", "".join(typed))) - {"deploy/secrets/grafana_admin_password"}
    assert all((ROOT / name).exists() for name in named - {"deploy/secrets"}), named


def test_a_helper_that_runs_out_of_memory_does_not_end_the_server() -> None:
    unit = (DEPLOY / "systemd/solidgreen.service").read_text()
    assert "\nOOMPolicy=continue\n" in unit, "unless told, systemd stops all of the unit (systemd.service(5))"


def test_a_stop_has_the_time_that_it_takes() -> None:
    unit = (DEPLOY / "systemd/solidgreen.service").read_text()
    assert int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0]) > 10 + 2.5
    assert "RestartPreventExitStatus=2" in unit


@pytest.mark.long
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_takes_the_units_and_finds_them_hardened(unit: Path, tmp_path: Path) -> None:
    # The program is not installed here: it stands for itself. So does its user.
    text = unit.read_text().replace(PROGRAM, f"{sys.prefix}/bin/solidgreen")
    text = re.sub(r"^(User|Group)=.*\n", r"\1=nobody\n".replace("nobody", "root"), text, flags=re.MULTILINE)
    for name in ("solidgreen-backup.timer",):
        shutil.copy(DEPLOY / "systemd" / name, tmp_path)
    (tmp_path / unit.name).write_text(text)
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(tmp_path.iterdir())], capture_output=True, text=True
    )
    ours = [line for line in checked.stderr.splitlines() if "solidgreen" in line]
    assert (checked.returncode, ours) == (0, []), checked.stderr
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE_MAX[unit.name]}", unit],
        capture_output=True, text=True, env={**os.environ, "SYSTEMD_COLORS": "0"},
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout[-2000:] + judged.stderr


READS = """
import json, os, sys
opened = []
def note(event, given):
    if event in ("open", "os.listdir") and isinstance(given[0], (str, bytes)):
        opened.append(os.fsdecode(given[0]))
sys.addaudithook(note)
from prometheus_client.process_collector import ProcessCollector
from ws.watching.metrics import Process
proc, = sys.argv[1:] or ["/proc"]
if proc != "/proc":
    ProcessCollector.__init__.__defaults__ = tuple(proc if each == "/proc" else each
        for each in ProcessCollector.__init__.__defaults__)
told = [family.name for family in Process().collect()]
print(json.dumps({"told": told, "opened": [path for path in opened if path.startswith(proc)]}))
"""
OF_A_PROCESS = {
    "process_cpu_seconds", "process_resident_memory_bytes", "process_start_time_seconds", "process_open_fds",
    "process_max_fds",
}  # fmt: skip
"""What alerts and the dashboard ask for, or people do."""


def hides(unit: str) -> str:
    """How /proc is mounted for it (systemd.exec(5), ProtectProc= and ProcSubset=)."""
    found = dict(re.findall(r"^(ProtectProc|ProcSubset)=(\w+)$", unit, re.MULTILINE))
    subset = ",subset=pid" if found.get("ProcSubset", "all") == "pid" else ""
    return f"hidepid={found.get('ProtectProc', 'off')}{subset}"


def test_the_unit_hides_nothing_that_the_metrics_read() -> None:
    looked = subprocess.run([sys.executable, "-c", READS], capture_output=True, text=True, check=True)
    found = json.loads(looked.stdout)
    assert set(found["told"]) >= OF_A_PROCESS
    assert found["opened"]
    beside = {path for path in found["opened"] if not re.match(r"/proc/(self|\d+)/", path)}
    unit = (DEPLOY / "systemd/solidgreen.service").read_text()
    assert beside == {"/proc/stat"}, "what the unit says of ProcSubset= is about this"
    assert "subset=pid" not in hides(unit)


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="only root may mount")
@pytest.mark.parametrize("options", ["as in the unit", "hidepid=invisible,subset=pid"])
def test_metrics_under_the_proc_of_the_unit(options: str, tmp_path: Path) -> None:
    """Mounted as systemd does; and as the unit must not have it, or the test above were for nothing."""
    is_ours = options == "as in the unit"
    given = hides((DEPLOY / "systemd/solidgreen.service").read_text()) if is_ours else options
    script = f'mount -t proc -o {given} proc "$1" && shift && exec "$@"'
    command = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        tmp_path,
        sys.executable,
        "-c",
        READS,
        tmp_path,
    ]
    looked = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if looked.returncode != 0 and "mount" in looked.stderr:
        pytest.skip(f"no /proc can be mounted here: {looked.stderr.strip()[:100]}")
    assert looked.returncode == 0, looked.stderr
    told = set(json.loads(looked.stdout)["told"])
    assert (told >= OF_A_PROCESS) if is_ours else not told & OF_A_PROCESS


DENYING = f"""
import ctypes, os, sys
ctypes.CDLL(None).prctl({PR_SET_MDWE}, {PR_MDWE_REFUSE_EXEC_GAIN}, 0, 0, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.long
def test_it_runs_without_memory_that_is_both_written_and_executed(tmp_path: Path) -> None:
    """What MemoryDenyWriteExecute= means: by the kernel's own switch, where it has one (Linux 6.3)."""
    denied = (sys.executable, "-c", DENYING)
    if (
        subprocess.run(
            [*denied, "-c", "import mmap; mmap.mmap(-1, 4096, prot=7)"], stderr=subprocess.DEVNULL
        ).returncode
        == 0
    ):
        pytest.skip("this kernel has no such switch")
    seed(tmp_path / "a.db", 1)
    port = free_port()
    serve = ("-m", "cli.main", "serve", "--db", str(tmp_path / "a.db"), "--port", str(port))
    process = subprocess.Popen([*denied, *serve], cwd=ROOT, env=environment())
    try:
        wait_until_ready(port, process)
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0


def wait_until_ready(port: int, process: subprocess.Popen[Any]) -> None:
    while run("health", "--url", f"http://127.0.0.1:{port}").status:
        assert process.poll() is None


# -- Docker


def instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / "docker/Dockerfile").read_text()
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "").splitlines()
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


@pytest.mark.usefixtures("settings")
def test_the_image_copies_what_is_there_and_calls_the_program_as_it_is() -> None:
    ignored = (DEPLOY / "docker/Dockerfile.dockerignore").read_text().splitlines()
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        name
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from")
        for name in rest.split()[:-1]
    }
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packed = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [*packed["packages"], *packed["force-include"], project["project"]["readme"]]
    lacking = [name for name in needed if not any(PurePath(name).is_relative_to(each) for each in copied)]
    assert lacking == [], "of the wheel"
    said = {
        word: rest for word, rest in instructions() if word in ("CMD", "ENTRYPOINT", "HEALTHCHECK", "USER")
    }
    assert (said["ENTRYPOINT"], said["USER"]) == ('["solidgreen"]', "10001:10001")
    words_of(yaml.safe_load(said["CMD"]))
    program, *asked = yaml.safe_load(said["HEALTHCHECK"].split("CMD ")[1])
    assert program == "solidgreen"
    words_of(asked)


def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yml").read_text())
    return parsed


@pytest.mark.usefixtures("settings")
def test_the_compose_file_names_nothing_that_is_not_there() -> None:
    file = compose()
    assert file["services"].keys() == {"solidgreen", "redis", "prometheus", "grafana"}
    build = file["services"]["solidgreen"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    words_of(file["services"]["solidgreen"]["command"])
    for name, service in file["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} is open to strangers"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in file["volumes"] or source.startswith("./"), volume
        assert set(service["networks"]) <= file["networks"].keys()
        assert set(service.get("secrets", [])) <= file["secrets"].keys()
        assert set(service.get("depends_on", [])) <= file["services"].keys()
        assert name == "solidgreen" or "healthcheck" in service
        assert name == "solidgreen" or re.search(r":v?\d+\.\d+", service["image"]), "a version that stays"
        assert service["cap_drop"] == ["ALL"]
    for name, value in file["services"]["solidgreen"]["environment"].items():
        assert name.removeprefix("SOLIDGREEN_").lower() in VARIABLES, f"{name} changes nothing"
        assert value == f"${{{name}:-}}"
    assert "inside" not in file["services"]["prometheus"]["networks"]
    assert file["networks"]["inside"]["internal"]
    assert "noeviction" in file["services"]["redis"]["command"]
    for secret in file["secrets"].values():
        assert secret["file"].startswith("./secrets/"), "what git ignores"


def test_every_service_comes_back_after_a_reboot_or_a_crash() -> None:
    """`on-failure` would not do: a service that was killed by the shutdown of the machine stays away."""
    services = compose()["services"]
    assert {name: each.get("restart") for name, each in services.items()} == dict.fromkeys(
        services, "unless-stopped"
    )


def test_every_file_that_is_mounted_is_there() -> None:
    for service in compose()["services"].values():
        for volume in service.get("volumes", []):
            if (source := volume.split(":")[0]).startswith("./"):
                assert (DEPLOY / source).exists(), volume


# -- health


def test_health_says_whether_bets_are_taken(tmp_path: Path) -> None:
    seed(tmp_path / "a.db", 1)
    with Server(tmp_path / "a.db") as server:
        done = run("health", "--url", server.http)
        assert (done.status, done.json["status"]) == (0, "ready")
        wrong = run("health", "--url", f"{server.http}/other")
        assert (wrong.status, "no health report" in wrong.out) == (1, True)
    gone = run("health", "--url", server.http)
    assert (gone.status, gone.err) == (1, "")
    assert "no answer" in gone.out


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:1", "nonsense", "http://127.0.0.1:99999", "http://[::1"])
def test_an_address_that_is_none_is_no_health(url: str) -> None:
    assert run("health", "--url", url).status == 1
