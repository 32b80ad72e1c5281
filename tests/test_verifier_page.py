"""verifier/check.html: the page loads nothing from elsewhere, and says what is proven, or why not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from engine.keys import as_pem
from tests.books_open import SIGNING_KEY
from tests.sealed import Draft, Sealed, entry, text_of

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "verifier" / "check.html"
HTML = PAGE.read_text(encoding="utf-8")


def test_the_policy_lets_in_what_stands_on_the_page_and_the_verifier_and_nothing_else() -> None:
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="(.*?)">', HTML)
    rules = dict(each.split(" ", 1) for each in policy.split("; "))
    (script,), (style,) = (
        re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", HTML, re.S) for tag in ("script", "style")
    )

    assert rules == {
        "default-src": "'none'",
        "script-src": f"'self' 'sha256-{_hash(script)}'",
        "style-src": f"'sha256-{_hash(style)}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert re.findall(r'from "(.*?)"', script) == ["./check.mjs"]
    assert not re.search(r"https?:|\bsrc=|\bhref=|style=|\son\w+=", HTML.replace(policy, ""))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function\(", HTML)


def test_the_verifier_imports_nothing_and_is_short() -> None:
    text = (REPOSITORY / "verifier" / "check.mjs").read_text(encoding="utf-8")

    assert len(text.splitlines()) < 150
    assert not re.search(r"^\s*import\b|\bimport\(|require\(|fetch\(|\bnode:", text, re.MULTILINE)
    assert len((REPOSITORY / "verifier" / "check.py").read_text(encoding="utf-8").splitlines()) < 150


@pytest.mark.long
@pytest.mark.parametrize(
    ("amount", "look", "words"),
    [
        (
            -250,
            "proven",
            ["Proven: transaction 1, BET", "block 1, sealed and signed at 2025-10-09T08:53:20.000Z"],
        ),
        (-251, "refused", ["Not proven: an entry is not in the transaction"]),
    ],
)
def test_the_page_says_what_is_proven_or_why_not(
    amount: int, look: str, words: list[str], tmp_path: Path
) -> None:
    books = Sealed()
    books.add(Draft((entry(-250, 750, ref_id="<b>dice</b>"), entry(250, 2**53, 1))))
    whole = books.receipt(1)
    whole["entries"][0]["amount"] = amount
    (tmp_path / "receipt.json").write_text(text_of(whole), encoding="utf-8")
    (tmp_path / "key.pem").write_text(as_pem(SIGNING_KEY.public_key), encoding="utf-8")

    said = run(tmp_path)

    assert (said["look"], said["isHindered"]) == (look, True)
    assert [each for each in words if each not in said["told"]] == []
    if look == "proven":
        assert "account 7: -250 EUR, balance after 750; BET <b>dice</b>" in said["told"]
        assert f"account 1: +250 EUR, balance after {2**53}" in said["told"]


@pytest.mark.long
@pytest.mark.parametrize(
    "change", [("BEGIN", "BEGAN"), ("MCowBQYDK2Vw", "MCowBQYDK2Vu"), ("=", ""), ("\n-----END", "-----END")]
)
def test_a_key_that_is_none_is_refused_in_words(change: tuple[str, str], tmp_path: Path) -> None:
    books = Sealed()
    books.add(Draft())
    (tmp_path / "receipt.json").write_text(text_of(books.receipt(1)), encoding="utf-8")
    (tmp_path / "key.pem").write_text(as_pem(SIGNING_KEY.public_key).replace(*change), encoding="utf-8")

    assert run(tmp_path)["told"] == "Not proven: it is not a public key of Ed25519 in PEM"


def run(folder: Path) -> dict[str, Any]:
    node = shutil.which("node")
    assert node, "the page needs Node 18 or later to be tried without a browser: no `node` on the PATH"
    script = REPOSITORY / "tests" / "run_page.mjs"
    command = [node, *map(str, (script, PAGE, folder / "receipt.json", folder / "key.pem", folder))]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    said: dict[str, Any] = json.loads(ran.stdout)
    return said


def _hash(text: str) -> str:
    return b64encode(sha256(text.encode()).digest()).decode()
