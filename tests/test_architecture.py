"""The shape of the house, read from the imports: arrows run one way, and pure modules stay pure."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("cli", "ws", "batcher", "engine")  # each may import those after it
DOORS = (  # modules and rooms of `ws`: each may import those after it
    *("app", "application", "server", "watching", "pages", "docs", "contracts", "people", "v1", "sockets"),
    *("protocol", "asking", "transport", "http", "auth", "codec", "effects", "strict_json"),
    *("tls", "beside", "settings", "rates", "client", "wire"),
)
OUTSIDE = ("harness", "bench", "demo", "tests", "locustfile")  # speak the wire; no room imports them
PURE = {
    *("batcher.breaker", "batcher.copies", "batcher.policy", "batcher.steady"),
    *("batcher.undecided",),
    *("engine.actors", "engine.archive_checks", "engine.archived_keys", "engine.blocks"),
    *("engine.bonus", "engine.bonus_checks", "engine.checks", "engine.commands"),
    *("engine.counterparties", "engine.decide"),
    *("engine.decide.answers", "engine.decide.archive", "engine.decide.bets"),
    *("engine.decide.bonus", "engine.decide.books", "engine.decide.cash", "engine.decide.holds"),
    *("engine.decide.limits", "engine.decide.payouts", "engine.decide.place"),
    *("engine.decide.shares",),
    *("engine.deeds", "engine.errors", "engine.floor_checks", "engine.histograms"),
    *("engine.hold_checks", "engine.leg_checks", "engine.life_checks", "engine.lifecycle"),
    *("engine.limits", "engine.merkle", "engine.money", "engine.now", "engine.origin"),
    *("engine.outcomes", "engine.payout_checks", "engine.people", "engine.records"),
    *("engine.snapshots", "engine.subjects", "engine.view", "engine.warm"),
    *("ws.asking.actors", "ws.asking.ended", "ws.asking.intents", "ws.asking.roles"),
    *("ws.client.errors", "ws.client.state", "ws.client.view", "ws.client.wire"),
    *("ws.codec",),
    *("ws.contracts.asyncapi", "ws.contracts.examples", "ws.contracts.meanings", "ws.contracts.openapi"),
    *("ws.contracts.plain_operations", "ws.contracts.plain_routes", "ws.contracts.preface"),
    *("ws.contracts.refusals", "ws.contracts.schemas", "ws.contracts.special_meanings"),
    *("ws.contracts.tags",),
    *("ws.docs.html", "ws.docs.http_page", "ws.docs.pages", "ws.docs.parts", "ws.docs.socket_page"),
    *("ws.effects",),
    *("ws.http.headers", "ws.http.problems", "ws.http.trace_parent"),
    *("ws.people.lockout", "ws.people.messages", "ws.people.pace"),
    *("ws.protocol",),
    *("ws.rates.addresses",),
    *("ws.sockets.expiries",),
    *("ws.strict_json",),
    *("ws.transport.shares",),
    *("ws.v1.requests", "ws.v1.routes"),
    *("ws.wire.allowance", "ws.wire.answers", "ws.wire.archives", "ws.wire.books"),
    *("ws.wire.checks", "ws.wire.circuit", "ws.wire.clock", "ws.wire.fields", "ws.wire.figures"),
    *("ws.wire.limits", "ws.wire.messages", "ws.wire.players", "ws.wire.signers", "ws.wire.trails"),
    *("ws.wire.operators", "ws.wire.outcomes", "ws.wire.payouts", "ws.wire.reads", "ws.wire.receipts"),
    *("ws.wire.wallets",),
}
NOT_PURE = {
    *(
        "asyncio",
        "threading",
        "concurrent",
        "time",
        "datetime",
        "random",
        "secrets",
        "uuid",
        "logging",
        "os",
        "io",
    ),
    *(
        "sqlite3",
        "aiosqlite",
        "redis",
        "socket",
        "subprocess",
        "pathlib",
        "starlette",
        "uvicorn",
        "websockets",
    ),
}
ONLY_IMPORTER = {
    "aiosqlite": {"engine.store"},
    "argon2": {"ws.people.password_process", "ws.people.passwords"},
    "cryptography": {"engine.keys", "verifier.check", "ws.tls"},
    "redis": {"batcher.redis_nonces"},
    "limits": {"cli.values", "ws.rates.rates", "ws.rates.windows", "ws.rates.in_redis"},
    "jwt": {"ws.auth"},
    "opentelemetry": {"ws.watching.traces"},
    "prometheus_client": {"ws.watching.metrics"},
    "structlog": {"ws.watching.logs"},
}
# The engine measured in its own process; every other load comes through the door.
IN_PROCESS = {
    ROOT / "bench" / name
    for name in (
        "engine.py",
        "bare.py",
        "bets.py",
        "fill_wal.py",
        "ledger.py",
        "old_books.py",
        "one_by_one.py",
    )
}
LATER = {"matplotlib", "playwright"}  # requirements-bench.lock
NEED_LATER = {"bench.charts", "demo.pictures"}
MAY_OPEN_THE_STORE = {"ws.app", "cli.archive", "cli.operate", "cli.people"}
SECOND_LOOK_LINES = 500
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who imports whom"
            assert node.module is not None
            room = ROOT.joinpath(*node.module.split("."))
            for alias in node.names:  # of a room, its modules; of a module, what is in it
                found.append(
                    f"{node.module}.{alias.name}" if (room / f"{alias.name}.py").exists() else node.module
                )
    return tuple(found)


def imports(paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Each importer with each of what it imports."""
    return ((name_of(path), name) for path in paths for name in imports_of(path))


