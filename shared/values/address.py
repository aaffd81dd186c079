"""The network address of a client, in the one notion that every limit by address has. Pure.

A subscriber has one IPv4 address, or all of a /64 network of IPv6 (RFC 6177): so a limit counts the network.
"""

import ipaddress
import re

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

UNKNOWN = (
    "unknown"  # what is no address: all of these count as one, so that nobody gets another limit by writing nonsense
)
NETWORK_BITS = 64

# Proxies write addresses with ports, and IPv6 addresses in brackets.
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](?::[0-9]{1,5})?|(?P<v4>[0-9.]+):[0-9]{1,5}")


def parsed(text: str) -> Address | None:
    """The address in a text, without port, brackets and zone; an IPv4 address in IPv6's notation is the IPv4 one.

    None for what is no address.
    """
    text = text.strip()
    found = _WITH_PORT.fullmatch(text)
    host = (found["v6"] or found["v4"] or "") if found else text
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def network_of(text: str) -> str:
    """What limits count for an address: the IPv4 address, or the /64 network of the IPv6 one. `UNKNOWN` for no address."""
    address = parsed(text)
    if address is None:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(address), NETWORK_BITS), strict=False))
    return str(address)
