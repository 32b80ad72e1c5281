"""The keys that blocks are signed with: the messages. Pure."""

from __future__ import annotations

import msgspec

from ws.wire.fields import Id, Reply, Request


class KeysGet(Request, tag="keys.get"):
    id: Id


class SignerShown(msgspec.Struct, gc=False):
    """A key that has signed. `public_key`: PEM (SubjectPublicKeyInfo); `since_block`: the first that it has
    signed."""

    key_id: str
    public_key: str
    since_block: int


class Keys(Reply, tag="keys"):
    """The keys that have signed blocks, the newest first."""

    id: str
    items: list[SignerShown]
