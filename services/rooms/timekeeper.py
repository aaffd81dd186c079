"""Takes due timers, each in one replica of rooms, and executes them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from prometheus_client import Counter

from services.rooms.deadlines import GatewayLost
from services.rooms.executor import RoomExecutor
from shared.broker.following import Following
from shared.broker.room_notes import RoomNotes
from shared.broker.timers import Timers
from shared.rooms.timers import LeaseEnds, LogKept, Sweep, Timer
from shared.values import pauses
from shared.values.ids import GatewayId, RoomId

log = structlog.get_logger()

DUE = Counter("parley_timers_due_total", "Timers that were due, by kind.", ["kind"])

SWEEP_SECONDS = 20.0  # longer than a join can be under way (the gateway's deadline and one append)
ROOMS_AT_ONCE = 32


class Timekeeper:
    """Handles due timers. `clock` gives Unix seconds."""

    def __init__(self, timers: Timers, notes: RoomNotes, executor: RoomExecutor, clock: Callable[[], float]) -> None:
        self._timers = timers
        self._notes = notes
        self._executor = executor
        self._clock = clock
        self._taking: Following | None = None
        # Every other timer is about one room and has a rule, so the executor takes it.
        self._handlers: dict[type, Callable[[Any], Awaitable[object]]] = {
            LeaseEnds: self._lease_ended,
            Sweep: self._sweep,
            LogKept: self._trim,
        }

    async def start(self) -> None:
        """Begin to take due timers."""
        self._taking = await self._timers.take(self.handle, pauses.TIMER)

    async def stop(self) -> None:
        """Take no more timers, and finish those that were taken."""
        if self._taking is not None:
            await self._taking.stop()

    async def handle(self, timer: Timer) -> None:
        """Execute a timer. Raises Refused when that is not possible now; then the timer comes again."""
        DUE.labels(timer.kind).inc()
        await self._handlers.get(type(timer), self._executor.execute)(timer)

    async def _lease_ended(self, timer: LeaseEnds) -> None:
        log.info("a gateway's lease ended", gateway=timer.gateway)
        await self._timers.arm(Sweep(due=self._clock() + SWEEP_SECONDS, gateway=timer.gateway))
        await self._lost(timer.gateway)

    async def _sweep(self, timer: Sweep) -> None:
        await self._lost(timer.gateway)
        await self._notes.forget_rooms(timer.gateway)

    async def _trim(self, timer: LogKept) -> None:
        await self._executor.trim(timer.room_id)

    async def _lost(self, gateway: GatewayId) -> None:
        turn = asyncio.Semaphore(ROOMS_AT_ONCE)

        async def one(room_id: RoomId) -> None:
            async with turn:
                await self._executor.execute(GatewayLost(room_id, gateway))

        await asyncio.gather(*(one(room_id) for room_id in await self._notes.noted_rooms(gateway)))
