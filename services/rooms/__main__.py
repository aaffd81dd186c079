"""Composition root of rooms: settings → bus → log and directory → handlers; nothing else."""

import asyncio
import time

from services.rooms.directory import Directory
from services.rooms.handlers import RoomsHandlers
from services.rooms.log import RoomLog
from services.rooms.settings import RoomsSettings
from shared import lifecycle, process
from shared.bus import Service
from shared.nats_streams import Streams


async def serve(settings: RoomsSettings, stop: asyncio.Event) -> None:
    """Serve until `stop`."""
    streams = Streams(max_bytes=settings.log_max_bytes, replicas=settings.log_replicas)
    async with process.on_the_bus("rooms", settings, stop, streams=streams) as running:
        log = RoomLog(
            running.bus,
            capacity=settings.cached_rooms,
            snapshot_every=settings.snapshot_every,
            waiting=settings.waiting_commands,
        )
        directory = Directory(running.bus)
        await directory.start()
        rules = settings.rules()
        handlers = RoomsHandlers(log, directory, rules, time.time)
        service = Service(
            "rooms", "Owns membership and capacity; the only writer of room events.", handlers.endpoints()
        )
        await running.bus.serve(service)
        await running.until_stopped()
        await directory.stop()


if __name__ == "__main__":
    lifecycle.run("rooms", RoomsSettings, serve)
