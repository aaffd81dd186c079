"""TLS of the public port, where the gateway itself ends it: the certificate's context, and what a handshake costs."""

import contextlib
import ssl
import time
from pathlib import Path

from services.gateway.settings import GatewaySettings
from shared.runtime.lifecycle import Failed

HANDSHAKE_SECONDS = 10.0
SHUTDOWN_SECONDS = 2.0  # for the client's part of a TLS close
TRIES = 3  # of measuring a handshake
STEPS = 3  # of each side


def tls_context(settings: GatewaySettings) -> ssl.SSLContext | None:
    """The TLS context of the public port; None without TLS. Raises Failed when certificate and key cannot be used."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    _read("PARLEY_TLS_CERTIFICATE", settings.tls_certificate)
    if b"ENCRYPTED" in _read("PARLEY_TLS_KEY", settings.tls_key):
        raise Failed("the key in PARLEY_TLS_KEY must not be encrypted")  # OpenSSL would ask the terminal for a password
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise Failed("the key in PARLEY_TLS_KEY is not that of the certificate in PARLEY_TLS_CERTIFICATE") from None
        raise Failed(
            "PARLEY_TLS_CERTIFICATE and PARLEY_TLS_KEY must be a certificate and its key, in PEM form"
        ) from None
    return context


def renew(context: ssl.SSLContext, settings: GatewaySettings) -> None:
    """Have new connections see the certificate as it is in its files now. Raises Failed, and changes nothing then."""
    if settings.tls_certificate is not None and tls_context(settings) is not None:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)


def _read(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Failed(f"{name}: {path} cannot be read ({error.strerror})") from None


def handshake_cost(context: ssl.SSLContext) -> float:
    """Seconds that our side of a handshake takes on this machine, with this certificate: measured in memory."""
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname = False
    asking.verify_mode = ssl.CERT_NONE
    return min(_one_handshake(context, asking) for _ in range(TRIES))


def _one_handshake(context: ssl.SSLContext, asking: ssl.SSLContext) -> float:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    server, client = context.wrap_bio(there, back, server_side=True), asking.wrap_bio(back, there)
    spent = 0.0
    for _ in range(STEPS):
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        began = time.perf_counter()
        with contextlib.suppress(ssl.SSLWantReadError):
            server.do_handshake()
        spent += time.perf_counter() - began
    return spent
