"""Files that many tests begin with are made once in a process, and copied for each test."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Hashable
from functools import cache
from pathlib import Path


def made_once(path: Path, make: Callable[..., object], *arguments: Hashable) -> Path:
    """Have at `path`, and beside it, what `make(path, *arguments)` writes there; `path`.

    All files of a process that are made alike are copies of one, and have its signing key.
    """
    for name, content, mode in _made(make, path.name, arguments):
        copy = path.with_name(name)
        copy.touch(mode=0o600, exist_ok=False)
        copy.write_bytes(content)
        copy.chmod(mode)
    return path


@cache
def _made(
    make: Callable[..., object], name: str, arguments: tuple[Hashable, ...]
) -> list[tuple[str, bytes, int]]:
    """Name, content and mode of each file."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / name, *arguments)
        return [(each.name, each.read_bytes(), each.stat().st_mode) for each in Path(folder).iterdir()]
