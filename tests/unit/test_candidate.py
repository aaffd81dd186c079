"""What `shared.wire.candidate` claims: which ICE candidates pass, which do not, and that no refusal repeats one."""

import pytest

from shared.values.errors import Code, Refused
from shared.wire.candidate import CandidatePolicy, check_candidate

ACCEPTED = {
    "Chrome, mDNS": "candidate:1092740215 1 udp 2113937151 9c1f7b1e-0f3a-4f60-8f0d-5a1f4a9c77d2.local 61001 typ host"
    " generation 0 ufrag EsAw network-cost 999",
    "Chrome, reflexive": "candidate:842163049 1 udp 1677729535 203.0.113.45 56143 typ srflx raddr 0.0.0.0 rport 0"
    " generation 0 ufrag EsAw network-id 1 network-cost 50",
    "Chrome, active TCP": "candidate:311870459 1 tcp 1518280447 192.168.1.23 9 typ host tcptype active generation 0",
    "old Chrome, active TCP": "candidate:311870459 1 tcp 1518280447 192.168.1.23 0 typ host tcptype active",
    "Chrome, relayed": "candidate:4199305511 1 udp 41885439 198.51.100.9 61002 typ relay raddr 203.0.113.45 rport 5432",
    "Firefox": "candidate:0 1 UDP 2122252543 10.0.0.7 51000 typ host",
    "Firefox, TCP": "candidate:2 1 TCP 2105524479 10.0.0.7 9 typ host tcptype active",
    "Firefox, component 2": "candidate:0 2 UDP 2122252542 10.0.0.7 51001 typ host",
    "Pion": "candidate:3641609583 1 tcp 1671430143 203.0.113.90 443 typ host tcptype passive ufrag hcFtUn/u7/3oNQFw",
    "Pion, reflexive": "candidate:1611365382 1 udp 1694498815 203.0.113.90 51354 typ srflx raddr 0.0.0.0 rport 51354",
    "Pion, link-local": "candidate:3717646455 1 udp 2130706431 fe80::4c1:8ff:fe3d:20b7 43117 typ host",
    "libwebrtc on Windows": "candidate:909821733 1 udp 2122129151 169.254.83.107 54323 typ host generation 0",
    "aioice": "candidate:f957a2332b1715da3b0ef8ba684454eb 1 udp 2130706431 192.0.2.2 49872 typ host",
    "aioice, IPv6": "candidate:d0bcf3d9c29a2bc887618212a1623bfa 1 udp 2130706431 fd00::2 44805 typ host",
    "IPv6, related hidden": "candidate:1 1 udp 1 2001:db8::1 4000 typ srflx raddr :: rport 9",
    "peer-reflexive": "candidate:1 1 udp 1 198.51.100.1 4000 typ prflx raddr 10.1.2.3 rport 5000",
    "unknown extension": "candidate:1 1 udp 1 198.51.100.1 4000 typ host x-color {b=\"l:u/e'}",
    "libdatachannel, a whole line": "a=candidate:1 1 UDP 2114977791 192.0.2.1 50000 typ host",
    "a media server without foundations": "candidate: 1 udp 2113937151 192.0.2.1 50000 typ host generation 0",
    "mixed case": "candidate:1 1 Udp 1 198.51.100.1 4000 typ host",
    "highest numbers": "candidate:1 256 udp 2147483647 198.51.100.1 65535 typ srflx raddr 10.1.2.3 rport 65535",
    "end of a generation": "",
}


def host(address: str) -> str:
    """A host candidate at this address, right in all else."""
    return f"candidate:1 1 udp 2113937151 {address} 50000 typ host"


def why_not(candidate: str, policy: CandidatePolicy | None = None) -> str:
    """The sentence of the refusal."""
    with pytest.raises(Refused) as refused:
        check_candidate(candidate, policy=policy or CandidatePolicy())
    assert refused.value.code is Code.INVALID_CANDIDATE
    return refused.value.message


@pytest.mark.parametrize("candidate", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_candidates_of_real_endpoints_pass(candidate: str) -> None:
    """What browsers, aiortc and Pion send is accepted with the default policy."""
    check_candidate(candidate)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "1.1.1.1",
        "223.255.255.255",
        "fd12::42",
        "FC00::1",
        "2001:db8::",
        "2a00:1:2:3:4:5:6:7",
        "2a00:1:2:3:4:5:6::",
        "2a00::3:4:5:6:7:8",
        "::ffff:192.0.2.1",
        "64:ff9b::1.1.1.1",
        "64:ff9b:1::10.0.0.1",
        "::ffff:0:192.0.2.1",
        "2a00:1:2:3:0:5efe:c000:201",
        "2001:0:c000:201:8000:1:3fff:fdfe",  # Teredo by 192.0.2.1, of 192.0.2.1
        "2001:1::5",
        "2001:db8::5efe",
        "2a00::5efe:1:2:3",
    ],
)
def test_global_and_private_addresses_pass(address: str) -> None:
    """RFC 1918, shared, unique local and global addresses are legitimate, in every notation of RFC 4291."""
    check_candidate(host(address))


