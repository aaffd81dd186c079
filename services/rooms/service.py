"""Composes rooms from its settings and ports: log, directory, timekeeper, trimmer, handlers."""

import os
from collections.abc import Callable

from services.rooms.admission import Admission
from services.rooms.clocks import Clocks
from services.rooms.directory import Directory
from services.rooms.executor import RoomExecutor
from services.rooms.handlers import RoomsHandlers
from services.rooms.log import RoomLog
from services.rooms.made_rooms import MadeRooms
from services.rooms.settings import RoomsSettings
from services.rooms.storage_watch import StorageWatch
from services.rooms.timekeeper import Timekeeper
from services.rooms.trimmer import Trimmer
from shared.broker.nats.streams import Streams
from shared.broker.ports import Ports
from shared.broker.requests import Service
from shared.broker.subjects import READ_RESERVE

DESCRIPTION = "Owns membership and capacity; the only writer of room events."


class Rooms:
    """One replica of rooms. `clock` gives Unix seconds, `chance(n)` n random bytes."""

    def __init__(
        self, settings: RoomsSettings, ports: Ports, clock: Callable[[], float], chance: Callable[[int], bytes]
    ) -> None:
        self.log = RoomLog(
            ports,
            capacity=settings.cached_rooms,
            snapshot_every=settings.snapshot_every,
            waiting=settings.waiting_commands,
        )
        admission = Admission()
        self.storage = StorageWatch(ports.storage, admission, settings.thresholds(), settings.store_folder)
        self.trimmer = Trimmer(self.log, ports, settings.limits(), clock)
        made = MadeRooms(settings.room_limits(), clock)
        self.executor = executor = RoomExecutor(self.log, settings.rules(), clock, admission, self.trimmer, made)
        self.directory = Directory(ports.room_log, made)
        self.timekeeper = Timekeeper(ports, executor, clock, self.trimmer.look)
        self.clocks = Clocks(ports, executor, self.log, clock, chance)
        self.handlers = RoomsHandlers(executor, self.directory)
        self._requests = ports.requests

    async def start(self) -> None:
        """Begin to answer requests and to take timers."""
        await self.storage.start()
        await self.directory.start()
        endpoints = [*self.handlers.endpoints(), (READ_RESERVE, self.storage.told)]
        await self._requests.serve(Service("rooms", DESCRIPTION, endpoints))
        await self.timekeeper.start()
        await self.clocks.start()
        await self.trimmer.start()

    async def ready(self) -> str | None:
        """Rooms is ready as soon as it serves: it needs only the broker. Says when storage runs out."""
        return self.storage.notice()

    def reload(self, settings: RoomsSettings) -> None:
        """Rooms has no file of its own."""

    async def stop(self) -> None:
        """Stop taking timers and trimming. The process finishes open requests when it disconnects."""
        await self.trimmer.stop()
        await self.clocks.stop()
        await self.timekeeper.stop()
        await self.directory.stop()
        await self.storage.stop()


def build(
    settings: RoomsSettings,
    ports: Ports,
    *,
    clock: Callable[[], float] | None = None,
    chance: Callable[[int], bytes] = os.urandom,
) -> Rooms:
    """One replica of rooms, not started.

    `clock` gives Unix seconds: the broker's, unless another is given. `chance(n)` gives n random bytes.
    """
    return Rooms(settings, ports, clock or ports.clock, chance)


def streams(settings: RoomsSettings) -> Streams:
    """The streams that rooms owns, with the size and replicas of its settings."""
    return Streams(max_bytes=settings.log_max_bytes, replicas=settings.log_replicas)
