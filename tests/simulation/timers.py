"""Faulty timers: some are late, some come twice, and some reach a process that dies while it handles them."""

import asyncio
import contextlib
from functools import partial

from shared.broker.following import Following
from shared.broker.memory.timers import MemoryTimers
from shared.broker.timers import TimerHandler
from shared.rooms.timers import Timer
from shared.values.errors import Refused, unavailable
from shared.values.position import Position
from tests.simulation.connection import FaultyConnection

LATE_SECONDS = 8.0  # at most


class FaultyTimers(MemoryTimers):
    """See Timers. What it does not do, MemoryTimers does."""

    def __init__(self, connection: FaultyConnection) -> None:
        super().__init__(connection)
        self._faulty = connection
        self._network = connection.network
        self._process = connection.process

    async def arm(self, timer: Timer, *, after: Position | None = None) -> Position:
        """See Timers."""
        self._network.note(self._process.name, f"arms {timer}")
        return await self._faulty.ask("arm", partial(super().arm, timer, after=after))

    async def armed(self, timer: Timer) -> Position | None:
        """See Timers."""
        return await self._faulty.ask("armed", partial(super().armed, timer))

    async def incarnation(self) -> str:
        """See Timers."""
        return await self._faulty.ask("incarnation", super().incarnation)

    async def take(self, handle: TimerHandler, retry_seconds: float) -> Following:
        """See Timers."""

        async def again(timer: Timer) -> None:
            await self._wait()
            with contextlib.suppress(Refused):
                await self._once(handle, timer)

        async def take(timer: Timer) -> None:
            sky = self._faulty.sky
            if sky.happens(sky.weather.overdue):
                await self._wait()
            await self._once(handle, timer)
            if sky.happens(sky.weather.twice):
                self._network.spawn(again(timer))

        self._faulty.taking = self._queue.take(take, retry_seconds, self._unreachable)
        return self._faulty.taking

    def _unreachable(self) -> bool:
        return self._faulty.broker.down or self._faulty.cut or self._process.dead

    async def _wait(self) -> None:
        await asyncio.sleep(self._network.chance.uniform(0.0, LATE_SECONDS))

    async def _once(self, handle: TimerHandler, timer: Timer) -> None:
        if self._faulty.cut:
            raise unavailable("the broker")
        self._network.note(self._process.name, f"takes {timer}")
        task = self._process.spawn(handle(timer))
        await asyncio.wait({task})
        if task.cancelled():
            raise unavailable("the process")
        error = task.exception()
        if error is not None:
            if not isinstance(error, Refused):
                self._network.blame(f"a timer raised {error!r}")
            raise error
