"""TURN servers as they are deployed."""

from collections.abc import Iterator

import pytest

from tests.support.coturn import SECRET, Coturn


@pytest.fixture(scope="module")
def turn() -> Iterator[Coturn]:
    """One that relays to public addresses only, as in production."""
    with Coturn(to_loopback=False) as turn:
        yield turn


@pytest.fixture(scope="module")
def turn6() -> Iterator[Coturn]:
    """The same with a relay for IPv6."""
    options = ("--relay-ip=::1", "--allocation-default-address-family=ipv6")
    with Coturn(SECRET, *options, to_loopback=False) as turn:
        yield turn