@pytest.mark.parametrize(
    ("address", "word"),
    [
        *[
            (address, "loopback")
            for address in ("127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1", "::FFFF:7f00:1")
        ],
        *[
            (address, "loopback")
            for address in ("::127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::", "0:0:0:0:0:0:0:1")
        ],
        *[(address, "metadata") for address in ("169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe")],
        *[(address, "metadata") for address in ("2002:a9fe:a9fe::", "2002:a83f:8110::1", "::169.254.170.23")],
        *[
            (address, "metadata")
            for address in (
                "64:ff9b:1::169.254.169.254",
                "64:ff9b:1:2:3:4:a9fe:a9fe",
                "::ffff:0:169.254.169.254",
                "::ffff:0:a9fe:a9fe",
                "fe80::5efe:169.254.169.254",
                "2a00:1:2:3:0:5efe:a9fe:a9fe",
                "2A00:1:2:3:200:5EFE:A9FE:A9FE",
                "fd12::5efe:a9fe:a9fe",
                "fd12::200:5efe:a9fe:a9fe",
                "2001:0:c000:201:8000:1:5601:5601",  # Teredo, the client
                "2001:0000:a9fe:a9fe::3fff:fdfe",  # Teredo, the server
            )
        ],
        *[
            (address, "loopback")
            for address in (
                "64:ff9b:1::7f00:1",
                "::ffff:0:127.0.0.1",
                "2a00::5efe:7f00:1",
                "2001:0:c000:201::80ff:fffe",
            )
        ],
        *[(address, "unspecified") for address in ("2001::1", "2001:0:0:1::2", "2001::8000:1:5601:5601")],
        *[(address, "metadata") for address in ("169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192")],
        *[
            (address, "metadata")
            for address in ("fd00:ec2::254", "FD00:0EC2:0::254", "fd20:ce::254", "fd20:00ce::0254")
        ],
        *[(address, "multicast") for address in ("224.0.0.1", "239.255.255.250", "ff02::1", "::ffff:224.0.0.251")],
        *[(address, "unspecified") for address in ("0.0.0.0", "0.1.2.3", "::", "0:0::0", "::ffff:0.0.0.0")],
        *[(address, "reserved") for address in ("240.0.0.1", "254.0.0.1")],
        ("255.255.255.255", "broadcast"),
    ],
)
def test_addresses_that_no_call_needs_are_refused(address: str, word: str) -> None:
    """Loopback, metadata endpoints, multicast, unspecified and reserved ones, also inside an IPv6 address."""
    assert word in why_not(host(address))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_passes_where_it_is_allowed(address: str) -> None:
    """Development on one machine needs loopback, and gets it by policy."""
    check_candidate(host(address), policy=CandidatePolicy(allow_loopback=True))


@pytest.mark.parametrize("address", ["169.254.83.107", "fe80::1", "febf::1", "::ffff:169.254.1.1"])
def test_link_local_passes_unless_the_policy_says_otherwise(address: str) -> None:
    """Link-local candidates belong to ordinary calls; an installation may refuse them."""
    check_candidate(host(address))
    assert "link-local" in why_not(host(address), CandidatePolicy(allow_link_local=False))


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::a9fe:a9fe", "0.0.0.0", "224.0.0.1"])
def test_no_policy_allows_metadata_endpoints(address: str) -> None:
    """What never belongs to a call has no switch."""
    why_not(host(address), CandidatePolicy(allow_loopback=True, allow_link_local=True))


@pytest.mark.parametrize(
    "address",
    [
        "010.0.0.1",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "2130706433",
        "127.1",
        "10.0.1",
        "1.2.3.256",
        "1.2.3.4.5",
        "1.2.3",
        "1.2.3.4.",
        "host.example",
        "localhost",
        "printer.local",
        ".local",
        "9c1f7b1e-0f3a-4f60-8f0d-5a1f4a9c77d2.local.",
        "a.local",
        "9c1f7b1e-0f3a-4f60-8f0d-5a1f4a9c77d2.local.evil.example",
        "9c1f7b1e0f3a4f608f0d5a1f4a9c77d2.local",
        "fe80::1%eth0",
        "fe80::1%25eth0",
        "2001:db8::1::2",
        "2001:db8",
        "2001:db8:0:0:0:0:0:0:1",
        "2001:db8::12345",
        "::g",
        ":::",
        "[2001:db8::1]",
        "2001:db8::1/64",
        "2001:1:2:3:4:5:6:7::",
        "::ffff:010.0.0.1",
        "2001:db8::1.2.3.4.5",
        "1.2.3.４",
    ],
)
def test_other_names_and_notations_are_refused(address: str) -> None:
    """Octal, decimal and short IPv4, malformed IPv6, zones, and every name but `<uuid>.local`."""
    why_not(host(address))


