"""Runs vectors through the verifier in Python and through the one in JavaScript, and says what each said."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from verifier.check import Refused, check_receipt
from verifier.heads import check_head

RUNNER: Final = Path(__file__).with_name("run_vectors.mjs")

Vector = Mapping[str, Any]
Verdict = dict[str, Any]
"""`refused`: in which words; or `shown`: what is proven, integers as texts, bytes in hexadecimal."""


def read(file: Path) -> tuple[list[Vector], str]:
    """The vectors of a file, each with its text, and the public key that they are checked with.

    One without a text has that of the first, in which `put` stands for the characters `cut[0]` to `cut[1]`.
    """
    whole = json.loads(file.read_text(encoding="utf-8"))
    base = whole["vectors"][0]["text"]
    vectors = []
    for vector in whole["vectors"]:
        start, end = vector.get("cut", (0, 0))
        vectors.append({"text": base[:start] + vector.get("put", "") + base[end:]} | vector)
    return vectors, whole["public_key"]


def in_python(vectors: Iterable[Vector], public_key: str) -> list[Verdict]:
    """What `verifier/check.py` and `heads.py` say of each. They raise nothing but `Refused`."""
    return [_verdict(vector, bytes.fromhex(vector.get("public_key", public_key))) for vector in vectors]


def in_node(vectors: Iterable[Vector], public_key: str, folder: Path) -> tuple[list[Verdict], float]:
    """What `verifier/check.mjs` says of each, and in how many seconds. It throws nothing but `Refused`."""
    node = shutil.which("node")
    assert node, "the second verifier needs Node 18 or later: there is no `node` on the PATH"
    file = folder / "vectors.json"
    file.write_text(json.dumps({"public_key": public_key, "vectors": [*vectors]}), encoding="utf-8")
    run = subprocess.run([node, RUNNER, file], capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    return told["verdicts"], told["seconds"]


def _verdict(vector: Vector, public_key: bytes) -> Verdict:
    try:
        if vector["check"] == "head":
            return {"shown": _plain(check_head(vector["text"], public_key, vector.get("kept")))}
        return {"shown": _plain(check_receipt(vector["text"], public_key))}
    except Refused as refused:
        return {"refused": str(refused)}


def _plain(value: Any) -> Any:
    match value:
        case int():
            return str(value)
        case bytes():
            return value.hex()
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list():
            return [_plain(each) for each in value]
    return value
