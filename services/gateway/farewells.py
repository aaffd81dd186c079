"""Leaving that must reach the log although nobody waits for it: closed sockets, and joins whose answer was lost."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from services.gateway import metrics
from shared.bus import Bus
from shared.commands import LeaveRoom
from shared.errors import Code, Refused
from shared.subjects import LEAVE_ROOM

log = structlog.get_logger()

PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0)  # between attempts while the broker or rooms cannot answer; the last one repeats
AT_ONCE = 64  # farewells being asked at the same time; ten thousand dropped clients must not be ten thousand requests


@dataclass(frozen=True, slots=True)
class Farewell:
    """A participant to be taken out. `until`: its join may still happen until then (loop time)."""

    leave: LeaveRoom
    until: float = 0.0


class Farewells:
    """Says them until they are heard. Bounded by the participants this gateway had."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Semaphore(AT_ONCE)

    def say(self, farewell: Farewell, taken_back: Callable[[], bool] = lambda: False) -> None:
        """Take a participant out in the background, unless `taken_back` says that it is wanted again."""
        task = asyncio.create_task(self._until_heard(farewell, taken_back), name="farewell")
        self._tasks.add(task)
        metrics.FAREWELLS.set(len(self._tasks))
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        metrics.FAREWELLS.set(len(self._tasks))

    async def _until_heard(self, farewell: Farewell, taken_back: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        attempt = 0
        while not taken_back():
            try:
                async with self._turn:
                    await self._bus.request(LEAVE_ROOM, farewell.leave)
                return
            except Refused as refused:
                if refused.code is Code.NOT_IN_ROOM and loop.time() >= farewell.until:
                    return
            await asyncio.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])
            attempt += 1

    async def finish(self, seconds: float) -> None:
        """Wait for those that are left, so long."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                log.warning("stopping before all participants were taken out", participants=len(late))
