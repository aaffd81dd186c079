"""The rooms this gateway follows: one subscription and one replica each, shared by all local participants.

A participant is a `Member` from before its join is asked until it left: what is committed meanwhile waits for it.
"""

import asyncio
from typing import Protocol

import structlog

from services.gateway import metrics
from services.gateway.outbox import text_frame
from services.gateway.replica import Delivery, Push, Replica, State
from services.gateway.sealing import Sealer, Unopenable, bound
from shared import pushes, subjects
from shared.bus import Bus, Following, LogEntry
from shared.commands import ReadSnapshot
from shared.errors import Code, Refused, unavailable
from shared.ids import ParticipantId, RoomId
from shared.roster import Snapshot
from shared.subjects import READ_SNAPSHOT

log = structlog.get_logger()

REACH_SECONDS = (1.0, 4.0)  # for an entry known to exist to arrive; after the first it is read from the log
HELD_FRAMES = 4096  # committed while a join is being answered
READ_LIMIT = 500
READ_PAUSES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 0.5, 1.0)  # then the room's snapshot is asked for instead
COMPARE_SECONDS = 3.0


class Receiver(Protocol):
    """The session behind a member."""

    def send_frame(self, frame: bytes) -> None:
        """Hand it a push."""

    def stay_ended(self, room_id: RoomId, reason: str | None) -> None:
        """It is no longer in the room; it was told so."""

    def room_lost(self, room_id: RoomId) -> None:
        """What it knows of the room is worth nothing: it must come back."""


class Member:
    """One local participant of a followed room."""

    __slots__ = ("_held", "participant_id", "receiver", "since")

    def __init__(self, participant_id: ParticipantId, receiver: Receiver) -> None:
        self.participant_id = participant_id
        self.receiver = receiver
        self.since = 0  # position of its snapshot
        self._held: list[tuple[int, bytes]] | None = []

    @property
    def joined(self) -> bool:
        """Whether it has its snapshot."""
        return self._held is None

    def give(self, sequence: int, frame: bytes) -> None:
        """A push or signal at this position: now, or when the snapshot is there, or never if the snapshot contains it."""
        if self._held is not None:
            if len(self._held) < HELD_FRAMES:
                self._held.append((sequence, frame))
        elif sequence > self.since:
            self.receiver.send_frame(frame)

    def overflowed(self) -> bool:
        """Whether more was committed than could be held: the join has to be given up."""
        return self._held is not None and len(self._held) >= HELD_FRAMES

    def release(self) -> None:
        """The snapshot was sent: what came above it follows."""
        held, self._held = self._held or [], None
        for at, frame in held:
            self.give(at, frame)


