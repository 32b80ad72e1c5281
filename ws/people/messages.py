"""What is asked and answered about people and service accounts over HTTP. Pure.

Texts are as long as they may be; what else they must be is in `engine/people.py`.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ws.wire.fields import CurrencyCode

Name = Annotated[str, Meta(max_length=256)]
Password = Annotated[str, Meta(max_length=1024)]
"""Longer than any password is, since NFKC may shorten it."""
Secret = Annotated[str, Meta(max_length=256)]
GRACE_S_MAX: Final = 30 * 86_400
"""How long, at most, earlier keys of a service account stay good beside a new one: time for a deployment."""
GraceS = Annotated[int, Meta(ge=0, le=GRACE_S_MAX)]


class Body(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What a client may send."""


class Register(Body):
    """`POST /v1/auth/register`. `cookie`: keep the refresh token in a cookie that no script can read."""

    username: Name
    password: Password
    currency: CurrencyCode | None = None
    cookie: bool = False


class Login(Body):
    """`POST /v1/auth/login`."""

    username: Name
    password: Password
    cookie: bool = False


class Refresh(Body):
    """`POST /v1/auth/refresh` and `/logout`. Without the token: that of the cookie; to log out, that as
    well."""

    refresh_token: Secret | None = None


class ExchangeKey(Body):
    """`POST /v1/auth/token`."""

    key: Secret


class AddStaff(Body):
    """`POST /v1/admin/staff`."""

    username: Name
    password: Password
    role: str


class SetPassword(Body):
    """`PUT /v1/admin/staff/{name}/password`."""

    password: Password


class CreateKey(Body):
    """`POST /v1/admin/keys`. Without `scopes`: all that the role may do."""

    name: Name
    role: str
    scopes: Annotated[list[str], Meta(max_length=16)] | None = None


class RotateKey(Body):
    """`POST /v1/admin/keys/{name}/rotate`. `grace_s`: how long the keys before it stay good."""

    grace_s: GraceS = 0


class Tokens(msgspec.Struct, gc=False):
    """Who has logged in, and what he acts with. `refresh_token`: left out where a cookie has it."""

    user_id: int
    role: str
    access_token: str
    expires_in: int
    refresh_expires_in: int | UnsetType = UNSET
    refresh_token: str | UnsetType = UNSET
    scope: str | UnsetType = UNSET
    token_type: str = "Bearer"  # noqa: S105  # RFC 6750 calls it so


class StaffShown(msgspec.Struct, gc=False):
    """One of the staff. Times: milliseconds since the Unix epoch."""

    user_id: int
    username: str
    role: str
    created_at: int
    changed_at: int
    removed_at: int | None


class KeyShown(msgspec.Struct, gc=False):
    """A key, by how it begins. `good`: whether it can be exchanged now."""

    prefix: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    good: bool


class AccountShown(msgspec.Struct, gc=False):
    """A service account and its keys. `scopes`: null: all that the role may do."""

    user_id: int
    name: str
    role: str
    scopes: list[str] | None
    created_at: int
    revoked_at: int | None
    keys: list[KeyShown]


class NewKey(msgspec.Struct, gc=False):
    """A key, in full, this once."""

    name: str
    key: str
