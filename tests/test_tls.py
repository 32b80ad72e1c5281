"""The certificate: files that are missing or do not fit are said by name, and one that ends soon is told."""

from __future__ import annotations

import contextlib
import logging
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.health import own_certificate
from tests.certificates import issued
from tests.command import run, seed
from ws.settings import SettingInvalid
from ws.tls import RENEW_DAYS, Pair, Shown, context_of, days_until, pair_of


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return issued(tmp_path)


def other_key(pair: Pair) -> None:
    key = pair.key.read_bytes()
    issued(pair.key.parent)
    pair.key.write_bytes(key)


def encrypted(pair: Pair) -> None:
    issued(pair.key.parent, password=b"secret")


UNUSABLE: dict[str, tuple[Callable[[Pair], object], str]] = {
    "no certificate": (
        lambda pair: pair.certificate.unlink(),
        "tls_certificate: {certificate}: No such file",
    ),
    "no key": (lambda pair: pair.key.unlink(), "tls_key: {key}: No such file"),
    "a folder": (lambda pair: (pair.key.unlink(), pair.key.mkdir()), "tls_key: {key}: Is a directory"),
    "another key": (other_key, "tls_key {key}: the key is not that of the certificate"),
    "no PEM": (
        lambda pair: pair.certificate.write_text("x"),
        "tls_certificate {certificate}, tls_key {key}: ",
    ),
    "a key with a password": (encrypted, "tls_key {key}: "),
    "the key first": (lambda pair: pair.certificate.write_bytes(pair.key.read_bytes()), "tls_key {key}: "),
}


@pytest.mark.parametrize(("harm", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_files_that_cannot_be_used_are_said_by_name(
    harm: Callable[[Pair], object], words: str, pair: Pair, tmp_path: Path
) -> None:
    seed(tmp_path / "a.db", 1)
    harm(pair)
    told = words.format(**pair._asdict())
    tls = ("--tls-certificate", pair.certificate, "--tls-key", pair.key)
    refused = run("serve", "--db", tmp_path / "a.db", "--port", 0, *tls)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert told in refused.err
    found = run("doctor", "--db", tmp_path / "a.db", "--json", *tls).json["findings"]
    assert [(each["check"], told in each["why"]) for each in found] == [("tls", True)]


@pytest.mark.parametrize("given", ["--tls-certificate", "--tls-key"])
def test_one_file_alone_is_refused(given: str, pair: Pair, tmp_path: Path) -> None:
    seed(tmp_path / "a.db", 1)
    refused = run("serve", "--db", tmp_path / "a.db", "--port", 0, given, pair.key)
    assert (refused.status, "give both, or neither" in refused.err) == (2, True)
    assert pair_of(None, None) is None


def test_no_old_tls(pair: Pair) -> None:
    context = context_of(pair)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert {each["protocol"] for each in context.get_ciphers()} <= {"TLSv1.2", "TLSv1.3"}


@pytest.mark.parametrize(("days", "findings"), [(RENEW_DAYS, 0), (RENEW_DAYS - 1, 1), (-3, 1)])
def test_a_certificate_that_ends_soon_is_told(
    days: int, findings: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seed(tmp_path / "a.db", 1)
    pair = issued(tmp_path, days)
    shown = Shown(pair)
    assert days_until(shown.ends_at) == days
    tls = ("--tls-certificate", pair.certificate, "--tls-key", pair.key)
    found = run("doctor", "--db", tmp_path / "a.db", "--json", *tls).json["findings"]
    assert [each["why"] for each in found] == [f"{pair.certificate} is good for {days} days only"] * findings
    shown.warn_if_it_ends_soon()
    assert (
        caplog.messages
        == [f"the certificate is good for {days} days only: renew it, then send SIGHUP"] * findings
    )


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_health_trusts_a_certificate_of_an_own_making(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of version 1, as many a recipe has OpenSSL 3.0 make it: Python takes those no more, from 3.13 on."""
    pair, asked = Pair(tmp_path / "own.pem", tmp_path / "own.key"), tmp_path / "asked"
    new_key = f"req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=own -keyout {pair.key}"
    sign = f"x509 -req -in {asked} -signkey {pair.key} -out {pair.certificate}"
    for line in (f"{new_key} -out {asked}", sign):
        subprocess.run(["openssl", *line.split()], check=True, capture_output=True)
    monkeypatch.setenv("SOLIDGREEN_TLS_CERTIFICATE", str(pair.certificate))
    trusted = own_certificate()
    assert trusted is not None
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusted.wrap_bio(to_client, to_server)
    server = context_of(pair).wrap_bio(to_server, to_client, server_side=True)
    for each in (client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            each.do_handshake()
    client.do_handshake()  # raises where it does not trust


def test_a_key_that_others_may_read_is_told(pair: Pair, tmp_path: Path) -> None:
    seed(tmp_path / "a.db", 1)
    pair.key.chmod(0o640)
    tls = {"tls_certificate": str(pair.certificate), "tls_key": str(pair.key)}
    (found,) = run("doctor", "--db", tmp_path / "a.db", "--json", **tls).json["findings"]
    assert found == {"check": "mode", "why": f"others may read {pair.key}; chmod 600 it"}


@pytest.mark.parametrize(("harm", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_cannot_be_used_renews_nothing(
    harm: Callable[[Pair], object], words: str, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    shown = Shown(pair)
    before = shown.ends_at
    harm(pair)
    with caplog.at_level(logging.INFO):
        shown.renew()
    assert shown.ends_at == before, "what is told is what is shown"
    (line,) = caplog.messages
    assert line.startswith("the certificate was not renewed: ")
    assert words.format(**pair._asdict()) in line
    with pytest.raises(SettingInvalid):
        context_of(pair)
