"""Composition root of rooms: settings → bus → log, directory, timekeeper → handlers; nothing else."""

import asyncio
import time
from collections.abc import Callable

from services.rooms.directory import Directory
from services.rooms.executor import RoomExecutor
from services.rooms.handlers import RoomsHandlers
from services.rooms.log import RoomLog
from services.rooms.settings import RoomsSettings
from services.rooms.timekeeper import Timekeeper
from shared.broker.bus import Bus, Service
from shared.broker.nats.streams import Streams
from shared.runtime import lifecycle, process


class Rooms:
    """One replica of rooms, put together. `clock` gives Unix seconds."""

    def __init__(self, settings: RoomsSettings, bus: Bus, clock: Callable[[], float] = time.time) -> None:
        self._bus = bus
        self.log = RoomLog(
            bus,
            capacity=settings.cached_rooms,
            snapshot_every=settings.snapshot_every,
            waiting=settings.waiting_commands,
        )
        executor = RoomExecutor(self.log, settings.rules(), clock)
        self.directory = Directory(bus)
        self.timekeeper = Timekeeper(bus, executor, clock)
        self.handlers = RoomsHandlers(executor, self.directory)

    async def start(self) -> None:
        """Answer, and take timers."""
        await self.directory.start()
        description = "Owns membership and capacity; the only writer of room events."
        await self._bus.serve(Service("rooms", description, self.handlers.endpoints()))
        await self.timekeeper.start()

    async def stop(self) -> None:
        """Take no more timers; what was asked is finished when the bus closes."""
        await self.timekeeper.stop()
        await self.directory.stop()


async def serve(settings: RoomsSettings, stop: asyncio.Event) -> None:
    """Serve until `stop`."""
    streams = Streams(max_bytes=settings.log_max_bytes, replicas=settings.log_replicas)
    async with process.on_the_bus("rooms", settings, stop, streams=streams) as running:
        rooms = Rooms(settings, running.bus)
        await rooms.start()
        await running.until_stopped()
        await rooms.stop()


if __name__ == "__main__":
    lifecycle.run("rooms", RoomsSettings, serve)