class FollowedRoom:
    """One room: the subscription feeds the replica, the replica says what its members get."""

    def __init__(self, bus: Bus, sealer: Sealer, room_id: RoomId) -> None:
        self.room_id = room_id
        self.replica = Replica(room_id)
        self.members: dict[ParticipantId, Member] = {}
        self.users = 0
        self.following: asyncio.Future[Following] | None = None
        self._bus = bus
        self._sealer = sealer
        self._reading: asyncio.Task[None] | None = None
        self._awaited: list[tuple[int, asyncio.Future[None]]] = []

    def receive(self, entry: LogEntry) -> None:
        """A committed entry."""
        self._hand_out(self.replica.receive(entry))
        self._mend()

    async def reached(self, sequence: int) -> None:
        """Wait until the replica contains the room's changes up to here. Raises Refused when they do not come."""
        if self.replica.contains(sequence):
            return
        arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        awaited = (sequence, arrived)
        self._awaited.append(awaited)
        try:
            for seconds in REACH_SECONDS:
                await asyncio.wait({arrived}, timeout=seconds)
                if arrived.done():
                    return
                self.suspect("late")
        finally:
            self._awaited.remove(awaited)
        raise unavailable("the room")

    def _wake(self) -> None:
        for sequence, arrived in self._awaited:
            if self.replica.contains(sequence) and not arrived.done():
                arrived.set_result(None)

    def missed(self) -> None:
        """Entries may have been lost on the way here."""
        self.suspect("connection")

    def suspect(self, reason: str, after: int | None = None) -> None:
        """Read on from the log."""
        self.replica.suspect(reason, after)
        self._mend()

    def expect(self, member: Member) -> None:
        """From now on, keep what is committed for this participant-to-be."""
        self.members[member.participant_id] = member

    def joined(self, snapshot: Snapshot) -> None:
        """A join was answered with this snapshot: it starts the replica, if nothing has yet."""
        if self.replica.state is State.STARTING:
            self._hand_out(self.replica.start(snapshot))
            self._mend()

    # -- handing out ---------------------------------------------------------------------------------------------------

    def _hand_out(self, items: list[Push | Delivery]) -> None:
        for item in items:
            if isinstance(item, Delivery):
                self._deliver(item)
            else:
                self._push(item)
        if self._awaited:
            self._wake()

    def _push(self, push: Push) -> None:
        if not self.members:
            return
        frame = text_frame(push.payload)
        closing = push.reason == "room_closed"  # who leaves because the room closes still hears that it closed
        for member in list(self.members.values()):
            itself = push.left == member.participant_id
            if not (itself and push.reason == "left"):  # it asked to leave, and was answered
                member.give(push.sequence, frame)
            if push.ends or (itself and not closing):
                self._end(member, push.reason)

    def _end(self, member: Member, reason: str | None) -> None:
        if member.joined:
            del self.members[member.participant_id]
            member.receiver.stay_ended(self.room_id, reason)

    def _deliver(self, signal: Delivery) -> None:
        member = self.members.get(signal.to)
        if member is None:
            return
        try:
            body = self._sealer.open(signal.body, bound(self.room_id, signal.sender, signal.epoch, signal.to))
        except Unopenable:
            metrics.DROPPED.labels("unopenable").inc()
            return
        member.give(signal.sequence, text_frame(pushes.delivered(body, signal.cursor)))
        metrics.DELIVERED.inc()

    # -- holes ---------------------------------------------------------------------------------------------------------

    def _mend(self) -> None:
        if self.replica.state is State.READING_ON and (self._reading is None or self._reading.done()):
            metrics.HOLES.labels(self.replica.hole or "").inc()
            self._reading = asyncio.create_task(self._read_on(), name=f"read on {self.room_id}")

    async def _read_on(self) -> None:
        attempt = fruitless = 0
        while self.replica.state is State.READING_ON and self.users:
            await asyncio.sleep(READ_PAUSES[min(attempt, len(READ_PAUSES) - 1)])
            attempt += 1
            roster, position = self.replica.roster, self.replica.position
            try:
                if fruitless >= len(READ_PAUSES) or roster is None or roster.incarnation != self._bus.incarnation:
                    await self._start_again()
                else:
                    self._hand_out(self.replica.read_on(await self._tail()))
                    fruitless = fruitless + 1 if self.replica.position == position else 0
            except Refused as refused:  # a broker that is away for long is no reason to give the room up
                log.debug("cannot read on yet", room_id=self.room_id, why=refused.code)

    async def _tail(self) -> list[LogEntry]:
        entries: list[LogEntry] = []
        after = self.replica.read_from
        while True:
            more = await self._bus.read(subjects.room_log(self.room_id), after=after, limit=READ_LIMIT)
            entries += more
            if len(more) < READ_LIMIT:
                return entries
            after = more[-1].sequence

    async def _start_again(self) -> None:
        """The hole cannot be filled from the log, or it is another log: take the room as it is, or give it up."""
        try:
            snapshot = await self._bus.request(READ_SNAPSHOT, ReadSnapshot(room_id=self.room_id))
        except Refused as refused:
            if refused.code is not Code.ROOM_NOT_FOUND:
                raise
            self._lose(list(self.members.values()))
            return
        self._lose([member for member in self.members.values() if member.joined])
        self._hand_out(self.replica.start(snapshot))

    def _lose(self, members: list[Member]) -> None:
        for member in members:
            self.members.pop(member.participant_id, None)
            member.receiver.room_lost(self.room_id)

    def stop(self) -> None:
        """Nobody here is interested any more."""
        if self._reading is not None:
            self._reading.cancel()


class FollowedRooms:
    """All followed rooms of this gateway."""

    def __init__(self, bus: Bus, sealer: Sealer) -> None:
        self._bus = bus
        self._sealer = sealer
        self._rooms: dict[RoomId, FollowedRoom] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    async def hold(self, room_id: RoomId) -> FollowedRoom:
        """Follow a room, or share its following; undo with `release`. When this returns, nothing committed is missed."""
        room = self._rooms.get(room_id)
        if room is None:
            room = self._rooms[room_id] = FollowedRoom(self._bus, self._sealer, room_id)
            topic = subjects.live_room(room_id)
            room.following = asyncio.ensure_future(self._bus.follow(topic, room.receive, room.missed))
            metrics.FOLLOWED_ROOMS.set(len(self._rooms))
        room.users += 1
        try:
            if room.following is not None:
                await asyncio.shield(room.following)
        except BaseException:
            self.release(room)
            raise
        return room

    def release(self, room: FollowedRoom) -> None:
        """One interest less; the last one stops the following."""
        room.users -= 1
        if room.users == 0:
            if self._rooms.get(room.room_id) is room:
                del self._rooms[room.room_id]
            metrics.FOLLOWED_ROOMS.set(len(self._rooms))
            room.stop()
            task = asyncio.create_task(_stop(room), name=f"unfollow {room.room_id}")
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    async def compare(self, every: float = COMPARE_SECONDS) -> None:
        """Compare with the log every few seconds, so that a hole before a silence is found too."""
        while True:
            await asyncio.sleep(every)
            rooms = {subjects.event_log(room_id): room for room_id, room in self._rooms.items()}
            if not rooms:
                continue
            try:
                newest = await self._bus.last(list(rooms))
            except Refused:
                continue  # a reconnect will make every replica read on
            for entry in newest:
                room = rooms[subjects.event_log(entry.subject.room_id)]
                roster = room.replica.roster
                if roster is not None and entry.sequence > roster.sequence:
                    room.suspect("silence", roster.sequence)


async def _stop(room: FollowedRoom) -> None:
    if room.following is None:
        return
    try:
        await (await room.following).stop()
    except Refused:
        return  # it never began
