"""A private certificate authority, and what scheduler, workers and clients of a cluster show.

Whoever connects to a Dask cluster can have it run any code. With these files everyone of it speaks
TLS and shows a certificate of the private authority, and who has none is refused. Dask does not
tell the roles apart: each certificate opens all doors, so each key is worth as much as all of them.
"""

import ipaddress
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from farm.errors import UsageError

ROLES = ("scheduler", "worker", "client")
DEFAULT_DAYS = 825
_AUTHORITY = "ca"
_AUTHORITY_DAYS = 3650
# Clocks of machines differ.
_BEFORE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Authority:
    """What signs the certificates."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_certs(folder: Path, *, hosts: Iterable[str] = (), days: int = DEFAULT_DAYS) -> list[Path]:
    """Makes ca, scheduler, worker and client, each as .pem and .key; gives their paths.

    An authority that is there already signs the new certificates, which replace the old ones. Keys
    are readable for their owner alone. `hosts` are names and addresses that certificates are to
    name. Raises UsageError where the folder or an authority in it cannot serve.
    """
    names = [_general_name(host) for host in ("localhost", "127.0.0.1", *hosts)]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = _authority(folder)
        for role in ROLES:
            _issue(folder, role, authority, names, days)
    except OSError as error:
        raise UsageError(f"{folder} cannot hold certificates: {error.strerror}") from None
    return [folder / f"{name}.{kind}" for name in (_AUTHORITY, *ROLES) for kind in ("pem", "key")]


def _authority(folder: Path) -> _Authority:
    """The authority of a folder, made where there is none."""
    pem, key_file = folder / f"{_AUTHORITY}.pem", folder / f"{_AUTHORITY}.key"
    if pem.exists() or key_file.exists():
        try:
            key = load_pem_private_key(key_file.read_bytes(), password=None)
            certificate = x509.load_pem_x509_certificate(pem.read_bytes())
        except (OSError, ValueError, TypeError):
            key, certificate = None, None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate is None:
            raise UsageError(
                f"{folder} has an authority that cannot be read: expected {pem.name} and "
                f"{key_file.name} as `farm certs` makes them; remove both to begin anew"
            )
        return _Authority(certificate, key)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("thumbfarm authority")
    certificate = (
        _builder(name, name, key.public_key(), _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(folder, _AUTHORITY, certificate, key)
    return _Authority(certificate, key)


def _issue(
    folder: Path, role: str, authority: _Authority, names: Sequence[x509.GeneralName], days: int
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    # A scheduler calls workers, and workers each other: all are servers and clients.
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    issuer = authority.key.public_key()
    certificate = (
        _builder(_name(f"thumbfarm {role}"), authority.certificate.subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    _write(folder, role, certificate, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError:
        raise UsageError(
            f"expected the name or address of a host in ASCII, received {host!r}"
        ) from None


def _write(
    folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # Never readable for others, not even for a moment; a new file, whatever the old one's mode.
    (folder / f"{name}.key").unlink(missing_ok=True)
    descriptor = os.open(folder / f"{name}.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(secret)
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
