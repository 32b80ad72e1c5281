"""Access tokens that must be refused, by what is wrong with each. `genuine` shows that only that is.

Whoever made them has a token of his own, the public keys of the server, and as much time as he likes; some
are signed with the server's own secret, as if a part of it had been careless.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from harness.process import JWT_SECRET
from harness.wire import now_ms
from tests.server_fixture import mint

Json = dict[str, Any]

FAR_S = 4_000_000_000


def genuine(user_id: int) -> str:
    """The control: nothing is wrong with it."""
    return mint(user_id)


def forged(user_id: int, other_id: int) -> dict[str, str]:
    """Tokens that speak for `user_id`, who has one, or for `other_id`, who has not given his away."""
    made = dict(_all(user_id, other_id))
    assert genuine(user_id) not in made.values()
    return made


def _all(user_id: int, other_id: int) -> Iterator[tuple[str, str]]:
    for family in (_algorithms, _keys, _headers, _claims, _subjects, _roles, _times, _json, _shapes, _bits):
        yield from family(user_id, other_id)


def _algorithms(user_id: int, _: int) -> Iterator[tuple[str, str]]:
    for alg in (
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        " none",
        "",
        "null",
        "HS256 ",
        "hs256",
        "HS1",
        "HS255",
    ):
        for signature in ("", "AAAA"):
            signed = _signed({"alg": alg, "typ": "at+jwt"}, _sound(user_id))
            yield f"alg {alg!r}, signed {signature!r}", f"{signed}.{signature}"
    for alg in ("HS384", "HS512"):
        yield f"{alg} with the secret", mint(user_id, header={"alg": alg})
    for odd in (None, 256, True, ["HS256"], {"alg": "HS256"}):
        yield f"alg {odd!r} signed as HS256", _by_hand({"alg": odd, "typ": "at+jwt"}, _sound(user_id))
    yield "no alg", _by_hand({"typ": "at+jwt"}, _sound(user_id))


def _keys(user_id: int, _: int) -> Iterator[tuple[str, str]]:
    """Signed by other keys, or with a public key as if it were the secret (RFC 8725, section 2.1)."""
    private: dict[str, Any] = {
        "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    for alg, key in private.items():
        yield f"{alg} by its own key", jwt.encode(_sound(user_id), key, alg, headers={"typ": "at+jwt"})
        pem = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        header = {"typ": "at+jwt"}
        yield f"HS256 with the public key of {alg}", _by_hand({"alg": "HS256"} | header, _sound(user_id), pem)
        yield f"{alg} with its public key as HMAC", _by_hand({"alg": alg} | header, _sound(user_id), pem)
        yield f"{alg} with the secret as HMAC", _by_hand({"alg": alg} | header, _sound(user_id))
    wrong = {
        "another secret": b"another secret that is long enough for HS256",
        "no secret": b"",
        "a zero": b"\x00",
        "the secret and a newline": JWT_SECRET.encode() + b"\n",
        "the secret without its end": JWT_SECRET.encode()[:-1],
        "the name of the server": b"solidgreen",
        "the word null": b"null",
        "the hash of the secret": hashlib.sha256(JWT_SECRET.encode()).digest(),
    }
    for name, secret in wrong.items():
        yield f"signed with {name}", _by_hand({"alg": "HS256", "typ": "at+jwt"}, _sound(user_id), secret)


def _headers(user_id: int, _: int) -> Iterator[tuple[str, str]]:
    types = [None, "JWT", "jwt", "at+JWT", "AT+JWT", "application/at+jwt", "rt+jwt", "at+jwt ", "", 1]
    for typ in (*types, ["at+jwt"]):
        yield f"typ {typ!r}", mint(user_id, header={"typ": typ})
    tricks: Json = {
        "kid": ["../../../../dev/null", "/dev/null", "x' OR '1'='1", "'; DROP TABLE users; --", "", 0,
                "a" * 2000, "http://evil.example/key", "file:///etc/passwd", ["a"], "NoneType", "\u0000"],
        "jku": ["https://evil.example/jwks.json"],
        "jwk": [{"kty": "oct", "k": "AAAA"}],
        "x5u": ["https://evil.example/cert.pem"],
        "x5c": [["AAAA"]],
        "crit": [["exp"], [], ["b64"], "exp", ["x-unknown"]],
        "b64": [False, True],
        "zip": ["DEF"],
        "cty": ["JWT"],
        "enc": ["A128GCM"],
        "iss": ["solidgreen"],
    }  # fmt: skip
    for name, values in tricks.items():
        for number, value in enumerate(values):
            yield f"header {name} {number}", mint(user_id, header={name: value})
            if name == "kid":  # and signed with what such a key would be
                unsigned = {"alg": "HS256", "typ": "at+jwt", "kid": value}
                yield f"header kid {number}, empty key", _by_hand(unsigned, _sound(user_id), b"")
    yield "crit with b64", mint(user_id, header={"crit": ["b64"], "b64": False})


def _claims(user_id: int, _: int) -> Iterator[tuple[str, str]]:
    for name in ("iss", "aud", "sub", "exp", "role"):
        yield f"no {name}", mint(user_id, **{name: None})
    wrong: list[object] = [
        "evil",
        "",
        "Solidgreen",
        "solidgreen ",
        ["solidgreen"],
        1,
        True,
        {"solidgreen": 1},
    ]
    wrong += [["evil", "solidgreen"], []]
    for name in ("iss", "aud"):
        for value in wrong:
            yield f"{name} {value!r}", mint(user_id, **{name: value})
    for sid in ("", "l", "l0", "x1", "l-1", "l1 ", 1, ["l1"], "l" + "9" * 17, True, "l１"):
        yield f"sid {sid!r}", mint(user_id, sid=sid)
    for scope in ("", "everything", "bets  money", " bets", "BETS", 1, ["bets"], "bets,money", True):
        yield f"scope {scope!r}", mint(user_id, scope=scope)
    yield "shell of a player", mint(user_id, shell="root@host")
    for shell in ("", "root@host\n", "\x1b[2J", "\u202e", "x" * 129, 1, True, ["root@host"], {"sub": "root"}):
        yield f"shell {shell!r}"[:40], mint(user_id, "admin", shell=shell)
    yield "shell and a log-in", mint(user_id, "admin", shell="root@host", sid="l1")
    yield "shell and a key", mint(user_id, "operator", shell="root@host", sid="k1", scope="bets")
    yield "shell and scopes", mint(user_id, "operator", shell="root@host", scope="bets")


def _subjects(user_id: int, other_id: int) -> Iterator[tuple[str, str]]:
    wrong: list[object] = [
        user_id,
        -user_id,
        f"-{user_id}",
        f"+{user_id}",
        f" {user_id}",
        f"{user_id} ",
        f"0{user_id}",
    ]
    wrong += [
        2**53,
        str(2**53),
        str(2**63),
        "9" * 17,
        "9" * 5000,
        "0",
        "",
        "1e3",
        "1.0",
        "0x7",
        "７",
        "٧",
        [str(user_id)],
    ]
    wrong += [
        {"id": user_id},
        True,
        f"{user_id}\n",
        f"{user_id}\x00",
        "admin",
        f"{user_id},{other_id}",
        "1_0",
    ]
    for value in wrong:
        claims = _sound(user_id) | {"sub": value}
        yield f"sub {value!r:.40}", _by_hand({"alg": "HS256", "typ": "at+jwt"}, claims)


def _roles(user_id: int, _: int) -> Iterator[tuple[str, str]]:
    wrong: list[object] = [
        "god",
        "Player",
        "PLAYER",
        "player ",
        " admin",
        "Admin",
        "operator\x00",
        "",
        0,
        1,
        True,
    ]
    wrong += [["player"], ["player", "admin"], {"role": "admin"}, "player admin", "ｐlayer", "root", "house"]
    for value in wrong:
        yield f"role {value!r}", mint(user_id, value)


def _times(user_id: int, _: int) -> Iterator[tuple[str, str]]:
    now_s = now_ms() // 1000
    wrong: list[object] = [
        now_s - 1,
        now_s - 10**6,
        0,
        -1,
        -FAR_S,
        -(2**63),
        FAR_S + 0.5,
        str(FAR_S),
        2**53,
        2**64,
    ]
    wrong += [10**30, 1e300, True, [FAR_S], {"at": FAR_S}, "", "soon", False]
    # Named by their place: the two processes that run the tests may begin in two different seconds.
    for number, value in enumerate(wrong):
        yield (
            f"exp, {number}: {type(value).__name__}",
            _by_hand({"alg": "HS256", "typ": "at+jwt"}, _sound(user_id) | {"exp": value}),
        )
    for name in ("iat", "nbf"):
        times = (FAR_S, now_s + 3600, str(now_s), now_s + 0.5, 2**70, "x", [now_s], True, {})
        for number, value in enumerate(times):
            yield f"{name}, {number}: {type(value).__name__}", mint(user_id, **{name: value})
    for text in ("1e999", "-1e999", "NaN", "Infinity", "1e400000", "9" * 5000):
        payload = json.dumps(_sound(user_id) | {"exp": 0}).replace('"exp": 0', f'"exp": {text}')
        yield f"exp written as {text:.10}", _text_signed(_header(), payload)


def _json(user_id: int, other_id: int) -> Iterator[tuple[str, str]]:
    """What two readers may read differently, and what is no claims at all. All with the right secret."""
    sound = json.dumps(_sound(user_id))
    for name, value in (("sub", f'"{other_id}"'), ("role", '"admin"'), ("exp", str(FAR_S)), ("aud", '"x"')):
        yield f"{name} twice", _text_signed(_header(), sound[:-1] + f', "{name}": {value}}}')
        yield f"{name} twice, first", _text_signed(_header(), f'{{"{name}": {value}, ' + sound[1:])
    yield "alg twice", _text_signed('{"alg": "none", "alg": "HS256", "typ": "at+jwt"}', sound)
    yield "typ twice", _text_signed('{"alg": "HS256", "typ": "JWT", "typ": "at+jwt"}', sound)
    texts = ("", "null", "[]", "1", '"x"', "{", sound + "x", f"[{sound}]", "\ufeff" + sound, "{}", "'")
    for text in (*texts, 2 * sound):
        yield f"payload {text:.12}", _text_signed(_header(), text)
    for text in ("", "null", "[]", "1", "{}", "{", f"[{_header()}]", _header() + "x", "\ufeff" + _header()):
        yield f"header {text:.12}", _text_signed(text, sound)
    yield "brackets within brackets", _text_signed(_header(), "[" * 3000)
    yield "a header of brackets", _text_signed("[" * 3000, sound)
    yield "UTF-16", _bytes_signed(_header().encode("utf-16"), sound.encode("utf-16"))
    yield "no UTF-8", _bytes_signed(_header().encode(), sound.encode()[:-2] + b'\xff"}')
    inner = mint(user_id)
    yield "a token within a token", _text_signed(_header(), json.dumps(inner))
    yield "a token within a claim", mint(user_id, sub=inner)
    yield "a token that is signed as text", _text_signed(_header(), inner)


def _shapes(user_id: int, other_id: int) -> Iterator[tuple[str, str]]:
    good = mint(user_id)
    header, payload, signature = good.split(".")
    others = mint(other_id, "admin", key="another secret that is long enough for HS256").split(".")
    yield "another's payload, an old signature", f"{header}.{others[1]}.{signature}"
    yield "an old payload, another's signature", f"{header}.{payload}.{others[2]}"
    yield "its parts in another order", f"{payload}.{header}.{signature}"
    for at in (*range(1, len(good), len(good) // 24), len(good) - 1, len(good) - 2):
        yield f"cut at {at}", good[:at]
    shapes = ["", ".", "..", "...", "null", "Bearer", header, f"{header}.", f"{header}.{payload}"]
    shapes += [
        f"{header}.{payload}.",
        f".{payload}.{signature}",
        f"{header}..{signature}",
        f"{good}.",
        f".{good}",
    ]
    shapes += [
        f"{good}.{signature}",
        f"{good}.{good}",
        f"{header}.{payload}.{payload}.{signature}",
        f"{good}..{good}",
    ]
    shapes += [
        f"{header}. {payload}.{signature}",
        f"{header}.{payload}. {signature}",
        f"{good[:50]} {good[50:]}",
    ]
    shapes += [
        f"{header}.{payload}.\t{signature}",
        f"{good},{good}",
        f"{good};x=1",
        f'"{good}"',
        f"{good}=",
        f"{good}==",
    ]
    shapes += [
        f"{header}=.{payload}.{signature}",
        f"{good}%00",
        f"{good}!",
        f"{good[:-5]}!{good[-5:]}",
        f"{good}é",
    ]
    shapes += [
        good.replace(".", "．"),
        good.replace(".", ":"),
        good.upper(),
        good[::-1],
        "A" * 4096,
        "A." * 2000,
    ]
    shapes += [f"{header}.{payload}.{_standard(signature)}+/", json.dumps({"token": good}), f"\u200b{good}"]
    for number, shape in enumerate(shapes):
        yield f"shape {number}", shape
    yield "oversized", mint(user_id, padding="x" * 70_000)
    flat = {"protected": header, "payload": payload, "signature": signature}
    yield "as JSON (RFC 7515, section 7.2)", json.dumps(flat)


def _bits(user_id: int, _: int) -> Iterator[tuple[str, str]]:
    """One bit of each part changed, as bytes and as letters; the unused bits at the end of the signature
    too."""
    good = mint(user_id)
    parts = [_plain(part) for part in good.split(".")]
    for number, part in enumerate(parts):
        for at in range(0, len(part) * 8, max(1, len(part) * 8 // 12)):
            flipped = bytearray(part)
            flipped[at // 8] ^= 1 << at % 8
            changed = [*parts]
            changed[number] = bytes(flipped)
            yield f"bit {at} of part {number}", ".".join(map(_base64url, changed))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = letters.index(good[-1])
    for bit in (1, 2):
        yield f"unused bit {bit} of the signature", good[:-1] + letters[last ^ bit]


def _sound(user_id: int) -> Json:
    now_s = now_ms() // 1000
    claims = {"iss": "solidgreen", "aud": "solidgreen", "sub": str(user_id), "role": "player"}
    return claims | {"iat": now_s, "exp": now_s + 600}


def _header() -> str:
    return json.dumps({"alg": "HS256", "typ": "at+jwt"})


def _signed(header: Json, payload: Json) -> str:
    return ".".join(_base64url(json.dumps(part).encode()) for part in (header, payload))


def _by_hand(header: Json, payload: Json, secret: bytes = JWT_SECRET.encode()) -> str:
    """HMAC-SHA-256, whatever the header says."""
    signed = _signed(header, payload)
    return f"{signed}.{_base64url(hmac.digest(secret, signed.encode(), 'sha256'))}"


def _text_signed(header: str, payload: str) -> str:
    return _bytes_signed(header.encode(), payload.encode())


def _bytes_signed(header: bytes, payload: bytes) -> str:
    signed = f"{_base64url(header)}.{_base64url(payload)}"
    return f"{signed}.{_base64url(hmac.digest(JWT_SECRET.encode(), signed.encode(), 'sha256'))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _plain(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _standard(part: str) -> str:
    return part.replace("-", "+").replace("_", "/")


Family = Callable[[int, int], Iterator[tuple[str, str]]]