@pytest.mark.parametrize(
    ("candidate", "word"),
    [
        ("a=a=candidate:1 1 udp 1 192.0.2.1 5000 typ host", "start"),
        ("A=candidate:1 1 udp 1 192.0.2.1 5000 typ host", "start"),
        ("1 1 udp 1 192.0.2.1 5000 typ host", "start"),
        ("candidate:", "component"),
        ("a=candidate:", "component"),
        ("candidate:  1 udp 1 192.0.2.1 5000 typ host", "component"),
        (f"candidate:{'a' * 33} 1 udp 1 192.0.2.1 5000 typ host", "foundation"),
        ("candidate:a_b 1 udp 1 192.0.2.1 5000 typ host", "foundation"),
        ("candidate:1 0 udp 1 192.0.2.1 5000 typ host", "component"),
        ("candidate:1 257 udp 1 192.0.2.1 5000 typ host", "component"),
        ("candidate:1 -1 udp 1 192.0.2.1 5000 typ host", "component"),
        ("candidate:1 1 sctp 1 192.0.2.1 5000 typ host", "transport"),
        ("candidate:1 1 ssltcp 1 192.0.2.1 5000 typ host", "transport"),
        ("candidate:1 1 udp 0 192.0.2.1 5000 typ host", "priority"),
        ("candidate:1 1 udp 2147483648 192.0.2.1 5000 typ host", "priority"),
        ("candidate:1 1 udp 99999999999 192.0.2.1 5000 typ host", "address"),
        ("candidate:1 1 udp 1 192.0.2.1 65536 typ host", "port"),
        ("candidate:1 1 udp 1 192.0.2.1 0 typ host", "port 0"),
        ("candidate:1 1 UDP 1 192.0.2.1 0 typ host", "port 0"),
        ("candidate:1 1 tcp 1 192.0.2.1 0 typ host tcptype passive", "port 0"),
        ("candidate:1 1 tcp 1 192.0.2.1 9 typ host", "tcptype"),
        ("candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype both", "extension"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ other", "type"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 host", "type"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ hostess", "extension"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ host ", "extension"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ host generation", "extension"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ host generation x", "extension"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ host generation 1x", "extension"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ host ufrag abc", "extension"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ host na:me value", "extension"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ srflx raddr 10.0.0.1", "extension"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ srflx rport 1", "extension"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ srflx raddr 10.0.0.1 rport 65536", "related port"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ srflx raddr 127.0.0.1 rport 1", "related address"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ srflx raddr x.example rport 1", "related address"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ srflx raddr 0.0.0.0 rport 0 raddr 127.0.0.1", "extension"),
        ("candidate:1  1 udp 1 192.0.2.1 5000 typ host", "component"),
        ("candidate:1\t1 udp 1 192.0.2.1 5000 typ host", "foundation"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ host\n", "extension"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\na=candidate:2 1 udp 1 127.0.0.1 1 typ host", "extension"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ host x y\r\nz w", "extension"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ host x y\0", "extension"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ host x \u2028", "extension"),
        ("candidate:1 1 udp 1 192.0.2.1 ５000 typ host", "port"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ host x \ud800", "extension"),
    ],
)
def test_a_malformed_candidate_is_refused_with_its_rule(candidate: str, word: str) -> None:
    """The sentence says which rule of RFC 8839 section 5.1 or RFC 6544 section 4.5 is broken."""
    assert word in why_not(candidate)


def test_a_long_candidate_is_too_large() -> None:
    """A candidate is at most 1 KiB, or what is asked for."""
    longest = host("192.0.2.1") + " x " + "y" * (1024 - len(host("192.0.2.1")) - 3)
    check_candidate(longest)
    for candidate, limit in ((longest + "y", 1024), (longest, 1023), ("x" * 10**6, 1024)):
        with pytest.raises(Refused) as refused:
            check_candidate(candidate, max_bytes=limit)
        assert refused.value.code is Code.TOO_LARGE


@pytest.mark.parametrize(
    "text", ["127.0.0.99", "198.51.100.300", "canary.example", "2001:db8::canary", "fe80::9%canary"]
)
def test_a_refusal_never_repeats_the_candidate(text: str) -> None:
    """Addresses are personal: neither the sentence nor the details contain any part of one."""
    with pytest.raises(Refused) as refused:
        check_candidate(host(text))
    said = refused.value.message + repr(refused.value.details)
    assert text not in said
    assert "canary" not in said