def top_of(name: str) -> str:
    return name.split(".")[0]


def test_arrows_run_one_way() -> None:
    below = {room: {*ROOMS[at:]} for at, room in enumerate(ROOMS)}
    of_the_house = {*ROOMS, *OUTSIDE}
    assert [
        (here, name) for here, name in imports(MODULES) if top_of(name) in of_the_house - below[top_of(here)]
    ] == []


def test_arrows_between_the_doors_rooms_run_one_way() -> None:
    doors = {name: at for at, name in enumerate(DOORS)}

    def is_against_the_arrow(here: str, name: str) -> bool:
        door, other = here.split(".")[1], name.split(".")[1]
        return other != door and doors[other] <= doors[door]

    inside = [path for path in MODULES if name_of(path).startswith("ws.")]
    assert [
        (here, name)
        for here, name in imports(inside)
        if name.startswith("ws.") and is_against_the_arrow(here, name)
    ] == []


def test_a_pure_module_imports_only_pure_ones() -> None:
    of_pure = [*imports(path for path in MODULES if name_of(path) in PURE)]
    assert [each for each in of_pure if top_of(each[1]) in NOT_PURE] == [], "a clock, chance or I/O"
    assert [each for each in of_pure if top_of(each[1]) in ROOMS and each[1] not in PURE] == []


def test_every_pure_module_exists() -> None:
    assert {name_of(path) for path in MODULES} >= PURE


def test_a_driver_has_one_importer() -> None:
    assert [
        (here, name)
        for here, name in imports(MODULES)
        if top_of(name) in ONLY_IMPORTER and here not in ONLY_IMPORTER[top_of(name)]
    ] == []


def test_only_the_composition_root_and_the_command_line_open_the_store() -> None:
    openers = {name_of(path) for path in MODULES if "Store.open(" in path.read_text(encoding="utf-8")}
    assert openers <= MAY_OPEN_THE_STORE


def test_the_server_needs_nothing_of_the_client() -> None:
    others = [path for path in MODULES if not name_of(path).startswith("ws.client")]
    assert [each for each in imports(others) if each[1].startswith("ws.client")] == []


def test_the_verifier_needs_nothing_of_the_house() -> None:
    may = {"__future__", "cryptography", "hashlib", "json", "re", "struct", "typing", "verifier"}
    assert [each for each in imports((ROOT / "verifier").glob("*.py")) if top_of(each[1]) not in may] == []


def test_only_the_command_line_knows_the_verifier() -> None:
    users = {here for here, name in imports(MODULES) if name.startswith("verifier")}
    assert users == {"cli.evidence", "cli.verify"}


def test_load_and_crash_runs_speak_only_the_wire() -> None:
    folders = (ROOT / "harness", ROOT / "bench", ROOT / "tests/crash")
    outside = {ROOT / "locustfile.py"}.union(*(folder.rglob("*.py") for folder in folders))
    assert [each for each in imports(outside - IN_PROCESS) if top_of(each[1]) in ROOMS] == []


def test_the_demo_is_an_outsider_with_the_client() -> None:
    of_rooms = [each for each in imports((ROOT / "demo").glob("*.py")) if top_of(each[1]) in ROOMS]
    assert [each for each in of_rooms if not each[1].startswith(("ws.client", "ws.wire"))] == []


def test_what_make_test_does_not_install_is_imported_only_where_it_does_not_look() -> None:
    """`.ci/run` has it installed already when it runs the tests that must do without."""
    folders = (ROOT / name for name in ("bench", "demo", "examples", "harness", "tests"))
    files = {path for folder in folders for path in folder.rglob("*.py")}
    unseen = {*(ROOT / "tests/browser").iterdir(), *(ROOT / "tests/charts").iterdir()}
    assert [
        (here, name)
        for here, name in imports(files - unseen)
        if (top_of(name) in LATER or name in NEED_LATER) and here not in NEED_LATER
    ] == []


def test_there_are_no_circles() -> None:
    graph = {name_of(path): set(imports_of(path)) for path in MODULES}
    finished: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name in graph and name not in finished:
            for imported in graph[name]:
                visit(imported, (*trail, name))
            finished.add(name)

    for name in graph:
        visit(name, ())


def test_a_module_holds_one_idea() -> None:
    """Long ones deserve a second look. One file is long on purpose: readers copy it whole."""
    lines = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for path in (*MODULES, ROOT / "locustfile.py")
    }
    limits = {"locustfile.py": 700}
    assert {
        name_of(path): count
        for path, count in lines.items()
        if count > limits.get(path.name, SECOND_LOOK_LINES)
    } == {}
