"""Which ICE candidates pass, by their grammar (RFC 8839 section 5.1) and their addresses. Nothing else decides that.

Pure: text and a policy in, a verdict out. A candidate is accepted verbatim or refused. No sentence here repeats it.

Link-local addresses pass by default, unlike loopback, because ordinary calls use them. libwebrtc gathers 169.254.0.0/16
unless told otherwise, Pion sends fe80::/10 without its zone, and aiortc on Windows or in an ECS task lists
169.254.0.0/16. Losing a trickled candidate would do no harm, but an offer with such a candidate would be refused as a
whole. The link-local addresses that are dangerous to a server-side agent are the clouds' metadata endpoints. Those are
always refused, by address.

The patterns are linear: what follows a repetition begins with a character that it cannot take. None is possessive, as
Python before 3.11.5 gets those wrong (gh-106052).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address

from shared.values.errors import Code, Refused

MAX_CANDIDATE_BYTES = 1024


@dataclass(frozen=True, slots=True)
class CandidatePolicy:
    """Which addresses a candidate may name beside global and private (RFC 1918, RFC 4193) ones.

    Multicast, unspecified, reserved and broadcast addresses and cloud metadata endpoints never pass. Of an IPv6 address
    that embeds an IPv4 one (mapped, compatible, SIIT, NAT64, 6to4, ISATAP, Teredo), the IPv4 address must pass as well.
    """

    allow_loopback: bool = False  # only for development, with both ends on one machine
    allow_link_local: bool = True  # False where every endpoint is known not to gather them


DEFAULT_POLICY = CandidatePolicy()

_METADATA = frozenset(
    {
        "169.254.169.254",  # AWS, Azure, Google Cloud, OpenStack, Oracle and most others
        "169.254.170.2",  # AWS ECS task credentials
        "169.254.170.23",  # AWS EKS pod credentials
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure's host agent
        "192.0.0.192",  # Oracle Cloud, classic
    }
)
_METADATA_V6 = frozenset(
    int(IPv6Address(address)) for address in ("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fe80::a9fe:a9fe")
)

_OCTETS = frozenset(map(str, range(256)))  # no leading zeros: 010 is 8 to some parsers and 10 to others
_NEVER = (
    {"0": "an unspecified address", "255": "a broadcast address"}
    | {str(first): "a multicast address" for first in range(224, 240)}
    | {str(first): "a reserved address" for first in range(240, 255)}
)
_MDNS = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\.local")
_HEXTETS = "[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*"
# Global and unique local addresses without 6to4, Teredo and the metadata endpoints' networks. `_address_fault` counts
# colons, and looks for ISATAP.
_HARMLESS_V6 = re.compile(
    "(?!2002|2001:(?::|0{1,4}:)|fd00:0?ec2|fd20:0?0?ce)(?=[23][0-9a-f]{3}:|f[cd][0-9a-f]{2}:)"
    f"{_HEXTETS}(?:::(?:{_HEXTETS})?)?",
    re.ASCII | re.IGNORECASE,
)
# The upper 96 bits of ::/96, ::ffff:0:0/96, ::ffff:0:0:0/96 (SIIT, RFC 2765) and 64:ff9b::/96.
_LAST_32 = frozenset((0, 0xFFFF, 0xFFFF << 16, 0x0064FF9B << 64))
_LOCAL_NAT64, _TEREDO = 0x0064FF9B0001, 0x20010000  # 64:ff9b:1::/48 (RFC 8215), 2001::/32 (RFC 4380)
_ISATAP = frozenset((0x5EFE, 0x02005EFE))  # bits 64 to 95 (RFC 5214), of any network

_ADDRESS = "[0-9A-Za-z.:%-]{2,64}"
_EXTENSION = (
    r"(?:generation|network-id|network-cost) [0-9]{1,10}(?![^ ])"
    r"|ufrag [0-9A-Za-z+/]{4,256}(?![^ ])"
    r"|(?!(?:generation|network-id|network-cost|ufrag|raddr|rport|tcptype) )[0-9A-Za-z!#$%&'*+\-.^_`{|}~]+ [!-~]+"
)
_FIELDS = (  # each pattern with the fault to report when the text matches up to there and no further
    # Empty ones are on the wire of real media servers, and browsers take them.
    (r"(?=[0-9A-Za-z+/]{0,32}(?: |\Z))([0-9A-Za-z+/]*)", "has a foundation that is not up to 32 ICE characters"),
    (" ([1-9][0-9]{0,2})", "has a component that is not from 1 to 256"),
    (" (udp|tcp|UDP|TCP|(?i:udp|tcp))", "has a transport that is neither UDP nor TCP"),
    (" ([1-9][0-9]{0,9})", "has a priority that is not from 1 to 2147483647"),
    (f" ({_ADDRESS})", "names neither an IP address nor <uuid>.local"),
    (" ([0-9]{1,5})", "has a port that is not from 0 to 65535"),
    (" typ (host|srflx|prflx|relay)", "has no type, or one that is not host, srflx, prflx or relay"),
    (
        rf"(?: raddr ({_ADDRESS}) rport ([0-9]{{1,5}}))?(?: tcptype (active|passive|so))?((?: (?:{_EXTENSION}))*)\Z",
        "has an extension that is malformed, out of order (raddr, rport, tcptype, others) or occurs twice",
    ),
)


def _as_far_as_possible(patterns: list[str]) -> str:
    """A pattern that matches as many of these in a row as possible. `lastindex` then says how many matched."""
    first, *rest = patterns
    return f"(?:{first}{_as_far_as_possible(rest) if rest else ''})?"


_CANDIDATE = re.compile(_as_far_as_possible([pattern for pattern, _ in _FIELDS]), re.ASCII)


def check_candidate(
    candidate: str, *, max_bytes: int = MAX_CANDIDATE_BYTES, policy: CandidatePolicy = DEFAULT_POLICY
) -> None:
    """Check a value of `RTCIceCandidate.candidate`. `""` (no more candidates of a generation) passes.

    So does the whole line of a description, beginning with `a=`: libdatachannel sends that, and browsers read it.

    Raises `Refused` with `too_large` or `invalid_candidate`.
    """
    if candidate == "":  # W3C webrtc-pc, RTCIceCandidate
        return
    if len(candidate) > max_bytes:
        raise Refused(Code.TOO_LARGE, f"a candidate is at most {max_bytes} bytes")
    text = candidate.removeprefix("a=")
    if not text.startswith("candidate:"):
        raise Refused(Code.INVALID_CANDIDATE, 'the candidate must start with "candidate:"')
    if fault := candidate_fault(text[10:], policy):
        raise Refused(Code.INVALID_CANDIDATE, f"the candidate {fault}")


def candidate_fault(text: str, policy: CandidatePolicy) -> str | None:
    """What is wrong with the text after `candidate:`, as the end of a sentence; None if it passes."""
    found = _CANDIDATE.match(text)
    if found is None or found.lastindex != _CANDIDATE.groups:
        return _FIELDS[(found and found.lastindex) or 0][1]
    _, component, transport, priority, address, port, _, related, related_port, tcptype, _ = found.groups()
    if component != "1" and int(component) > 256:
        return "has a component that is not from 1 to 256"
    if int(priority) > 2**31 - 1:
        return "has a priority that is not from 1 to 2147483647"
    number = int(port)
    if number > 65535:
        return "has a port that is not from 0 to 65535"
    if (transport == "udp" or transport.lower() == "udp") and number == 0:
        return "has port 0 over UDP"
    if fault := _address_fault(address, policy):
        return f"names {fault}"
    if related is not None:
        if int(related_port) > 65535:
            return "has a related port that is not from 0 to 65535"
        # Browsers hide the related address as 0.0.0.0 or ::. Nothing is ever sent to it.
        if related != "0.0.0.0" and related != "::" and (fault := _address_fault(related, policy)):
            return f"has as its related address {fault}"
    return None if transport == "udp" else _tcp_fault(transport, number, tcptype)


def _tcp_fault(transport: str, port: int, tcptype: str | None) -> str | None:
    """Check the TCP fields (RFC 6544 section 4.5): `tcptype` says which end connects.

    An active end only connects and needs no port: it names 9, or 0 in older versions of libwebrtc.
    """
    if transport.lower() == "udp":
        return None
    if tcptype is None:
        return "is TCP and has no tcptype"
    return "has port 0 though it is not active TCP" if port == 0 and tcptype != "active" else None


def _address_fault(address: str, policy: CandidatePolicy) -> str | None:
    if ":" in address:
        colons = address.count(":")
        whole = colons == 7 or (colons < 7 and "::" in address)
        harmless = whole and _HARMLESS_V6.fullmatch(address) and ":5efe:" not in address.lower()
        return None if harmless else _ipv6_fault(address, policy)
    octets = address.split(".")
    if len(octets) == 4 and _OCTETS.issuperset(octets):
        return _ipv4_fault(address, octets, policy)
    if _MDNS.fullmatch(address):
        return None
    return "neither an IP address in its usual notation nor <uuid>.local"


def _ipv4_fault(address: str, octets: list[str], policy: CandidatePolicy) -> str | None:
    first = octets[0]
    if first in _NEVER:
        return _NEVER[first]
    if first == "127" and not policy.allow_loopback:
        return "a loopback address"
    if address in _METADATA:
        return "a cloud metadata endpoint"
    if first == "169" and octets[1] == "254" and not policy.allow_link_local:
        return "a link-local address"
    return None


def _ipv6_fault(address: str, policy: CandidatePolicy) -> str | None:
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return "an IPv6 address that is malformed"
    if parsed.scope_id is not None:
        return "an IPv6 zone, which means nothing to another host"
    if parsed.is_multicast:
        return "a multicast address"
    if parsed.is_unspecified:
        return "an unspecified address"
    if int(parsed) in _METADATA_V6:
        return "a cloud metadata endpoint"
    if parsed.is_loopback:
        return None if policy.allow_loopback else "a loopback address"
    if parsed.is_link_local and not policy.allow_link_local:
        return "a link-local address"
    for inside in _embedded_ipv4(int(parsed)):
        octets = [str(octet) for octet in inside.to_bytes(4)]
        if fault := _ipv4_fault(".".join(octets), octets, policy):
            return fault
    return None


def _embedded_ipv4(number: int) -> Iterator[int]:
    """The IPv4 addresses to which packets to this IPv6 address may go."""
    last = number & 0xFFFFFFFF
    if number >> 112 == 0x2002:  # 6to4, RFC 3056
        yield number >> 80 & 0xFFFFFFFF
    if number >> 96 == _TEREDO:
        yield number >> 64 & 0xFFFFFFFF  # the server's
        yield last ^ 0xFFFFFFFF  # the client's
    # A network of one's own for NAT64 may be any /96 of its /48 (RFC 6052, section 2.2).
    if number >> 32 in _LAST_32 or number >> 80 == _LOCAL_NAT64 or number >> 32 & 0xFFFFFFFF in _ISATAP:
        yield last
