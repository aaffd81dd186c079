"""Faulty timers: some are late, some come twice, and some reach a process that dies while it handles them."""

import asyncio
import contextlib
from functools import partial

from shared.broker.following import Following
from shared.broker.memory.timer_queue import TimerQueue
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

    async def take(self, handle: TimerHandler, retry_seconds: float) -> Following:
        """See Timers."""
        return FaultyTaking(self._faulty, handle).begin(self._queue, retry_seconds)


class FaultyTaking:
    """One process's subscription to what is due."""

    def __init__(self, connection: FaultyConnection, handle: TimerHandler) -> None:
        self._faulty = connection
        self._network = connection.network
        self._process = connection.process
        self._handle = handle

    def begin(self, queue: TimerQueue, retry_seconds: float) -> Following:
        """Take from now on."""
        taking = queue.take(self._take, retry_seconds, self._unreachable)
        self._faulty.taking.append(taking)
        return taking

    async def _again(self, timer: Timer) -> None:
        await self._wait()
        with contextlib.suppress(Refused):
            await self._once(timer)

    async def _take(self, timer: Timer) -> None:
        sky = self._faulty.sky
        if sky.happens(sky.weather.overdue):
            await self._wait()
        await self._once(timer)
        if sky.happens(sky.weather.twice):
            self._network.spawn(self._again(timer))

    def _unreachable(self) -> bool:
        return self._faulty.broker.down or self._faulty.cut or self._process.dead

    async def _wait(self) -> None:
        await asyncio.sleep(self._network.chance.uniform(0.0, LATE_SECONDS))

    async def _once(self, timer: Timer) -> None:
        if self._faulty.cut:
            raise unavailable("the broker")
        self._network.note(self._process.name, f"takes {timer}")
        task = self._process.spawn(self._handle(timer))
        await asyncio.wait({task})
        if task.cancelled():
            raise unavailable("the process")
        error = task.exception()
        if error is not None:
            if not isinstance(error, Refused):
                self._network.blame(f"a timer raised {error!r}")
            raise error
