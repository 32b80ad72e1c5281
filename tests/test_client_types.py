"""The types of the client in JavaScript: TypeScript is told the wire's own, and those of the JSDoc."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.client_types import CLIENT, MESSAGES, committed, declared, messages_for_typescript, tsc

ROOT = Path(__file__).resolve().parent.parent
RESOLUTIONS = {"nodenext": "nodenext", "esnext": "bundler"}
"""Of modules, as Node does it and as bundlers do."""


def test_the_committed_messages_are_those_that_the_server_uses() -> None:
    assert messages_for_typescript() == committed()[MESSAGES], "run `make client-types`"


@pytest.mark.long
def test_the_sources_are_sound_and_the_committed_types_are_theirs(tmp_path: Path) -> None:
    assert declared(tmp_path) == committed(), "run `make client-types`"


@pytest.mark.long
@pytest.mark.parametrize("module", RESOLUTIONS)
def test_typescript_takes_what_is_right_and_nothing_else(module: str, tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/solidgreen-client").symlink_to(CLIENT)
    shutil.copy(ROOT / "tests/typescript/use.ts", tmp_path)
    page = (ROOT / "docs/clients.md").read_text(encoding="utf-8")
    for number, block in enumerate(re.findall(r"^```typescript\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)):
        (tmp_path / f"page_{number}.ts").write_text(block)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    # No `dom` among the libraries: the client is for Node as well.
    options = {
        "strict": True, "noEmit": True, "exactOptionalPropertyTypes": True, "types": [],
        "target": "es2022", "lib": ["es2022"], "module": module, "moduleResolution": RESOLUTIONS[module],
    }  # fmt: skip
    (tmp_path / "tsconfig.json").write_text(json.dumps({"include": ["*.ts"], "compilerOptions": options}))

    done = tsc(tmp_path)

    assert done.stdout + done.stderr == ""
    assert (tmp_path / "page_0.ts").exists()
