"""All the rooms that this gateway follows, each while a local participant is in it. Compares them with the log regularly."""

import asyncio

from services.gateway import metrics
from services.gateway.replica.room_feed import RoomFeed
from services.gateway.sealing import Sealer
from shared.broker import subjects
from shared.broker.ports import Ports
from shared.rooms.roster import Roster
from shared.values.errors import Refused
from shared.values.ids import RoomId
from shared.values.position import NOWHERE, Position

COMPARE_SECONDS = 3.0
LOOK_AGAIN_SECONDS = 2.0  # until a log that seems to end too soon is believed to; meanwhile the streams are looked at


class RoomFeeds:
    """The feeds by room. `signal_seconds` is how long the log keeps a signal."""

    def __init__(self, ports: Ports, sealer: Sealer, signal_seconds: float) -> None:
        self._log = ports.room_log
        self._requests = ports.requests
        self._watch = ports.watch
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
                newest = {entry.room_id: entry.position for entry in await self._log.last(list(rooms))}
                shorter = []
                for room in rooms.values():
                    roster, ends_at = room.replica.roster, newest.get(room.room_id, NOWHERE)
                    if roster is not None and ends_at > roster.sequence:
                        room.resync("silence", roster.sequence)
                    elif roster is not None and ends_at < roster.sequence:
                        shorter.append((room, roster, roster.sequence))
                await self._look_again(shorter)
            except Refused:
                continue  # every replica resyncs after a reconnect

    async def _look_again(self, shorter: list[tuple[RoomFeed, Roster, Position]]) -> None:
        """Rooms whose log seems to end before the replica: a read may lag, so the log's leader is asked, and it may be new."""
        for pause in (0.0, LOOK_AGAIN_SECONDS):
            if not shorter:
                return
            await asyncio.sleep(pause)
            ends = [await self._log.position(subjects.event_log(room.room_id)) for room, _, _ in shorter]
            shorter = [one for one, end in zip(shorter, ends, strict=True) if end < one[2]]
        stream = self._watch.state(subjects.LOG_STREAM)
        for room, roster, sequence in shorter:
            same = room.replica.roster is roster and self._rooms.get(room.room_id) is room
            # A stream that went back as a whole gets another name first.
            if same and stream is not None and stream.last >= sequence:
                room.lose()
