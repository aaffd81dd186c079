"""Where a `stun:` or `turn:` URI points (RFC 7064, RFC 7065; pure)."""

import re
from dataclasses import dataclass

_URI = re.compile(
    r"(?P<scheme>stuns?|turns?):(?P<host>\[[0-9A-Fa-f:.]+\]|[^:?\[\]]+)(:(?P<port>\d{1,5}))?(\?transport=(?P<transport>\w+))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class IceUri:
    """A STUN or TURN server and the way to it."""

    relays: bool
    tls: bool
    host: str
    port: int
    transport: str  # `udp` or `tcp`


def parse(uri: str) -> IceUri:
    """Raises ValueError."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise ValueError("no STUN or TURN URI")
    scheme = found["scheme"].lower()
    tls = scheme.endswith("s")
    transport = (found["transport"] or ("tcp" if tls else "udp")).lower()
    port = int(found["port"] or (5349 if tls else 3478))
    return IceUri(scheme.startswith("turn"), tls, found["host"].strip("[]"), port, transport)
