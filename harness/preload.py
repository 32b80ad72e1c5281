"""Libraries in C that stand between a server and its machine: a disk that fails, a clock that jumps."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def compiled(source: Path, folder: Path) -> Path:
    """Compile `source` into a library in `folder`, for `LD_PRELOAD`. Raises `RuntimeError` without a
    compiler, `CalledProcessError` where it finds fault with the source.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("a C compiler is needed: install gcc")
    library = folder / f"{source.stem}.so"
    how = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(source), "-ldl"]
    subprocess.run([compiler, *how], check=True)
    return library
