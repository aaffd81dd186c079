"""rooms, put together: settings → log, directory, timekeeper → handlers; nothing else."""

import time
from collections.abc import Callable

from services.rooms.directory import Directory
from services.rooms.executor import RoomExecutor
from services.rooms.handlers import RoomsHandlers
from services.rooms.log import RoomLog
from services.rooms.settings import RoomsSettings
from services.rooms.timekeeper import Timekeeper
from shared.broker.nats.streams import Streams
from shared.broker.ports import Ports
from shared.broker.requests import Service

DESCRIPTION = "Owns membership and capacity; the only writer of room events."


class Rooms:
    """One replica of rooms. `clock` gives Unix seconds."""

    def __init__(self, settings: RoomsSettings, ports: Ports, clock: Callable[[], float]) -> None:
        self.log = RoomLog(
            ports,
            capacity=settings.cached_rooms,
            snapshot_every=settings.snapshot_every,
            waiting=settings.waiting_commands,
        )
        executor = RoomExecutor(self.log, settings.rules(), clock)
        self.directory = Directory(ports.room_log)
        self.timekeeper = Timekeeper(ports.timers, ports.notes, executor, clock)
        self.handlers = RoomsHandlers(executor, self.directory)
        self._requests = ports.requests

    async def start(self) -> None:
        """Answer, and take timers."""
        await self.directory.start()
        await self._requests.serve(Service("rooms", DESCRIPTION, self.handlers.endpoints()))
        await self.timekeeper.start()

    async def ready(self) -> None:
        """Nothing but the broker has to be there."""

    async def stop(self) -> None:
        """Take no more timers; what was asked is finished when the process disconnects."""
        await self.timekeeper.stop()
        await self.directory.stop()


def build(settings: RoomsSettings, ports: Ports, *, clock: Callable[[], float] = time.time) -> Rooms:
    """One replica of rooms, not started. `clock` gives Unix seconds."""
    return Rooms(settings, ports, clock)


def streams(settings: RoomsSettings) -> Streams:
    """The streams that rooms owns, as its settings want them."""
    return Streams(max_bytes=settings.log_max_bytes, replicas=settings.log_replicas)
