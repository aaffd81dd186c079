"""The self-signed certificate of `TLS=1`: made once and kept. A new one is made when it ends soon or lacks a name."""

import contextlib
import datetime
import ipaddress
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.launcher.addresses import EVERYWHERE, Address

CERTIFICATE, KEY = "certificate.pem", "key.pem"
LIFE = datetime.timedelta(days=397)  # browsers refuse longer ones
EARLY = datetime.timedelta(days=30)
SKEW = datetime.timedelta(hours=1)  # other machines' clocks may be behind by so much


@dataclass(frozen=True, slots=True)
class Names:
    """The names and addresses that the certificate is for."""

    hosts: frozenset[str]
    addresses: frozenset[Address]

    def __le__(self, other: "Names") -> bool:
        return self.hosts <= other.hosts and self.addresses <= other.addresses


def names_of(host: str, addresses: Iterable[Address]) -> Names:
    """The names of a machine with these addresses, for a server that listens on `host`."""
    hosts = {"localhost", *_if_a_name(socket.gethostname())}
    found = {*map(ipaddress.ip_address, ("127.0.0.1", "::1")), *addresses}
    if host not in EVERYWHERE:
        try:
            found.add(ipaddress.ip_address(host))
        except ValueError:
            hosts |= _if_a_name(host)
    return Names(frozenset(hosts), frozenset(found))


def _if_a_name(text: str) -> set[str]:
    """The text, if a certificate may have it as a host name: letters, digits, hyphens and dots."""
    name = text.lower().rstrip(".")
    plain = name.isascii() and name.replace("-", "a").replace(".", "a").isalnum() and ".." not in name
    return {name} if plain and len(name) <= 253 and not name.startswith((".", "-")) else set()


def certificate(folder: Path, names: Names, now: datetime.datetime) -> tuple[Path, Path]:
    """The files of a certificate for these names and its key, made if there is none that fits. Raises OSError."""
    paths = folder / CERTIFICATE, folder / KEY
    if not _fits(*paths, names, now):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        _write(paths[1], key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
        _write(paths[0], _made(key, names, now).public_bytes(Encoding.PEM), 0o644)
    return paths


def _fits(path: Path, key_path: Path, names: Names, now: datetime.datetime) -> bool:
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        key = load_pem_private_key(key_path.read_bytes(), None)
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    known = Names(
        frozenset(alternatives.get_values_for_type(x509.DNSName)),
        frozenset(alternatives.get_values_for_type(x509.IPAddress)),  # type: ignore[arg-type]  # never networks
    )
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    same_key = key.public_key().public_bytes(*form) == found.public_key().public_bytes(*form)
    return same_key and found.not_valid_before_utc <= now < found.not_valid_after_utc - EARLY and names <= known


def _made(key: ec.EllipticCurvePrivateKey, names: Names, now: datetime.datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Parley (self-signed)")])
    alternatives = [
        *(x509.DNSName(host) for host in sorted(names.hosts)),
        *(x509.IPAddress(address) for address in sorted(names.addresses, key=lambda a: (a.version, int(a)))),
    ]
    usage = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign"),
            *("crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFE - SKEW)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file atomically. With mode 0600 other users cannot read it at any moment."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    fresh.replace(path)
