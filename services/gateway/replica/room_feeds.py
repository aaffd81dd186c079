"""All the rooms that this gateway follows, each while a local participant is in it. Compares them with the log regularly."""

import asyncio

from services.gateway import metrics
from services.gateway.replica.room_feed import RoomFeed
from services.gateway.sealing import Sealer
from shared.broker import subjects
from shared.broker.requests import Requests
from shared.broker.room_log import RoomsLog
from shared.values.errors import Refused
from shared.values.ids import RoomId

COMPARE_SECONDS = 3.0


class RoomFeeds:
    """The feeds by room. `signal_seconds` is how long the log keeps a signal."""

    def __init__(self, log: RoomsLog, requests: Requests, sealer: Sealer, signal_seconds: float) -> None:
        self._log = log
        self._requests = requests
        self._sealer = sealer
        self._signal_seconds = signal_seconds
        self._rooms: dict[RoomId, RoomFeed] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    async def hold(self, room_id: RoomId) -> RoomFeed:
        """Follow a room, or share its feed; undo with `release`. When this returns, no committed entry is missed."""
        room = self._rooms.get(room_id)
        if room is None:
            room = self._rooms[room_id] = RoomFeed(self._log, self._requests, self._sealer, room_id)
            metrics.FOLLOWED_ROOMS.set(len(self._rooms))
        try:
            await room.hold()
        except BaseException:
            self.release(room)
            raise
        return room

    def release(self, room: RoomFeed) -> None:
        """Undo one `hold`. The last one stops the feed, in the background."""
        if room.release():
            if self._rooms.get(room.room_id) is room:
                del self._rooms[room.room_id]
            metrics.FOLLOWED_ROOMS.set(len(self._rooms))
            task = asyncio.create_task(room.stop(), name=f"unfollow {room.room_id}")
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    def resync(self) -> None:
        """The broker did not answer for a while: entries may be missing in every room."""
        for room in list(self._rooms.values()):
            room.resync("doubt")

    async def compare(self, every: float = COMPARE_SECONDS) -> None:
        """Compare the replicas with the log every `every` seconds: finds a gap after which no entry came. Never returns."""
        slept = 0.0
        while True:
            await asyncio.sleep(every)
            slept += every
            if slept > self._signal_seconds:
                slept = 0.0
                for room in self._rooms.values():
                    room.replica.turn_page()
            rooms = {subjects.event_log(room_id): room for room_id, room in self._rooms.items()}
            if not rooms:
                continue
            try:
                newest = await self._log.last(list(rooms))
            except Refused:
                continue  # every replica resyncs after a reconnect
            for entry in newest:
                room = rooms[subjects.event_log(entry.room_id)]
                roster = room.replica.roster
                if roster is not None and entry.position > roster.sequence:
                    room.resync("silence", roster.sequence)
