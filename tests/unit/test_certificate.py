"""The certificate of `TLS=1`: what it says, who can read its key, when it is made anew; and what the gateway makes of files."""

import datetime
import ipaddress
import os
import shutil
import socket
import ssl
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from services.gateway.settings import GatewaySettings
from services.gateway.transport.tls import tls_context
from services.launcher.addresses import own_addresses, reachable
from services.launcher.certificate import EARLY, LIFE, Names, certificate, names_of
from shared.runtime.lifecycle import Failed

NOW = datetime.datetime(2026, 2, 11, 10, tzinfo=datetime.UTC)
LAN = ipaddress.ip_address("192.168.1.5")
HERE = names_of("0.0.0.0", [LAN])


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_what_it_is_for(tmp_path: Path) -> None:
    """localhost, the loopback addresses, this machine's name and addresses; a server's, nobody's authority, for a year."""
    path, _ = certificate(tmp_path / "tls", HERE, NOW)
    made = read(path)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert set(names.get_values_for_type(x509.IPAddress)) == {
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
        LAN,
    }
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert made.not_valid_before_utc < NOW
    assert made.not_valid_after_utc - made.not_valid_before_utc == LIFE


def test_the_key_is_its_owners(tmp_path: Path) -> None:
    """Nobody else can read the key or look into the folder, whatever the umask."""
    before = os.umask(0)
    try:
        _, key = certificate(tmp_path / "tls", HERE, NOW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert {path.name for path in key.parent.iterdir()} == {"certificate.pem", "key.pem"}


def test_it_is_kept(tmp_path: Path) -> None:
    """The next start has the same one, also where it says more than is needed now: whoever trusted it need not again."""
    made = [path.read_bytes() for path in certificate(tmp_path / "tls", HERE, NOW)]
    for names in (HERE, names_of("127.0.0.1", [])):
        later = certificate(tmp_path / "tls", names, NOW + datetime.timedelta(days=100))
        assert [path.read_bytes() for path in later] == made


@pytest.mark.parametrize(
    ("names", "now"),
    [
        (HERE, NOW + LIFE - EARLY),
        (HERE, NOW + 2 * LIFE),
        (HERE, NOW - LIFE),
        (names_of("0.0.0.0", [ipaddress.ip_address("10.0.0.7")]), NOW),
        (names_of("calls.example", [LAN]), NOW),
        (Names(HERE.hosts | {"laptop"}, HERE.addresses), NOW),
    ],
    ids=["soon", "over", "not yet", "another address", "another host", "another name"],
)
def test_it_is_made_anew(tmp_path: Path, names: Names, now: datetime.datetime) -> None:
    """When it ends soon, or lacks a name or an address; with another key."""
    before = read(certificate(tmp_path / "tls", HERE, NOW)[0])
    after = read(certificate(tmp_path / "tls", names, now)[0])
    assert after.serial_number != before.serial_number
    assert after.public_key() != before.public_key()
    assert after.not_valid_before_utc <= now < after.not_valid_after_utc


@pytest.mark.parametrize("broken", ["certificate.pem", "key.pem"])
def test_what_is_broken_is_made_anew(tmp_path: Path, broken: str) -> None:
    """Files that are gone, are no certificate and key, or do not belong together."""
    paths = certificate(tmp_path / "tls", HERE, NOW)
    (tmp_path / "tls" / broken).unlink()
    assert certificate(tmp_path / "tls", HERE, NOW) == paths
    (tmp_path / "tls" / broken).write_text("nonsense")
    certificate(tmp_path / "tls", HERE, NOW)
    other = certificate(tmp_path / "other", HERE, NOW)
    shutil.copy(tmp_path / "other" / broken, tmp_path / "tls" / broken)
    certificate(tmp_path / "tls", HERE, NOW)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*paths)
    assert other[0].read_bytes() != paths[0].read_bytes()


def test_openssl_agrees(tmp_path: Path) -> None:
    """Another reader of certificates finds nothing wrong with it, however strict."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    path, _ = certificate(tmp_path / "tls", HERE, datetime.datetime.now(datetime.UTC))
    how = ["-x509_strict", "-purpose", "sslserver", "-verify_ip", str(LAN), "-CAfile", str(path), str(path)]
    done = subprocess.run(["openssl", "verify", *how], capture_output=True, text=True, check=False)  # noqa: S603, S607 - fixed
    assert done.returncode == 0, done.stderr


def test_names_of_machines() -> None:
    """A HOST that is a name or an address is among them; everywhere is none."""
    assert names_of("calls.example", []).hosts >= {"localhost", "calls.example"}
    assert ipaddress.ip_address("10.1.2.3") in names_of("10.1.2.3", []).addresses
    for host in ("0.0.0.0", "::"):
        assert ipaddress.ip_address(host) not in names_of(host, []).addresses
    assert not any("_" in host for host in names_of("not_a_name", []).hosts)


def test_own_addresses() -> None:
    """Each is one of this machine (something can be bound to it), and of use to others."""
    for address in own_addresses():
        assert not address.is_loopback
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        with socket.socket(family) as probe:
            probe.bind((str(address), 0))
    assert reachable("127.0.0.1") == []
    assert all(address.version == 4 for address in reachable("0.0.0.0"))
    assert set(reachable("::")) >= set(reachable("0.0.0.0"))


# -- what the gateway makes of the files


def problem(certificate_file: Path, key_file: Path) -> str:
    settings = GatewaySettings(mode="development", tls_certificate=str(certificate_file), tls_key=str(key_file))
    with pytest.raises(Failed) as caught:
        tls_context(settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_tls() -> None:
    """Nothing is asked for, nothing is done."""
    assert tls_context(GatewaySettings(mode="development")) is None


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    """One sentence each, which names the setting: not there, not readable as what they are, not a pair, encrypted."""
    mine, key = certificate(tmp_path / "mine", HERE, NOW)
    _, other = certificate(tmp_path / "other", HERE, NOW)
    nowhere, nonsense, locked = tmp_path / "nowhere.pem", tmp_path / "nonsense.pem", tmp_path / "locked.pem"
    nonsense.write_text("nonsense")
    fresh = ec.generate_private_key(ec.SECP256R1())
    locked.write_bytes(fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    assert problem(nowhere, key) == f"PARLEY_TLS_CERTIFICATE: {nowhere} cannot be read (No such file or directory)"
    assert problem(mine, nowhere) == f"PARLEY_TLS_KEY: {nowhere} cannot be read (No such file or directory)"
    assert problem(tmp_path, key) == f"PARLEY_TLS_CERTIFICATE: {tmp_path} cannot be read (Is a directory)"
    assert "must be a certificate and its key, in PEM form" in problem(nonsense, key)
    assert "must be a certificate and its key, in PEM form" in problem(mine, nonsense)
    assert problem(mine, other) == (
        "the key in PARLEY_TLS_KEY is not that of the certificate in PARLEY_TLS_CERTIFICATE"
    )
    assert problem(mine, locked) == "the key in PARLEY_TLS_KEY must not be encrypted"
