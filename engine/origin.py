"""What an audit keeps of history up to a block, so that another can go on behind it; and what is kept of a
history that was archived, whose digests a CARRY transaction seals. Pure.

All of it is bounded by the accounts, the limits and the free bets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final, TypeVar

import msgspec

from engine.archive_checks import ArchiveKnown
from engine.bonus_checks import WalletsTold
from engine.outcomes import LimitTold
from engine.records import Head, Transaction

FORMAT: Final = 1

_Key = TypeVar("_Key", int, str)
_Value = TypeVar("_Value")

Openings = Mapping[int, tuple[int, int]]
"""By holder: his balance in minor units, and his newest entry."""


class Carried(msgspec.Struct):
    """What is kept of history up to a block, so that another run can go on behind it. `holders`: sum and
    newest entry of each; the rest as `Audit`, `LifeAudit`, `WalletAudit` and `ArchiveAudit` have it.
    `archived`: how many of the transactions that changed a bet are not counted in `changes`, since they are
    in archives.
    """

    block_id: int
    hash: bytes
    at_us: int
    last_transaction_id: int
    last_entry_id: int
    peaks: tuple[bytes, ...]
    entries: int
    holders: dict[int, tuple[int, int]]
    limits: list[LimitTold]
    floors: dict[int, int]
    owed: dict[str, int]
    clearing: dict[int, int]
    changes: int
    wallets: WalletsTold
    archives: dict[int, ArchiveKnown] = {}
    archived: int = 0

    @property
    def head(self) -> Head:
        """Where the chain stood."""
        ends = (self.block_id, self.hash, self.at_us, self.last_transaction_id, self.last_entry_id)
        return Head(*ends, self.peaks)


class Origin(msgspec.Struct):
    """What stands in `carried.state`: what an audit of the file alone begins with, behind what is archived.

    `carried` has no holders, since the ledger says what each has. `beside`: by each bonus wallet, with which
    wallet it is spent; what was granted stands in archived entries. `archived_keys`: how many keys there
    are, of all archives so far, and `keys` the digest of them. `retained`: that of the transactions up to the
    block that stay.
    """

    format: int
    carried: Carried
    beside: dict[int, int]
    archived_keys: int
    keys: bytes
    retained: bytes


def origin_of(
    carried: Carried,
    beside: Mapping[int, int],
    keys: tuple[int, bytes],
    retained: bytes,
    archived: int,
) -> Origin:
    """What is carried of the history that an audit has gone over. The same history gives the same, wherever
    that has begun. `keys`: how many are archived, and their digest; `archived`: how many transactions that
    changed a bet are in all archives so far.
    """
    wallets = carried.wallets
    lasting = msgspec.structs.replace(
        carried,
        holders={},
        limits=sorted(carried.limits, key=lambda told: (told.user_id, told.kind, told.period)),
        floors=_in_order(carried.floors),
        owed=_in_order({user: minor for user, minor in carried.owed.items() if minor}),
        clearing=_in_order(carried.clearing),
        changes=carried.changes + carried.archived - archived,
        wallets=WalletsTold(
            _in_order({user_id: minor for user_id, minor in wallets.in_bonus.items() if minor}),
            _in_order(wallets.bonuses),
            _in_order(wallets.free_bets),
            sorted(wallets.opened),
        ),
        archives=_in_order(carried.archives),
        archived=archived,
    )
    known = {user_id: beside[user_id] for user_id in sorted(wallets.bonuses) if user_id in beside}
    return Origin(FORMAT, lasting, known, *keys, retained)


def encode(origin: Origin) -> bytes:
    """What is kept in `carried.state`; its SHA-256 is what CARRY seals."""
    return msgspec.json.encode(origin)


def decode(state: bytes) -> Origin | None:
    """What stands there; None if it is nothing that this program knows."""
    try:
        origin = msgspec.json.decode(state, type=Origin)
    except (msgspec.DecodeError, RecursionError):
        return None
    return origin if origin.format == FORMAT else None


def openings_digest(holders: Openings) -> bytes:
    """SHA-256 over a MessagePack array (holder, balance, newest entry) of each, by holder."""
    digest = sha256()
    for user_id in sorted(holders):
        digest.update(_pack((user_id, *holders[user_id])))
    return digest.digest()


def keys_digest(hashes: Iterable[bytes]) -> tuple[int, bytes]:
    """How many hashes of keys there are, and the SHA-256 over them. In their order."""
    digest, count = sha256(), 0
    for hash_ in hashes:
        digest.update(hash_)
        count += 1
    return count, digest.digest()


def retained_digest(transactions: Iterable[Transaction]) -> bytes:
    """SHA-256 over the MessagePack array of each transaction. In the order of their ids."""
    digest = sha256()
    for transaction in transactions:
        digest.update(_pack(transaction))
    return digest.digest()


def _in_order(by_key: Mapping[_Key, _Value]) -> dict[_Key, _Value]:
    return dict(sorted(by_key.items()))


_pack = msgspec.msgpack.Encoder().encode
