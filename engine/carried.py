"""The file in which `verify` keeps how far it came: the verified height and the running sums, as JSON, with
a digest behind it.

Whoever can write this file can make `verify` skip history: it is to be kept where the books are not.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from engine.errors import SolidGreenError
from engine.origin import Carried

FORMAT: Final = 1


class CarriedUnusable(SolidGreenError):
    """The file does not hold what an earlier run has left, or not of these books. The message names it."""


class Kept(msgspec.Struct):
    """What stands in the file. `first_hash`: that of the first block, which says whose books they are;
    `keys`: how many blocks each key has signed, by its id in hexadecimal.
    """

    format: int
    first_hash: bytes
    carried: Carried
    keys: dict[str, int]


def load(path: Path) -> Kept | None:
    """What an earlier run has left; None if there is no file. Raises `CarriedUnusable`."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CarriedUnusable(f"{path}: {error.strerror}") from error
    body, _, digest = data.rstrip(b"\n").rpartition(b"\n")
    try:
        if digest.decode("ascii") != sha256(body).hexdigest():
            raise CarriedUnusable(f"{path}: is damaged, or no state of verify; delete it to begin anew")
        kept = msgspec.json.decode(body, type=Kept)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise CarriedUnusable(f"{path}: is no state of verify; delete it to begin anew") from error
    if kept.format != FORMAT:
        raise CarriedUnusable(f"{path}: is of format {kept.format}, and this program knows {FORMAT}")
    return kept


def save(path: Path, kept: Kept) -> None:
    """Replace the file, so that a crash leaves the old or the new. Raises `CarriedUnusable`."""
    body = msgspec.json.encode(kept)
    draft = path.with_name(f"{path.name}.new-{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(body + b"\n" + sha256(body).hexdigest().encode() + b"\n")
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except OSError as error:
        raise CarriedUnusable(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
