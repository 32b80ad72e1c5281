"""JSON that two readers cannot read differently. Pure."""

from __future__ import annotations

from typing import Any


def named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `json.loads`: raises `ValueError` where a name stands twice, since two readers may take either."""
    named = dict(pairs)
    if len(named) != len(pairs):
        raise ValueError("a name stands twice")
    return named
