"""Takes due timers, each in one replica of rooms, and executes them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

import structlog

from services.rooms.deadlines import GatewayLost
from services.rooms.executor import RoomExecutor
from shared.broker.following import Following
from shared.broker.marks import Marked
from shared.broker.ports import Ports
from shared.rooms.timers import KINDS, LeaseEnds, LogKept, Sweep, Timer
from shared.rooms.unfoldable import is_unfoldable
from shared.telemetry.tally import Tally
from shared.values import pauses
from shared.values.errors import unavailable
from shared.values.ids import GatewayId, RoomId

log = structlog.get_logger()

DUE = Tally("parley_timers_due_total", "Timers that were due, by kind.", "kind", (*KINDS, "stop"))

SWEEP_SECONDS = 20.0  # longer than a join can be under way (the gateway's deadline and one append)
ROOMS_AT_ONCE = 32


class Timekeeper:
    """Handles due timers. `clock` gives Unix seconds."""

    def __init__(
        self,
        ports: Ports,
        executor: RoomExecutor,
        clock: Callable[[], float],
        trim: Callable[[RoomId], Awaitable[None]],
    ) -> None:
        self._timers = ports.timers
        self._leases = ports.leases
        self._marks = ports.marks
        self._notes = ports.notes
        self._executor = executor
        self._clock = clock
        self._trim = trim
        self._taking: list[Following] = []
        # Every other timer is about one room and has a rule, so the executor takes it.
        self._handlers: dict[type, Callable[[Any], Awaitable[object]]] = {
            LeaseEnds: self._lease_ended,
            Sweep: self._sweep,
            LogKept: self._log_kept,
        }

    async def start(self) -> None:
        """Begin to take due timers, and the ends of leases."""
        self._taking.append(await self._timers.take(self.handle, pauses.TIMER))
        self._taking.append(await self._leases.take(self.handle, pauses.TIMER))

    async def stop(self) -> None:
        """Take no more timers, and finish those that were taken."""
        for taking in self._taking:
            await taking.stop()

    async def handle(self, timer: Timer) -> None:
        """Execute a timer. Raises Refused when that is not possible now; then the timer comes again."""
        DUE.labels("stop" if isinstance(timer, LeaseEnds) and timer.stopped else timer.kind).inc()
        await self._handlers.get(type(timer), self._executor.execute)(timer)

    async def _lease_ended(self, timer: LeaseEnds) -> None:
        """Look after the gateway's rooms, and arm the sweep, which looks again. Rooms that cannot be folded are left to it.

        If this timer came again for those, it would arm the sweep again each time, and the sweep would never be due.

        A gateway of 0.4.0 has its lease among the timers, and so has one whose lease rooms armed in its place. The
        latter may have armed its own meanwhile.
        """
        if timer.gateway in await self._leases.alive():
            return
        if not timer.stopped and await self._marks.read(Marked.LEASES) is None:
            raise unavailable("the leases")  # lost a moment ago, or purged again and again: who lives arms its own anew
        log.info("a gateway stopped" if timer.stopped else "a gateway's lease ended", gateway=timer.gateway)
        await self._timers.arm(Sweep(due=self._clock() + SWEEP_SECONDS, gateway=timer.gateway))
        outcomes = await self._lost(timer.gateway)
        _raise_first(error for error in outcomes.values() if not is_unfoldable(error))

    async def _sweep(self, timer: Sweep) -> None:
        """Look again, and forget the rooms that are done. The timer comes again for those that are left."""
        outcomes = await self._lost(timer.gateway)
        done = [room_id for room_id, error in outcomes.items() if error is None]
        if len(done) == len(outcomes):
            await self._notes.forget_rooms(timer.gateway)
        else:
            await self._each(done, partial(self._notes.forget_room, timer.gateway))
        # A room that cannot be folded hides no other failure.
        _raise_first(sorted(outcomes.values(), key=is_unfoldable))

    async def _log_kept(self, timer: LogKept) -> None:
        await self._trim(timer.room_id)

    async def _lost(self, gateway: GatewayId) -> dict[RoomId, BaseException | None]:
        """Tell every room noted of the gateway that it is lost: no room's failure keeps the others from it."""
        rooms = await self._notes.noted_rooms(gateway)
        return await self._each(rooms, lambda room_id: self._room_lost(room_id, gateway))

    async def _room_lost(self, room_id: RoomId, gateway: GatewayId) -> None:
        # A replica that has not read on yet would give those who are away a grace time anew, each time that it looks.
        await self._executor.execute(GatewayLost(room_id, gateway), newest=True)

    async def _each(
        self, rooms: Sequence[RoomId], act: Callable[[RoomId], Awaitable[object]]
    ) -> dict[RoomId, BaseException | None]:
        """Act on all of these rooms, some at a time. Returns the failure of each, or None."""
        turn = asyncio.Semaphore(ROOMS_AT_ONCE)

        async def one(room_id: RoomId) -> None:
            async with turn:
                await act(room_id)

        failures = await asyncio.gather(*(one(room_id) for room_id in rooms), return_exceptions=True)
        return dict(zip(rooms, failures, strict=True))


def _raise_first(errors: Iterable[BaseException | None]) -> None:
    for error in errors:
        if error is not None:
            raise error
