"""Access tokens: ours pass, and nothing else does."""

from __future__ import annotations

import base64

import pytest

from harness.process import JWT_SECRET
from tests.server_fixture import mint
from ws.auth import TokenRefused, identify, issue
from ws.effects import ROLES, Identity

FAR = 4_000_000_000


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_token_that_was_issued_says_who_is_asking(role: str) -> None:
    now_s = FAR - 100
    assert identify(JWT_SECRET, issue(JWT_SECRET, 2**53 - 1, role, 0, now_s)) == Identity(
        2**53 - 1, role, now_s
    )


@pytest.mark.parametrize("role", sorted(ROLES - {"player"}))
def test_whoever_has_the_secret_may_say_that_he_is_at_the_command_line(role: str) -> None:
    token = issue(JWT_SECRET, 1, role, 0, FAR, shell="root@host")
    told = identify(JWT_SECRET, token)
    assert told == Identity(1, role, FAR, shell="root@host")
    assert told.caller == "cli"
    assert told._replace(shell=None).caller == "1"


def test_a_token_ends_with_its_life() -> None:
    with pytest.raises(TokenRefused, match="expired"):
        identify(JWT_SECRET, mint(7, life_s=-1))


@pytest.mark.parametrize(
    "claims",
    [
        {"key": "another-secret-that-is-long-enough-too"}, {"key": ""},
        *({"header": {"alg": alg}} for alg in ("none", "None", "HS512", "RS256", "", None, ["HS256"])),
        *({"header": {"typ": typ}} for typ in ("JWT", None, "rt+jwt", "at+jwt ", ["at+jwt"])),
        {"header": {"crit": ["exp"]}}, {"header": {"b64": False}},
        *({"iss": iss} for iss in ("other", None, ["solidgreen"])),
        *({"aud": aud} for aud in ("other", None, ["solidgreen"], ["solidgreen", "other"])),
        *({"role": role} for role in (None, "root", "", "Player", 7, True, ["player"], {"player": 1})),
        *({"exp": exp} for exp in (None, "soon", str(FAR), float(FAR), True, [FAR], 10**400)),
        {"nbf": FAR}, {"nbf": "x"}, {"iat": FAR},
        *({"sub": sub} for sub in (None, 7, 7.0, True, ["7"], "", "-1", "1.0", " 1", "1\n", "0x1", "me")),
        *({"sub": sub} for sub in ("１", "²", "9" * 17, "9" * 5000)),
    ],
    ids=lambda claims: str(claims)[:40],
)  # fmt: skip
def test_a_token_of_any_other_kind_is_refused(claims: dict[str, object]) -> None:
    with pytest.raises(TokenRefused):
        identify(JWT_SECRET, mint(7, **claims))


GOOD = mint(7)


@pytest.mark.parametrize(
    "token",
    [
        "", ".", "..", "...", "a.b.c", "ß", "\ud800", "\x00", "a" * 10_000, "." * 10_000, GOOD[:-1], GOOD[1:],
        GOOD + "A", GOOD + ".x", f" {GOOD}", f"{GOOD}\n", GOOD.replace(".", ".."), GOOD.rpartition(".")[0],
        GOOD.rpartition(".")[0] + ".", "e30.e30.e30", "bnVsbA.bnVsbA.", GOOD.upper(),
        base64.urlsafe_b64encode(b"[" * 100_000).decode().rstrip("=") + ".e30.",
    ],
    ids=lambda token: ascii(token[:24]),
)  # fmt: skip
def test_a_damaged_token_is_refused(token: str) -> None:
    with pytest.raises(TokenRefused):
        identify(JWT_SECRET, token)


def test_no_refusal_repeats_the_token() -> None:
    with pytest.raises(TokenRefused) as refused:
        identify(JWT_SECRET, GOOD + "secret")
    assert "secret" not in str(refused.value)
