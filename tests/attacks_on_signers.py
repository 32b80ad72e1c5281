"""Attacks on whose signatures blocks bear, and on what ties a block to all blocks before it."""

from __future__ import annotations

from tests.book_rows import KEY_ID, PRINT, Row, insert
from tests.books import Attack, attacks, batch

OTHER_ID, OTHER_KEY = b"\xfa" * 16, b"\xfb" * 32
SIGNER: Row = {"id": KEY_ID, "public_key": PRINT}
ANOTHER: Row = {"id": OTHER_ID, "public_key": OTHER_KEY}

FROZEN = "signers is append-only"
THERE = "signers: it is there already"
REPLACE = "INSERT OR REPLACE"

SIGNERS = [
    *attacks(
        FROZEN,
        {
            "a signer's key exchanged": "UPDATE signers SET public_key = zeroblob(32)",
            "a signer renamed": "UPDATE OR REPLACE signers SET id = zeroblob(16)",
            "a signer taken away": "DELETE FROM signers",
        },
    ),
    *attacks(
        THERE,
        {
            "a signer's key replaced": insert("signers", {**SIGNER, "public_key": OTHER_KEY}, REPLACE),
            "a signer renamed by REPLACE": insert("signers", {**SIGNER, "id": OTHER_ID}, REPLACE),
            "a signer again": insert("signers", SIGNER),
            "a signer's key by an upsert": insert("signers", {**SIGNER, "public_key": OTHER_KEY}).rstrip(
                ";\n"
            )
            + " ON CONFLICT DO UPDATE SET public_key = excluded.public_key",
        },
    ),
    Attack("a signer without a name", insert("signers", {**ANOTHER, "id": None}), "NOT NULL"),
    Attack("a short name of a signer", insert("signers", {**ANOTHER, "id": b"x"}), r"length\(id\) = 16"),
    Attack("a short key", insert("signers", {**ANOTHER, "public_key": b"x"}), r"length\(public_key\) = 32"),
    Attack(
        "a block signed by nobody who is known",
        batch(block={"key_id": OTHER_ID}),
        "blocks: does not name a key of signers",
    ),
    Attack("a short history", batch(block={"history": b"x"}), r"length\(history\) = 32"),
    Attack("a short peak", batch(block={"peak": b"x"}), r"length\(peak\) = 32"),
    Attack("a short signature", batch(block={"signature": b"x"}), r"length\(signature\) = 64"),
]
