"""Faulty leases: renewals get lost, or are stored without an answer; what is due comes late, or twice."""

from functools import partial

from shared.broker.following import Following
from shared.broker.leases import LeaseHandler
from shared.broker.memory.leases import MemoryLeases
from shared.rooms.timers import LeaseEnds, Timer
from shared.values.ids import GatewayId, LeaseName
from shared.values.position import Position
from tests.simulation.connection import FaultyConnection
from tests.simulation.timers import FaultyTaking


class FaultyLeases(MemoryLeases):
    """See Leases."""

    def __init__(self, connection: FaultyConnection) -> None:
        super().__init__(connection)
        self._faulty = connection

    async def arm(self, name: LeaseName, due: float, *, after: Position, stopped: bool = False) -> Position:
        """See Leases."""
        self._faulty.network.note(self._faulty.process.name, f"arms a lease due {due}")
        return await self._faulty.ask("arm", partial(super().arm, name, due, after=after, stopped=stopped))

    async def mark(self, name: LeaseName, *, after: Position | None) -> Position:
        """See Leases."""
        return await self._faulty.ask("mark", partial(super().mark, name, after=after))

    async def take(self, handle: LeaseHandler, retry_seconds: float) -> Following:
        """See Leases."""

        async def only_leases(timer: Timer) -> None:
            assert isinstance(timer, LeaseEnds)
            await handle(timer)

        return FaultyTaking(self._faulty, only_leases).begin(self._queue, retry_seconds)

    async def alive(self) -> frozenset[GatewayId]:
        """See Leases."""
        return await self._faulty.ask("alive", super().alive)
