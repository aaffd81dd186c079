"""The list of open rooms. The newest event of a room contains the room, so no log has to be folded for the list.

It is filled once from the log, then kept up to date by following all events.
"""

import asyncio
import base64
import binascii
import bisect

from prometheus_client import Gauge

from services.rooms import access
from services.rooms.made_rooms import MadeRooms
from shared.broker import subjects
from shared.broker.following import Following
from shared.broker.room_log import RoomEntry, RoomsLog, StoredEvents
from shared.rooms.commands import ListRooms, RoomList
from shared.rooms.model import Room
from shared.values import pauses
from shared.values.errors import Code, Refused
from shared.values.ids import RoomId
from shared.values.position import NOWHERE, Position

ROOMS = Gauge("parley_rooms", "Open rooms, as this process knows them (the same in every rooms process).")
PARTICIPANTS = Gauge("parley_participants", "Participants in open rooms, as this process knows them.")

FRESH_SECONDS = 1.0  # how long a request waits for the events committed before it; then the list is filled again


class Directory:
    """An index of open rooms, newest first. Its position in the log tells how fresh it is."""

    def __init__(self, log: RoomsLog, made: MadeRooms | None = None) -> None:
        self._log = log
        self._made = made
        self._following: Following | None = None
        self._refilling: asyncio.Task[None] | None = None
        self._gap = False
        self._filling = 0
        self._generation = log.generation
        self._position = NOWHERE
        self._seen: dict[RoomId, Position] = {}  # the newest event of each open room (while filling: of each room)
        self._rooms: dict[RoomId, Room] = {}
        self._order: list[tuple[str, RoomId]] = []  # ascending by time of creation
        self._participants = 0

    async def start(self) -> None:
        """Follow, then fill. An event that comes both ways is recognised by its position."""
        self._following = await self._log.follow(subjects.ALL_EVENTS, self.receive, self.refill)
        await self._fill()

    async def stop(self) -> None:
        """Stop following and refilling."""
        if self._refilling is not None:
            self._refilling.cancel()
        if self._following is not None:
            await self._following.stop()

    def refill(self) -> None:
        """Events may have been lost: read the newest event of every room again, in the background."""
        self._gap = True
        if self._refilling is None or self._refilling.done():
            self._refilling = asyncio.create_task(self._refill(), name="refill directory")

    async def _refill(self) -> None:
        while self._gap:  # fill again if there was another gap meanwhile
            self._gap = False
            try:
                await self._fill()
            except Refused:
                self._gap = True
                await asyncio.sleep(pauses.DIRECTORY)

    async def _fill(self) -> None:
        if self._generation != self._log.generation:  # another log: the rooms known so far may not exist in it
            self._generation = self._log.generation
            self._position, self._participants = NOWHERE, 0
            self._seen.clear()
            self._rooms.clear()
            self._order.clear()
            if self._made is not None:
                self._made.clear()
        self._filling += 1
        try:
            for entry in await self._log.newest_of_each(subjects.ALL_EVENTS):
                self.receive(entry)
        finally:
            self._filling -= 1
            if not self._filling:
                self._seen = {room_id: self._seen[room_id] for room_id in self._rooms}

    def receive(self, entry: RoomEntry) -> None:
        """Take in a committed event entry."""
        room_id = entry.room_id
        if not isinstance(entry, StoredEvents) or entry.position <= self._seen.get(room_id, NOWHERE):
            return
        self._position = max(self._position, entry.position)
        decoded = entry.entry()
        if not decoded.events:
            return
        newest = decoded.events[-1]
        if self._made is not None:
            self._made.seen(newest.change.room, decoded.stamp.guest_network, is_open=not newest.closes)
        self._participants -= self._rooms[room_id].participant_count if room_id in self._rooms else 0
        if newest.closes:
            self._remove(room_id)
            if self._filling:  # an older event that is being read must not open the room again
                self._seen[room_id] = entry.position
        else:
            self._put(newest.change.room)
            self._seen[room_id] = entry.position
            self._participants += newest.change.room.participant_count
        ROOMS.set(len(self._rooms))
        PARTICIPANTS.set(self._participants)

    def _put(self, room: Room) -> None:
        if room.room_id not in self._rooms:
            bisect.insort(self._order, (room.created_at, room.room_id))
        self._rooms[room.room_id] = room

    def _remove(self, room_id: RoomId) -> None:
        room = self._rooms.pop(room_id, None)
        self._seen.pop(room_id, None)
        if room is not None:
            del self._order[bisect.bisect_left(self._order, (room.created_at, room_id))]

    async def page(self, query: ListRooms) -> RoomList:
        """One page of rooms. It takes every event committed before the request into account. Raises Refused."""
        await self._catch_up()
        end = len(self._order)
        if query.cursor is not None:
            end = bisect.bisect_left(self._order, _read_cursor(query.cursor))
        found: list[Room] = []
        for _, room_id in reversed(self._order[:end]):
            if not access.may_list(query.caller, self._rooms[room_id]):
                continue
            if len(found) == query.limit:
                last = found[-1]
                return RoomList(rooms=found, cursor=_cursor(last.created_at, last.room_id))
            found.append(self._rooms[room_id])
        return RoomList(rooms=found)

    async def _catch_up(self) -> None:
        newest = await self._log.position(subjects.ALL_EVENTS)
        if newest <= self._position:
            return None
        deadline = asyncio.get_running_loop().time() + FRESH_SECONDS
        while self._position < newest:
            if asyncio.get_running_loop().time() > deadline:
                return await self._fill()
            await asyncio.sleep(0.002)
        return None


def _cursor(created_at: str, room_id: RoomId) -> str:
    return base64.urlsafe_b64encode(f"{created_at} {room_id}".encode()).rstrip(b"=").decode()


def _read_cursor(cursor: str) -> tuple[str, RoomId]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        created_at, room_id = base64.b64decode(padded, altchars=b"-_", validate=True).decode().split(" ")
    except (binascii.Error, ValueError):
        raise Refused(Code.BAD_MESSAGE, "the cursor is not one of ours") from None
    return created_at, RoomId(room_id)
