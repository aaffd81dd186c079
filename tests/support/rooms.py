"""The rooms service on any broker, in this process."""

import time
from typing import Any

from services.rooms.decision import Rules
from services.rooms.directory import Directory
from services.rooms.executor import RoomExecutor
from services.rooms.handlers import RoomsHandlers
from services.rooms.log import RoomLog
from shared.broker.ports import Ports
from shared.broker.requests import Service
from shared.rooms.commands import Caller, ListRooms
from tests.support.orders import caller

EVERYBODY = caller("lister", "rooms:list")


async def rooms_handlers(
    ports: Ports, *, cached_rooms: int = 100, snapshot_every: int = 100, rules: Rules | None = None, **_: Any
) -> tuple[RoomsHandlers, Directory]:
    """The handlers of one replica, and its directory (to be stopped)."""
    log = RoomLog(ports, capacity=cached_rooms, snapshot_every=snapshot_every, waiting=1000)
    directory = Directory(ports.room_log)
    await directory.start()
    return RoomsHandlers(RoomExecutor(log, rules or Rules(), time.time), directory), directory


async def serve_rooms(ports: Ports, **settings: Any) -> Directory:
    """One replica of rooms that answers; its directory (to be stopped)."""
    handlers, directory = await rooms_handlers(ports, **settings)
    await ports.requests.serve(Service("rooms", "rooms", handlers.endpoints()))
    return directory


async def listed(directory: Directory, by: Caller = EVERYBODY, limit: int = 100) -> list[str]:
    """All pages of the list, as one replica knows it."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await directory.page(ListRooms(caller=by, limit=limit, cursor=cursor))
        found += [room.room_id for room in page.rooms]
        cursor = page.cursor
        if cursor is None:
            return found
