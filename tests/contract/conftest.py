"""Connections to one broker, in memory or real, closed when the test ends."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from shared.broker.bus import Bus

Connect = Callable[[str], Awaitable[Bus]]


@pytest.fixture
async def connect(make_bus: Connect) -> AsyncIterator[Connect]:
    """Connects as a service. Rooms first: it makes the streams that the gateway waits for."""
    opened: list[Bus] = []

    async def one(user: str) -> Bus:
        opened.append(await make_bus(user))
        return opened[-1]

    yield one
    for bus in reversed(opened):
        await bus.close()
