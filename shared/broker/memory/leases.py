"""Leases in memory, as one process's connection has them."""

import asyncio

from shared.broker.following import Following
from shared.broker.leases import LeaseHandler
from shared.broker.memory.connection import MemoryConnection
from shared.rooms.timers import LeaseEnds, Timer
from shared.values.ids import GatewayId, LeaseName, gateway_of
from shared.values.position import Position


class MemoryLeases:
    """See Leases."""

    def __init__(self, connection: MemoryConnection) -> None:
        self._connection = connection
        self._queue = connection.broker.leases

    async def arm(self, name: LeaseName, due: float, *, after: Position, stopped: bool = False) -> Position:
        """See Leases."""
        await asyncio.sleep(0)
        self._connection.reach()
        return self._queue.arm(LeaseEnds(due=due, gateway=gateway_of(name), stopped=stopped), after)

    async def mark(self, name: LeaseName, *, after: Position | None) -> Position:
        """See Leases."""
        await asyncio.sleep(0)
        self._connection.reach()
        return self._queue.mark(name, after)

    async def take(self, handle: LeaseHandler, retry_seconds: float) -> Following:
        """See Leases."""
        self._connection.reach()

        async def only_leases(timer: Timer) -> None:
            if isinstance(timer, LeaseEnds):
                await handle(timer)

        return self._queue.take(only_leases, retry_seconds, lambda: self._connection.broker.down)

    async def alive(self) -> frozenset[GatewayId]:
        """See Leases."""
        await asyncio.sleep(0)
        self._connection.reach()
        return frozenset(timer.gateway for timer in self._queue.all_waiting() if isinstance(timer, LeaseEnds))
