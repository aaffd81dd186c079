"""The broker's time through the ports, on both adapters."""

import time
from collections.abc import Awaitable, Callable

import pytest

from shared.broker.ports import Ports


@pytest.mark.parametrize("user", ["rooms", "gateway", "auth"])
async def test_the_brokers_time(make_ports: Callable[[str], Awaitable[Ports]], user: str) -> None:
    """Every user may ask for it. Here the broker has this host's clock."""
    await make_ports("rooms")
    ports = await make_ports(user)
    assert ports.clock() == pytest.approx(time.time(), abs=0.2)
    off = getattr(ports.clock, "off", (0.0, 0.0))
    assert off is not None, "an answer came"
    assert abs(off[0]) <= off[1] + 0.02
