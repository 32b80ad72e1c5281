"""The key that signs blocks, and who checks it: Ed25519 (RFC 8032), by `cryptography`.

The private key is a file (PEM, PKCS #8) beside the database, for its owner only; whoever has it can sign
whatever history he likes. The public key stands in the database, in `signers`, and goes to whom it concerns.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from engine.blocks import Signer, key_id_of
from engine.errors import SolidGreenError
from engine.files import make_secret


class KeyUnusable(SolidGreenError):
    """A key file cannot be read, or holds something else than what was asked for. The message names it."""


class SigningKey:
    """A private key in memory."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self.public_key = private_key.public_key().public_bytes_raw()
        """32 bytes."""
        self.signer = Signer(key_id_of(self.public_key), private_key.sign)


def key_file(db: Path) -> Path:
    """Where the key is kept that was made for `db`."""
    return db.with_name(f"{db.name}.signing-key")


def signing_key(db: Path, given: Path | None = None) -> SigningKey:
    """The key that signs the blocks of `db`: the file `given`, or the one beside it, made if it is missing
    (mode 0600). Raises `KeyUnusable`.
    """
    path = given or key_file(db)
    try:
        if given is None and not path.exists():
            made = Ed25519PrivateKey.generate()
            make_secret(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        data = path.read_bytes()
    except OSError as error:
        raise KeyUnusable(f"{path}: {error.strerror}") from error
    try:
        found = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{path}: is no private key in PEM without a password") from error
    if not isinstance(found, Ed25519PrivateKey):
        raise KeyUnusable(f"{path}: is a private key, but not one of Ed25519")
    return SigningKey(found)


def public_key_file(path: Path) -> bytes:
    """The public key (32 bytes) in a PEM file. Raises `KeyUnusable`."""
    try:
        found = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise KeyUnusable(f"{path}: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{path}: is no public key in PEM") from error
    if not isinstance(found, Ed25519PublicKey):
        raise KeyUnusable(f"{path}: is a public key, but not one of Ed25519")
    return found.public_bytes_raw()


def as_pem(public_key: bytes) -> str:
    """A public key (32 bytes) as other programs read it (SubjectPublicKeyInfo)."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


class Signatures:
    """Checks signatures of blocks against the public keys that it was given."""

    def __init__(self, public_keys: Iterable[bytes]) -> None:
        self._keys = {key_id_of(key): Ed25519PublicKey.from_public_bytes(key) for key in public_keys}

    def knows(self, key_id: bytes) -> bool:
        """Whether the public key of that name was given."""
        return key_id in self._keys

    def is_valid(self, key_id: bytes, signature: bytes, header: bytes) -> bool:
        """Whether that key has signed `header`; False for one that was not given."""
        key = self._keys.get(key_id)
        if key is None:
            return False
        try:
            key.verify(signature, header)
        except InvalidSignature:
            return False
        return True


def introduce(connection: sqlite3.Connection, key: SigningKey) -> None:
    """Put the public key into `signers`, unless it is there."""
    connection.execute(
        "INSERT INTO signers (id, public_key) SELECT :id, :key "
        "WHERE NOT EXISTS (SELECT 1 FROM signers WHERE id = :id)",
        {"id": key.signer.key_id, "key": key.public_key},
    )


def public_keys(connection: sqlite3.Connection) -> dict[bytes, bytes]:
    """The public keys in `signers`, by their names."""
    return dict(connection.execute("SELECT id, public_key FROM signers").fetchall())


def first_blocks(
    connection: sqlite3.Connection, known: Collection[bytes], since: int, most: int
) -> tuple[dict[bytes, bytes], dict[bytes, int], int, int]:
    """The public keys in `signers`; the first block behind `since` that each has signed which is not `known`,
    looked for in `most` blocks; up to which block that was, and which is the newest."""
    public = public_keys(connection)
    (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM blocks").fetchone()
    upto = min(since + most, newest)
    found = {}
    for key_id in public.keys() - known:
        row = connection.execute(
            "SELECT id FROM blocks WHERE id > ? AND id <= ? AND key_id = ? ORDER BY id LIMIT 1",
            (since, upto, key_id),
        ).fetchone()
        if row is not None:
            found[key_id] = int(row[0])
    return public, found, upto, newest


def newest_key_id(connection: sqlite3.Connection) -> bytes | None:
    """Which key has signed the newest block; None while there is no block."""
    row = connection.execute("SELECT key_id FROM blocks ORDER BY id DESC LIMIT 1").fetchone()
    return None if row is None else bytes(row[0])
