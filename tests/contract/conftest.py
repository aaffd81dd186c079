"""Connections to one broker, in memory or real, closed when the test ends."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from shared.broker.ports import Ports

Connect = Callable[[str], Awaitable[Ports]]


@pytest.fixture
async def connect(make_ports: Connect) -> AsyncIterator[Connect]:
    """Connects as a service. Rooms first: it makes the streams that the gateway waits for."""
    opened: list[Ports] = []

    async def one(user: str) -> Ports:
        opened.append(await make_ports(user))
        return opened[-1]

    yield one
    for ports in reversed(opened):
        await ports.connection.close()
