"""Both verifiers take what is true, and refuse what is false in the words of verifier/vectors.json.

That file is written by this one: `python tests/test_verifier_vectors.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.both_verifiers import in_node, in_python, read
from tests.receipt_vectors import file_text

FILE = Path(__file__).resolve().parent.parent / "verifier" / "vectors.json"


def refusals(vectors: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """In which words each is to be refused, or was; None: it is true."""
    return [each.get("refused") for each in vectors]


def test_the_file_is_what_the_engine_and_the_forgers_make() -> None:
    told = "write it anew: python tests/test_verifier_vectors.py"
    assert FILE.read_text(encoding="utf-8") == file_text(), told


def test_the_verifier_in_python_says_what_the_file_says() -> None:
    vectors, public_key = read(FILE)

    found = refusals(in_python(vectors, public_key))

    expected = zip(vectors, found, refusals(vectors), strict=True)
    assert [(each["name"], why, asked) for each, why, asked in expected if why != asked] == []


@pytest.mark.long
def test_the_verifier_in_javascript_says_and_shows_the_same(tmp_path: Path) -> None:
    vectors, public_key = read(FILE)

    found, _ = in_node(vectors, public_key, tmp_path)

    assert found == in_python(vectors, public_key)
    assert refusals(found) == refusals(vectors)


if __name__ == "__main__":
    FILE.write_text(file_text(), encoding="utf-8")
