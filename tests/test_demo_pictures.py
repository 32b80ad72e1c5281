"""The pictures of the pages: each that is shown is there and small, and none lies about that nobody shows."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs/pages"
SHOWN_IN = (ROOT / "README.md", ROOT / "docs/pages.md")
PICTURE = re.compile(r"!\[([^\]]+)\]\(([^)]+\.png)\)")
BYTES_MAX = 200_000
SIZES = {"desk": (1280, 900), "phone": (2 * 390, 2 * 844)}  # a phone draws two pixels for one

FILES = sorted(FOLDER.glob("*.png"))


@pytest.mark.parametrize("page", SHOWN_IN, ids=lambda page: page.name)
def test_each_picture_that_is_shown_is_there_and_described(page: Path) -> None:
    shown = PICTURE.findall(page.read_text(encoding="utf-8"))
    assert shown
    assert [source for _, source in shown if (page.parent / source).resolve() not in FILES] == []
    assert [words for words, _ in shown if len(words.split()) < 3] == []


def test_no_picture_lies_about() -> None:
    shown = {
        (page.parent / source).resolve()
        for page in SHOWN_IN
        for _, source in PICTURE.findall(page.read_text(encoding="utf-8"))
    }
    assert {*FILES} == shown


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_picture_is_small_and_of_its_size(path: Path) -> None:
    content = path.read_bytes()
    assert len(content) <= BYTES_MAX
    assert struct.unpack(">II", content[16:24]) == SIZES[path.stem.split("-")[-2]]  # IHDR, PNG section 11.2.2
