"""The files that the pages load: where they are, and under which path and as what they are served.

Nothing is built or copied: the client and the verifier are served from where they are kept. In a wheel the
first two stand beside this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
}
"""Of what a page may load (RFC 9239 for scripts); other files of these folders are not served."""

PAGES: Final = {"/": "index.html", "/operator": "operator.html"}

_HERE: Final = Path(__file__).resolve().parent
_TOP: Final = _HERE.parent.parent


class Served(NamedTuple):
    """A file as it is served."""

    path: str
    file: Path
    media_type: str


def served() -> Iterator[Served]:
    """The pages and their assets, in no order."""
    web = _folder("web", "web")
    for path, name in PAGES.items():
        yield Served(path, web / name, MEDIA_TYPES[".html"])
    for file in web.rglob("*"):
        if file.suffix in MEDIA_TYPES and file.parent != web:
            yield Served(f"/web/{file.relative_to(web).as_posix()}", file, MEDIA_TYPES[file.suffix])
    for file in _folder("client", "clients/javascript").glob("*.js"):
        yield Served(f"/web/client/{file.name}", file, MEDIA_TYPES[".js"])
    for file in (_TOP / "verifier").glob("*.mjs"):
        yield Served(f"/web/verifier/{file.name}", file, MEDIA_TYPES[".mjs"])


def _folder(packed: str, kept: str) -> Path:
    """Beside this module in a wheel, at `kept` in a checkout."""
    inside = _HERE / packed
    return inside if inside.is_dir() else _TOP / kept
