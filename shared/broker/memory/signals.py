"""Posting signals in memory."""

import asyncio

from shared.broker import headers
from shared.broker.memory.connection import MemoryConnection
from shared.broker.signals import Posted, Signal
from shared.broker.subjects import signal_log
from shared.values.errors import unavailable


class MemorySignals:
    """See Signals."""

    def __init__(self, connection: MemoryConnection) -> None:
        self._connection = connection

    async def post(self, signal: Signal) -> Posted:
        """See Signals."""
        await asyncio.sleep(0)
        self._connection.reach()
        if not self._connection.broker.takes(signal.body):
            raise unavailable("the log")
        stream = self._connection.broker.rooms
        if signal.key is not None and signal.key in stream.keys:
            return Posted(stream.keys[signal.key], again=True)
        position = stream.store(signal_log(signal.room_id, signal.to), headers.of_signal(signal), signal.body)
        if signal.key is not None:
            stream.keys[signal.key] = position
        return Posted(position)
