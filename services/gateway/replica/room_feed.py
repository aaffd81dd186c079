"""A room that this gateway follows: one subscription and one replica, shared by all local participants.

A participant has a `Subscriber` from before the gateway asks for its join until it leaves. What is committed before its
snapshot was sent waits in the subscriber.
"""

import asyncio
import re
from dataclasses import replace

import structlog

from services.gateway import metrics
from services.gateway.replica.replica import Delivery, Push, Replica, State
from services.gateway.replica.subscriber import Receiver, Subscriber
from services.gateway.sealing import Sealer, Unopenable, bound
from services.gateway.transport.outbox import text_frame
from shared.broker import subjects
from shared.broker.following import Following
from shared.broker.requests import Requests
from shared.broker.room_log import RoomEntry, RoomsLog
from shared.broker.subjects import READ_SNAPSHOT
from shared.broker.tail import read_up_to
from shared.rooms.commands import ReadSnapshot
from shared.rooms.roster import Roster, Snapshot
from shared.values import pauses
from shared.values.errors import Code, Refused, unavailable
from shared.values.ids import ParticipantId, RoomId
from shared.values.position import NOWHERE, Position
from shared.wire import pushes

log = structlog.get_logger()

_CURSOR = re.compile(rb'"cursor":"[^"]*"')  # the first match is the push's own: it stands before fields clients write

_LOST = "a room's log ends before what was read of it: entries are lost"

REACH_SECONDS = (1.0, 4.0)  # waits for an entry known to exist; after each the replica reads it from the log


