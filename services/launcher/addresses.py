"""The addresses under which other machines on the network reach this one."""

import ipaddress
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

EVERYWHERE = ("0.0.0.0", "::")
_SIOCGIFADDR = 0x8915  # Linux, netdevice(7): the IPv4 address of an interface
# Addresses for documentation (RFC 5737, RFC 3849). No host has them, so the route to them is the default route.
_ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


def own_addresses() -> list[Address]:
    """This machine's addresses except loopback and link-local ones; those of the default routes come first."""
    found = dict.fromkeys([*_default_routes(), *_of_the_name(), *_of_interfaces()])
    return [address for address in found if not (address.is_loopback or address.is_link_local)]


def reachable(host: str) -> list[Address]:
    """The addresses under which other machines reach a server that listens on `host`; empty unless on all addresses."""
    if host not in EVERYWHERE:
        return []
    return [address for address in own_addresses() if host == "::" or address.version == 4]


def _default_routes() -> list[Address]:
    found = []
    for family, elsewhere in _ELSEWHERE:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))  # connecting a datagram socket only chooses a route, and sends nothing
            found.append(ipaddress.ip_address(probe.getsockname()[0]))
    return found


def _of_the_name() -> list[Address]:
    with suppress(OSError):
        infos = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
        return [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in infos]
    return []


def _of_interfaces() -> list[Address]:
    if sys.platform != "linux":
        return []
    import fcntl

    found: list[Address] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # an interface without an IPv4 address
                answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                found.append(ipaddress.IPv4Address(answer[20:24]))
    with suppress(OSError):
        lines = Path("/proc/net/if_inet6").read_text().split("\n")
        found += [ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in lines if line]
    return found
