"""Leaving that must reach the log although nobody waits for it: closed sockets, and joins whose answer was lost."""

import asyncio
import contextlib

import structlog

from services.gateway import metrics
from shared.bus import Bus
from shared.commands import LeaveRoom
from shared.errors import Code, Refused
from shared.subjects import LEAVE_ROOM

log = structlog.get_logger()

PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0)  # between attempts while the broker or rooms cannot answer; the last one repeats
AT_ONCE = 64  # farewells being asked at the same time; ten thousand dropped clients must not be ten thousand requests


class Farewell:
    """A participant being taken out. `late_seconds`: for so long its join may still reach the log."""

    def __init__(self, leave: LeaveRoom, late_seconds: float = 0.0) -> None:
        self.leave = leave
        self._until = asyncio.get_running_loop().time() + late_seconds
        self._recalled = asyncio.Event()
        self._over = asyncio.Event()

    async def recall(self) -> None:
        """Say it no more. Returns when the attempt under way, if any, has its answer: from then on nothing is left of it."""
        self._recalled.set()
        await self._over.wait()

    async def say(self, bus: Bus, turn: asyncio.Semaphore) -> None:
        """Until it is heard or recalled."""
        attempt = 0
        try:
            while not self._recalled.is_set():
                async with turn:
                    if await self._heard(bus):
                        return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._recalled.wait(), PAUSES[min(attempt, len(PAUSES) - 1)])
                attempt += 1
        finally:
            self._over.set()

    async def _heard(self, bus: Bus) -> bool:
        try:
            await bus.request(LEAVE_ROOM, self.leave)
        except Refused as refused:
            return refused.code is Code.NOT_IN_ROOM and asyncio.get_running_loop().time() >= self._until
        return True


class Farewells:
    """Says them in the background. Bounded by the participants this gateway had."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Semaphore(AT_ONCE)

    def say(self, farewell: Farewell) -> None:
        """Take a participant out."""
        task = asyncio.create_task(farewell.say(self._bus, self._turn), name="farewell")
        self._tasks.add(task)
        metrics.FAREWELLS.set(len(self._tasks))
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        metrics.FAREWELLS.set(len(self._tasks))

    async def finish(self, seconds: float) -> None:
        """Wait for those that are left, so long."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                log.warning("stopping before all participants were taken out", participants=len(late))
