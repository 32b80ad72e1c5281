"""The routes on which admins say who may act for the house, `/v1/admin/…`. What they mean: docs/people.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.actors import Actor
from engine.logins import StaffMember
from engine.outcomes import Code
from engine.service_keys import ServiceAccount, ServiceKey
from ws.asking.actors import actor_of
from ws.asking.roles import MANAGE, reach_of, why_not
from ws.effects import Identity
from ws.http.bearer import known, still_known
from ws.http.bodies import Some, read_body
from ws.people.messages import (
    AccountShown,
    AddStaff,
    CreateKey,
    KeyShown,
    NewKey,
    RotateKey,
    SetPassword,
    StaffShown,
)
from ws.people.routes import Endpoint, answering, shown
from ws.people.secrets_shown import PeopleRefused
from ws.people.staff import Staff


class Admin(NamedTuple):
    """Who asks, and what his token came from, if that can end."""

    actor: Actor
    sid: str | None


def staff_routes(staff: Staff, clock: Callable[[], int]) -> list[Route]:
    """`clock`: microseconds of the wall clock."""

    def admin(request: Request) -> Admin:
        return may_manage(request, known(request.scope))

    async def asked_of(request: Request, kind: type[Some]) -> tuple[Admin, Some]:
        """Who asks for what; looked at anew behind the body."""
        admin(request)
        asked = await read_body(request, kind)
        return may_manage(request, still_known(request.scope)), asked

    def may_manage(request: Request, identity: Identity) -> Admin:
        if reach_of(identity, MANAGE) is None:
            raise PeopleRefused(Code.FORBIDDEN, why_not(identity, MANAGE))
        # Whoever makes keys makes any: so none whose own is bounded.
        if identity.scopes is not None:
            raise PeopleRefused(Code.FORBIDDEN, "this key is bounded by scopes, and makes no others")
        actor = actor_of(identity, request.client, "http")
        assert actor is not None, "players are no admins"
        return Admin(actor, identity.session)

    @answering
    async def list_staff(request: Request) -> Response:
        admin(request)
        return shown({"staff": [member_shown(each) for each in await staff.list_staff()]})

    @answering
    async def add(request: Request) -> Response:
        (actor, sid), asked = await asked_of(request, AddStaff)
        user_id = await staff.add_staff(actor, asked.username, asked.password, asked.role, sid=sid)
        return shown({"user_id": user_id}, 201)

    @answering
    async def remove(request: Request) -> Response:
        actor, sid = admin(request)
        await staff.remove_staff(actor, request.path_params["name"], sid=sid)
        return Response(status_code=204)

    @answering
    async def set_password(request: Request) -> Response:
        (actor, sid), asked = await asked_of(request, SetPassword)
        await staff.set_staff_password(actor, request.path_params["name"], asked.password, sid=sid)
        return Response(status_code=204)

    @answering
    async def list_keys(request: Request) -> Response:
        admin(request)
        now_us = clock()
        accounts = await staff.list_accounts()
        return shown({"accounts": [account_shown(account, keys, now_us) for account, keys in accounts]})

    @answering
    async def create(request: Request) -> Response:
        (actor, sid), asked = await asked_of(request, CreateKey)
        key = await staff.create_key(actor, asked.name, asked.role, asked.scopes, sid=sid)
        return shown(NewKey(asked.name, key), 201)

    @answering
    async def rotate(request: Request) -> Response:
        (actor, sid), asked = await asked_of(request, RotateKey)
        name = request.path_params["name"]
        return shown(NewKey(name, await staff.rotate_key(actor, name, asked.grace_s, sid=sid)), 201)

    @answering
    async def revoke(request: Request) -> Response:
        actor, sid = admin(request)
        await staff.revoke_account(actor, request.path_params["name"], sid=sid)
        return Response(status_code=204)

    return [
        _route("/v1/admin/staff", GET=list_staff, POST=add),
        _route("/v1/admin/staff/{name}", DELETE=remove),
        _route("/v1/admin/staff/{name}/password", PUT=set_password),
        _route("/v1/admin/keys", GET=list_keys, POST=create),
        _route("/v1/admin/keys/{name}", DELETE=revoke),
        _route("/v1/admin/keys/{name}/rotate", POST=rotate),
    ]


def _route(path: str, **by_method: Endpoint) -> Route:
    """One for each path, so that a wrong method hears of all that are right."""

    async def serve(request: Request) -> Response:
        return await by_method["GET" if request.method == "HEAD" else request.method](request)

    return Route(path, serve, methods=[*by_method])


def member_shown(member: StaffMember) -> StaffShown:
    """One of the staff, as he is told."""
    return StaffShown(
        member.user_id,
        member.username,
        member.role,
        member.created_us // 1000,
        member.changed_us // 1000,
        _ms(member.removed_us),
    )


def account_shown(account: ServiceAccount, keys: list[ServiceKey], now_us: int) -> AccountShown:
    """A service account, as it is told."""
    return AccountShown(
        account.id,
        account.name,
        account.role,
        None if account.scopes is None else account.scopes.split(" "),
        account.created_us // 1000,
        _ms(account.revoked_us),
        [
            KeyShown(
                key.prefix,
                key.created_us // 1000,
                _ms(key.expires_us),
                _ms(key.revoked_us),
                key.revoked_us is None and (key.expires_us is None or key.expires_us > now_us),
            )
            for key in keys
        ],
    )


def _ms(at_us: int | None) -> int | None:
    return None if at_us is None else at_us // 1000
