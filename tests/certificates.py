"""Certificates for tests: a root of their own, and servers on 127.0.0.1 below it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from ws.tls import Pair


def issued(folder: Path, days: int = 90, *, password: bytes | None = None) -> Pair:
    """A new certificate of `folder`'s root, `root.pem`, which is made with the first one."""
    root_key, root = _root(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(
            root.subject, _name("127.0.0.1"), key.public_key(), x509.random_serial_number()
        )
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days, hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
        )
        .sign(root_key, hashes.SHA256())
    )
    pair = Pair(folder / "server.pem", folder / "server.key")
    pair.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    kept = NoEncryption() if password is None else BestAvailableEncryption(password)
    pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, kept))
    pair.key.chmod(0o600)
    return pair


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _root(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    kept, public = folder / "root.key", folder / "root.pem"
    if kept.exists():
        number = int(kept.read_text())
        key = ec.derive_private_key(number, ec.SECP256R1())
        return key, x509.load_pem_x509_certificate(public.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    kept.write_text(str(key.private_numbers().private_value))
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    root = (
        x509.CertificateBuilder(_name("root"), _name("root"), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=500))
        .not_valid_after(now + timedelta(days=500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**usage | {"key_cert_sign": True, "crl_sign": True}), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    public.write_bytes(root.public_bytes(Encoding.PEM))
    return key, root
