"""TLS by uvicorn's own options: the certificate that is shown, and shown anew when it has been renewed."""

from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.x509 import load_pem_x509_certificate

from ws.settings import SettingInvalid

log = logging.getLogger("solidgreen.tls")

HANDSHAKE_S: Final = 5.0
"""From the connection until the handshake is done; uvloop would wait a minute for who says nothing."""

SHUTDOWN_S: Final = 5.0
"""How long a peer has to say goodbye as well, when the connection is closed: as long as a WebSocket has."""

RENEW_DAYS: Final = 14
"""Certificates of 90 days are renewed when 30 are left: with so few something has gone wrong."""


class Pair(NamedTuple):
    """Files in PEM: the server's certificate with those between it and a root, and its private key."""

    certificate: Path
    key: Path


def pair_of(certificate: Path | None, key: Path | None) -> Pair | None:
    """Both, or None where neither is given. Raises `SettingInvalid` where one is missing."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise SettingInvalid("tls_certificate and tls_key: give both, or neither")
    return Pair(certificate, key)


def context_of(pair: Pair) -> ssl.SSLContext:
    """What a server shows. TLS 1.2 at least; who needs other ciphers sets them for OpenSSL (openssl.cnf).

    Raises `SettingInvalid` where the files cannot be read or do not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load(context, pair)
    return context


class Shown:
    """What new connections are shown: the files as they were at the start, or at the last renewal."""

    def __init__(self, pair: Pair) -> None:
        """Raises `SettingInvalid` where the files cannot be read or do not fit."""
        self.context = context_of(pair)
        self.ends_at = ends_at(pair.certificate)
        """From then on no client takes it."""
        self._pair = pair

    def renew(self) -> None:
        """Show to new connections what is in the files now; those that are open keep what they have. Whatever
        is wrong with the files is logged, and the certificate stays the one it was.
        """
        try:
            context_of(self._pair)  # else a key that does not fit would be found when the old pair is gone
            _load(self.context, self._pair)
            self.ends_at = ends_at(self._pair.certificate)
        except SettingInvalid as error:
            log.error("the certificate was not renewed: %s", error)
        else:
            log.info("the certificate was renewed, and is good for %d days", days_until(self.ends_at))

    def warn_if_it_ends_soon(self) -> None:
        """Say so in the log at the start."""
        if (days := days_until(self.ends_at)) < RENEW_DAYS:
            log.warning("the certificate is good for %d days only: renew it, then send SIGHUP", days)


def ends_at(certificate: Path) -> datetime:
    """Until when it is good. Raises `SettingInvalid`."""
    try:
        return load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except OSError as error:
        raise SettingInvalid(f"tls_certificate: {certificate}: {error.strerror}") from error
    except ValueError as error:
        raise SettingInvalid(f"tls_certificate: {certificate}: is no certificate in PEM") from error


def days_until(end: datetime) -> int:
    """Whole days; below zero if it has passed."""
    return (end - datetime.now(UTC)).days


def _load(context: ssl.SSLContext, pair: Pair) -> None:
    for name, path in (("tls_certificate", pair.certificate), ("tls_key", pair.key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise SettingInvalid(f"{name}: {path}: {error.strerror}") from error
    try:
        # The password: else OpenSSL would ask for one at the terminal, and wait.
        context.load_cert_chain(pair.certificate, pair.key, password=lambda: "")
    except (ssl.SSLError, ValueError, OSError) as error:
        reason = getattr(error, "reason", None) or str(error)
        why = "the key is not that of the certificate" if "MISMATCH" in reason else reason
        raise SettingInvalid(f"tls_certificate {pair.certificate}, tls_key {pair.key}: {why}") from error
