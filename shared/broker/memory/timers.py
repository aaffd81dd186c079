"""Timers in memory, as one process's connection has them."""

import asyncio

from shared.broker.following import Following
from shared.broker.memory.connection import MemoryConnection
from shared.broker.timers import TimerHandler
from shared.rooms.timers import Timer
from shared.values.position import Position


class MemoryTimers:
    """See Timers."""

    def __init__(self, connection: MemoryConnection) -> None:
        self._connection = connection
        self._queue = connection.broker.timers

    async def arm(self, timer: Timer, *, after: Position | None = None) -> Position:
        """See Timers."""
        await asyncio.sleep(0)
        self._connection.reach()
        return self._queue.arm(timer, after)

    async def armed(self, timer: Timer) -> Position | None:
        """See Timers."""
        await asyncio.sleep(0)
        self._connection.reach()
        return self._queue.armed(timer)

    async def take(self, handle: TimerHandler, retry_seconds: float) -> Following:
        """See Timers."""
        self._connection.reach()
        return self._queue.take(handle, retry_seconds, lambda: self._connection.broker.down)
