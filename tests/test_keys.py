"""The key that signs blocks: made once, for its owner only; what is no such key is refused by name."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from engine import keys
from engine.blocks import Block, Signer, header_of, key_id_of
from engine.store import Store
from tests.books_open import look, seed


def private_pem(key: Ed25519PrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> bytes:
    sealed = NoEncryption() if password is None else BestAvailableEncryption(password)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed)


def test_a_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    db = tmp_path / "a.db"
    first = keys.signing_key(db)
    assert stat.S_IMODE(keys.key_file(db).stat().st_mode) == 0o600
    assert keys.signing_key(db).public_key == first.public_key
    assert [file.name for file in tmp_path.iterdir()] == ["a.db.signing-key"], "no draft is left behind"


def test_a_given_key_is_taken_and_none_is_made(tmp_path: Path) -> None:
    given = tmp_path / "given.pem"
    made = Ed25519PrivateKey.generate()
    given.write_bytes(private_pem(made))

    key = keys.signing_key(tmp_path / "a.db", given)

    assert key.public_key == made.public_key().public_bytes_raw()
    assert not keys.key_file(tmp_path / "a.db").exists()


def test_what_is_no_key_is_refused_by_name(tmp_path: Path) -> None:
    file, db = tmp_path / "key.pem", tmp_path / "a.db"
    contents = {
        b"": "is no private key in PEM",
        b"\xff\x00": "is no private key in PEM",
        private_pem(Ed25519PrivateKey.generate(), b"secret"): "is no private key in PEM without a password",
        private_pem(rsa.generate_private_key(65537, 2048)): "is a private key, but not one of Ed25519",
    }
    for data, words in contents.items():
        file.write_bytes(data)
        with pytest.raises(keys.KeyUnusable, match=words):
            keys.signing_key(db, file)
    with pytest.raises(keys.KeyUnusable, match="No such file"):
        keys.signing_key(db, tmp_path / "none.pem")


def test_a_public_key_goes_through_pem_and_back(tmp_path: Path) -> None:
    file = tmp_path / "public.pem"
    public_key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    file.write_text(keys.as_pem(public_key))
    assert keys.public_key_file(file) == public_key

    file.write_bytes(private_pem(Ed25519PrivateKey.generate()))
    with pytest.raises(keys.KeyUnusable, match="is no public key in PEM"):
        keys.public_key_file(file)
    with pytest.raises(keys.KeyUnusable, match="No such file"):
        keys.public_key_file(tmp_path / "none.pem")


def test_a_signature_holds_for_its_key_and_its_bytes_only() -> None:
    made = [keys.SigningKey(Ed25519PrivateKey.generate()) for _ in range(2)]
    known = keys.Signatures([made[0].public_key])
    key_id, sign = made[0].signer
    signature = sign(b"header")

    assert known.is_valid(key_id, signature, b"header")
    assert not known.is_valid(key_id, signature, b"headers")
    assert not known.is_valid(key_id, made[1].signer.sign(b"header"), b"header")
    assert not known.is_valid(made[1].signer.key_id, signature, b"header"), "nobody knows that key"
    assert [known.knows(each.signer.key_id) for each in made] == [True, False]


def test_a_store_introduces_its_key_and_signs_each_block_with_it(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 1000, 500)
    other = keys.SigningKey(Ed25519PrivateKey.generate())

    async def reopened() -> None:
        for key in (None, other, None):  # the one beside the file, another one, the first again
            await (await Store.open(path, key=key)).close()

    asyncio.run(reopened())

    first = keys.signing_key(path)
    told = dict(look(path, "SELECT id, public_key FROM signers"))
    assert told == {key_id_of(key.public_key): key.public_key for key in (first, other)}
    for row in look(path, "SELECT * FROM blocks"):
        block = Block(*row)
        assert block.key_id == first.signer.key_id
        assert keys.Signatures([first.public_key]).is_valid(block.key_id, block.signature, header_of(block))
        assert isinstance(first.signer, Signer)
