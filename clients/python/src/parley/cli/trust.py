"""Whom we believe to be the server: the TLS context for REST, WebSocket and NATS."""

import ssl
from pathlib import Path

from parley.cli.exits import wrong


def context(ca: Path | None, insecure: bool) -> ssl.SSLContext:
    """The system's certificates, those of `ca` as well, or anybody's. Raises Stop."""
    if insecure and ca is not None:
        raise wrong("--ca and --insecure exclude each other")
    trusting = ssl.create_default_context()
    if insecure:
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
    if ca is not None:
        try:
            trusting.load_verify_locations(cafile=ca)
        except (OSError, ssl.SSLError):
            raise wrong(f"{ca} cannot be read as certificates in PEM") from None
    return trusting