class RoomFeed:
    """One room: the subscription feeds the replica, and the replica says what the subscribers get."""

    def __init__(self, log: RoomsLog, requests: Requests, sealer: Sealer, room_id: RoomId) -> None:
        self.room_id = room_id
        self.replica = Replica(room_id)
        self.subscribers: dict[ParticipantId, Subscriber] = {}
        self._users = 0
        self._following: asyncio.Future[Following] | None = None
        self._log = log
        self._requests = requests
        self._sealer = sealer
        self._reading: asyncio.Task[None] | None = None
        self._generation = log.generation  # of the log whose entries the replica has
        self._resyncs = 0  # how often `resync` was called
        self._awaited: list[tuple[Snapshot, asyncio.Future[None]]] = []

    def receive(self, entry: RoomEntry) -> None:
        """Take a committed entry, and hand out what the subscribers get of it."""
        self._hand_out(self.replica.receive(entry))
        self._repair_gap()

    async def reached(self, snapshot: Snapshot) -> None:
        """Wait until the replica contains what this snapshot does. Raises Refused when it does not come to that."""
        if self.replica.includes(snapshot):
            return
        arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        awaited = (snapshot, arrived)
        self._awaited.append(awaited)
        try:
            for seconds in REACH_SECONDS:
                await asyncio.wait({arrived}, timeout=seconds)
                if arrived.done():
                    return
                self.resync("late")
        finally:
            self._awaited.remove(awaited)
        raise unavailable("the room")

    def _wake(self) -> None:
        for snapshot, arrived in self._awaited:
            if self.replica.includes(snapshot) and not arrived.done():
                arrived.set_result(None)

    def on_gap(self) -> None:
        """Entries may have been lost on the way from the broker: resync."""
        self.resync("connection")

    def resync(self, reason: str, after: Position | None = None) -> None:
        """Read entries that may be missing from the log, in the background. See Replica.resync."""
        self._resyncs += 1
        self.replica.resync(reason, after)
        self._repair_gap()

    def lose(self) -> None:
        """The room's events end before what the replica has: begin anew, and let go of who was told of what is gone."""
        self.replica.lose()
        self._repair_gap()

    def expect(
        self, participant_id: ParticipantId, receiver: Receiver, epoch: int = 1, moved_at: Position = NOWHERE
    ) -> Subscriber:
        """From now on, keep what is committed for a participant whose join or resume is being asked."""
        subscriber = Subscriber(participant_id, receiver, self.frame_of, epoch, moved_at)
        self.subscribers[participant_id] = subscriber
        return subscriber

    def forget(self, participant_id: ParticipantId) -> None:
        """Remove the participant's subscriber: no session here has the seat any more."""
        self.subscribers.pop(participant_id, None)

    def start(self, snapshot: Snapshot) -> None:
        """Start the replica with the snapshot of a join, unless it has started already."""
        if self.replica.state is State.STARTING:
            self._generation = self._log.generation
            self._hand_out(self.replica.start(snapshot))
            self._repair_gap()

    def welcome(self, participant_id: ParticipantId, receiver: Receiver, epoch: int, moved_at: Position) -> Subscriber:
        """From now on, keep what is committed for a session that rooms has found to have a seat already."""
        subscriber = self.expect(participant_id, receiver, epoch, moved_at)
        subscriber.kept_from = self.replica.position
        return subscriber

    async def seat(self, subscriber: Subscriber, snapshot: Snapshot) -> Position:
        """Rooms has answered with this snapshot. Waits until the replica, too, has what is in it.

        Returns the position up to which what follows the snapshot must be read from the log. Raises Refused.
        """
        self.start(snapshot)
        await self.reached(snapshot)
        subscriber.seat(Position(snapshot.sequence))
        # The replica may have started with a later snapshot, of another join or of a log that was made anew.
        return max(Position(snapshot.sequence), self.replica.started_at, subscriber.kept_from)

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
        if not self.subscribers:
            return
        self._move(push)
        frame = text_frame(push.payload)
        closing = push.reason == "room_closed"  # a participant that leaves by the room's close still hears of the close
        for subscriber in list(self.subscribers.values()):
            itself = push.left == subscriber.participant_id
            if not (itself and subscriber.leaving and push.reason == "left"):
                late = push.sequence < subscriber.last_signal_at  # found in a gap, after signals behind it were sent
                told = text_frame(self._told_late(push, subscriber.last_signal_at)) if late else frame
                subscriber.deliver(push.sequence, told)
            if push.ends or (itself and not closing):
                self._end(subscriber, push.reason)
            elif push.away == subscriber.participant_id and subscriber.is_live and push.sequence > subscriber.seated_at:
                self._lose([subscriber])

    def _told_late(self, push: Push, after_signal: Position) -> bytes:
        """The push with a cursor that is not before signals which were delivered already."""
        cursor = push.told_after(after_signal, self.replica.incarnation)
        return _CURSOR.sub(b'"cursor":"%b"' % cursor.text().encode(), push.payload, count=1)

    def _move(self, push: Push) -> None:
        """If the push says that another connection has the participant's seat, end the subscriber here."""
        subscriber = self.subscribers.get(push.moved) if push.moved is not None else None
        if subscriber is not None and subscriber.epoch < push.epoch:
            del self.subscribers[subscriber.participant_id]
            subscriber.receiver.replaced()

    def _end(self, subscriber: Subscriber, reason: str | None) -> None:
        if subscriber.is_live:
            del self.subscribers[subscriber.participant_id]
            subscriber.receiver.participation_ended(self.room_id, reason)

    def _deliver(self, signal: Delivery) -> None:
        subscriber = self.subscribers.get(signal.to)
        if subscriber is None:
            return
        subscriber.deliver(signal.sequence, signal)
        metrics.DELIVERED.inc()

    def frame_of(self, item: Push | Delivery, after_event: Position = NOWHERE) -> bytes | None:
        """The frame for a client that was sent the events up to `after_event`. None for a signal that no key opens."""
        if isinstance(item, Push):
            return text_frame(item.payload)
        try:
            body = self._sealer.open(item.body, bound(self.room_id, item.sender, item.epoch, item.to))
        except Unopenable:
            metrics.DROPPED.labels("unopenable").inc()
            return None
        cursor = replace(item.cursor, events=max(item.cursor.events or NOWHERE, after_event))
        return text_frame(pushes.delivered(body, cursor.text()))

    # -- gaps ----------------------------------------------------------------------------------------------------------

    def _repair_gap(self) -> None:
        if self.replica.state is State.CATCHING_UP and (self._reading is None or self._reading.done()):
            metrics.GAPS.labels(self.replica.gap or "").inc()
            self._reading = asyncio.create_task(self._fill_gap(), name=f"read on {self.room_id}")

    async def _fill_gap(self) -> None:
        attempt = fruitless = 0
        while self.replica.state is State.CATCHING_UP and self._users:
            await asyncio.sleep(pauses.before(attempt, pauses.GAP_REPAIR))
            attempt += 1
            roster, position = self.replica.roster, self.replica.position
            try:
                if fruitless >= len(pauses.GAP_REPAIR) or roster is None or self._log_is_another(roster):
                    await self._start_again()
                else:
                    resyncs = self._resyncs
                    tail = await self._tail()
                    if resyncs != self._resyncs:
                        continue  # the entries now suspected missing may be newer than what was read
                    if tail is not None:
                        self._hand_out(self.replica.fill_gap(tail))
                    fruitless = fruitless + 1 if self.replica.position == position else 0
            except Refused as refused:  # try again, however long the broker is away
                log.debug("cannot read on yet", room_id=self.room_id, why=refused.code)

    async def _tail(self) -> list[RoomEntry] | None:
        """What the log has above `read_from`; None when the read lags the log's known end."""
        log_subject = subjects.room_log(self.room_id)
        end = await self._log.position(log_subject)
        return await read_up_to(self._log, log_subject, self.replica.read_from, end, waits=())

    def _log_is_another(self, roster: Roster) -> bool:
        """Whether the log was made anew or went back since the replica began."""
        return (
            self.replica.is_another
            or roster.incarnation != self._log.incarnation
            or self._generation != self._log.generation
        )

    async def _start_again(self) -> None:
        """The gap cannot be filled from the log, or the log is another one: begin with a snapshot, or give the room up.

        Who was shown the room, or is about to be, loses it: it cannot be told what is between that and the snapshot.
        """
        generation = self._log.generation
        try:
            snapshot = await self._requests.request(READ_SNAPSHOT, ReadSnapshot(room_id=self.room_id))
        except Refused as refused:
            if refused.code is not Code.ROOM_NOT_FOUND:
                raise
            self._lose(list(self.subscribers.values()))
            return
        if snapshot.incarnation != self._log.incarnation:  # of the log before: rooms has not noticed yet
            raise unavailable("the room")
        self._generation = generation
        self._lose([subscriber for subscriber in self.subscribers.values() if not subscriber.begin_anew()])
        self._hand_out(self.replica.start(snapshot))

    def _lose(self, subscribers: list[Subscriber]) -> None:
        if subscribers and self.replica.is_another:
            log.error(_LOST, room_id=self.room_id, read_up_to=self.replica.position)
        for subscriber in subscribers:
            self.subscribers.pop(subscriber.participant_id, None)
            subscriber.receiver.room_lost(self.room_id)

    # -- how long it is followed ---------------------------------------------------------------------------------------

    async def hold(self) -> None:
        """Add a user; the first one starts the subscription. When this returns, no committed entry is missed."""
        self._users += 1
        if self._following is None:
            following = self._log.follow(subjects.room_log(self.room_id), self.receive, self.on_gap)
            self._following = asyncio.ensure_future(following)
        await asyncio.shield(self._following)

    def release(self) -> bool:
        """Remove a user. Returns whether it was the last one; then the caller has to `stop` the feed."""
        self._users -= 1
        if self._users == 0 and self._reading is not None:
            self._reading.cancel()
        return self._users == 0

    async def stop(self) -> None:
        """End the subscription."""
        if self._following is None:
            return
        try:
            await (await self._following).stop()
        except Refused:
            return  # the subscription never began
