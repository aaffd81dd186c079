"""What the `Host` of a request says: whether it names this machine, this network, or anything else.

With DNS rebinding, the name of a page resolves to an address of this machine. But its requests still have the page's
name as `Host`.
"""

import ipaddress
import re

from starlette.requests import Request

_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]]+))(?::[0-9]{1,5})?")
_LOCAL_NAME = re.compile(
    r"[a-z0-9-]+(?:\.local)?", re.IGNORECASE
)  # a name of this machine, or one by mDNS, which exists only on this network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def host_of(request: Request) -> str:
    """The `Host` header; empty when there is none, or several."""
    hosts = request.headers.getlist("host")
    return hosts[0] if len(hosts) == 1 else ""


def is_loopback(host: str) -> bool:
    """Whether a `Host` header names this machine: `localhost`, 127.0.0.0/8 or `[::1]`, with or without a port."""
    name, address = _parsed(host)
    if address is None:
        return name.lower() == "localhost"
    return address.is_loopback and getattr(address, "ipv4_mapped", None) is None


def is_nearby(host: str) -> bool:
    """Whether a `Host` header is an address, or a name that only means something on this machine or network."""
    name, address = _parsed(host)
    return address is not None or _LOCAL_NAME.fullmatch(name) is not None


def _parsed(host: str) -> tuple[str, Address | None]:
    """The name, or the address in its canonical form; neither when it is ill-formed."""
    parts = _HOST.fullmatch(host)
    if parts is None:
        return "", None
    try:
        return "", ipaddress.IPv6Address(parts["v6"]) if parts["v6"] else ipaddress.IPv4Address(parts["name"])
    except ValueError:
        return parts["name"] or "", None
