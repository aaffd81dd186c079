"""Marks in memory."""

import asyncio

from shared.broker.marks import Mark, Marked
from shared.broker.memory.connection import MemoryConnection
from shared.broker.memory.timer_queue import TimerQueue
from shared.values.position import Position


class MemoryMarks:
    """See Marks."""

    def __init__(self, connection: MemoryConnection) -> None:
        self._connection = connection

    def _queue(self, what: Marked) -> TimerQueue:
        broker = self._connection.broker
        return broker.timers if what is Marked.TIMERS else broker.leases

    async def read(self, what: Marked) -> Mark | None:
        """See Marks."""
        await asyncio.sleep(0)
        self._connection.reach()
        return self._queue(what).own_mark

    async def write(self, what: Marked, body: bytes, *, after: Position) -> Position:
        """See Marks."""
        await asyncio.sleep(0)
        self._connection.reach()
        return self._queue(what).write_mark(body, after)
