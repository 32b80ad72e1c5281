"""A secret that a start has made is there after a power cut as well: its content, and its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.files import make_secret


def test_a_secret_and_its_name_are_synced_once_both_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced, sync = tmp_path / "secret", list[tuple[Path, bool]](), os.fsync

    def noting(descriptor: int) -> None:
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink(), path.exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    make_secret(path, b"content")
    (draft, before), (folder, after) = synced
    assert (draft.parent, draft != path, before) == (tmp_path, True, False)
    assert (folder, after) == (tmp_path, True)
    assert path.read_bytes() == b"content"
    assert [*tmp_path.iterdir()] == [path]
    make_secret(path, b"another")
    assert path.read_bytes() == b"content"
