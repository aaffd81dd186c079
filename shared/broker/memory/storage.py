"""The storage of the broker in memory: the bytes of its log of rooms, and the size that a test gave it."""

import asyncio

from shared.broker.memory.connection import MemoryConnection
from shared.broker.storage import LOG, Stock
from shared.rooms.reserve import Place


class MemoryStorage:
    """See Storage."""

    def __init__(self, connection: MemoryConnection) -> None:
        self._connection = connection

    async def look(self) -> Stock:
        """See Storage."""
        await asyncio.sleep(0)
        self._connection.reach()
        broker = self._connection.broker
        if not broker.size:
            return Stock([], 0)
        return Stock([Place(LOG, broker.stored, broker.size)], broker.stored)
