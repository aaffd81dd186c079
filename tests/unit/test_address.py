"""Addresses of clients: one subscriber, one key, however its address is written."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.values.address import UNKNOWN, network_of, parsed


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.7:49152", "198.51.100.7"),
        (" 198.51.100.7 ", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("::FFFF:c633:6407", "198.51.100.7"),
        ("[::ffff:198.51.100.7]:443", "198.51.100.7"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:0DB8:0001:0002::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::7]", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::7]:49152", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::7", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("fe80::1%eth1", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_what_one_subscriber_has(address: str, network: str) -> None:
    """One IPv4 address, or a /64 of IPv6 ones, with or without port, brackets and zone."""
    assert network_of(address) == network


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a unix socket",
        "unknown",
        "_hidden",
        "198.51.100",
        "198.51.100.07",
        "198.51.100.7:x",
        "[]",
        "[::1",
        "1:2",
        "::1:port",
    ],
)
def test_what_is_no_address(text: str) -> None:
    """Whatever is no address counts as one: nonsense gets nobody a limit of its own."""
    assert parsed(text) is None
    assert network_of(text) == UNKNOWN


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    """Every text has a key, and a key has itself: it is an address, a /64 network, or `unknown`."""
    key = network_of(text)
    assert key == UNKNOWN or ipaddress.ip_network(key).prefixlen in (32, 64)


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_any_address_of_a_network(address: ipaddress.IPv6Address, host: int) -> None:
    """Two IPv6 addresses have one key exactly when their first 64 bits are the same, unless they are IPv4 ones."""
    other = ipaddress.IPv6Address(int(address) >> 64 << 64 | host)
    if address.ipv4_mapped is None and other.ipv4_mapped is None:
        assert network_of(str(address)) == network_of(f"[{other}]:1")
        assert network_of(str(address)) != network_of(str(ipaddress.IPv6Address(int(address) ^ 1 << 64)))
