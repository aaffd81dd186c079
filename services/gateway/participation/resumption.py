"""A resume: moves a session's seats to its new connection, and reads what it missed from the log."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from services.gateway import metrics
from services.gateway.context import GatewayContext
from services.gateway.ice_servers import IceSet
from services.gateway.participation.caller import caller_of
from services.gateway.participation.participation import Participation
from services.gateway.participation.room_users import room_users
from services.gateway.replica.log_reader import read_backlog
from services.gateway.replica.replay import Backlog, usable
from services.gateway.replica.room_feed import RoomFeed
from services.gateway.replica.subscriber import Receiver
from services.gateway.session.feature import OpenedSession
from services.gateway.transport.outbox import text_frame
from shared.auth.commands import Identity
from shared.broker.subjects import RESUME_PARTICIPANT
from shared.rooms.commands import DropParticipant, Resumed, ResumeParticipant
from shared.rooms.roster import Departure, Snapshot
from shared.rooms.unfoldable import is_unfoldable
from shared.values import moment
from shared.values.cursor import Cursor
from shared.values.errors import Code, Refused, unavailable
from shared.values.ids import RoomId, mint
from shared.values.position import Position
from shared.wire import pushes
from shared.wire.protocol import Address


@dataclass(frozen=True, slots=True)
class Returned:
    """A room that the session is in again: the backlog since its cursor, or a snapshot and the backlog since that."""

    participation: Participation
    backlog: Backlog
    snapshot: Snapshot | None = None

    @property
    def device_id(self) -> str | None:
        """The session's device, as the room knows it."""
        seat = self.participation.feed.replica.seat(self.participation.participant_id)
        return seat.participant.device_id if seat else None

    def frames(self, ice: IceSet) -> Iterator[bytes]:
        """The frames for the client, in order. Call `Participations.go_live` after the last one."""
        feed, backlog = self.participation.feed, self.backlog
        self.participation.subscriber.catch_up(Position(backlog.sequence))
        if self.snapshot is not None:
            yield text_frame(room_users(self.snapshot, self.participation.participant_id, None, ice, recovered=False))
        for item in backlog.items:
            frame = feed.frame_of(item)
            if frame is not None:
                metrics.REPLAYED.inc()
                yield frame
        cursor = Cursor(feed.replica.incarnation, backlog.sequence).text()
        resumed = pushes.RoomResumed(room_id=feed.room_id, revision=backlog.revision, cursor=cursor)
        yield text_frame(pushes.encode(resumed))


@dataclass(frozen=True, slots=True)
class Ended:
    """A room that the session is no longer in, or that rooms cannot fold. `departure` says why, if rooms still knows."""

    room_id: RoomId
    incarnation: str
    departure: Departure | None

    def message(self) -> bytes:
        """The message for the client: its own `user_left`, or an error when the reason is not known."""
        departure = self.departure
        if departure is None:
            return pushes.error(
                Refused(Code.NOT_IN_ROOM, "you are not in this room"), Address(None, {"roomId": self.room_id})
            )
        cursor = Cursor(self.incarnation, departure.sequence).text()
        at = pushes.At(self.room_id, departure.revision, cursor)
        return pushes.encode(pushes.user_left(at, departure.participant_id, departure.agent_id, departure.reason))

    @property
    def timed_out(self) -> bool:
        """Whether the session came back too late, or so late that the reason is not known any more."""
        return self.departure is None or self.departure.reason == "timeout"


def undo_resume(context: GatewayContext, opened: OpenedSession, room_id: RoomId) -> None:
    """Drop the session's seat, in the background: its resume may still happen, and the connection before let it go."""
    drop = DropParticipant(room_id=room_id, session=opened.key, gateway=opened.gateway, since=opened.since)
    context.departures.undo(opened.key, room_id, [drop])


class Resumption:
    """Resumes one session. Calls `entered` for each room it is still in, and `left` for each that it had left itself."""

    def __init__(
        self,
        context: GatewayContext,
        receiver: Receiver,
        opened: OpenedSession,
        identity: Identity,
        entered: Callable[[Participation], None],
        left: Callable[[RoomId], None],
    ) -> None:
        self._context = context
        self._receiver = receiver
        self._opened = opened
        self._identity = identity
        self._entered = entered
        self._left = left

    async def run(self, cursors: Mapping[RoomId, str]) -> list[Returned | Ended]:
        """Resume in all these rooms at once. Raises Refused when rooms cannot answer for one of them.

        A room that rooms cannot fold has ended for this session: it must not keep the others from it.
        """
        asked = [self._one(room_id, cursor) for room_id, cursor in cursors.items()]
        results = await asyncio.gather(*asked, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if not isinstance(result, BaseException)]

    async def _one(self, room_id: RoomId, cursor: str) -> Returned | Ended:
        cancelled = await self._context.departures.cancel(self._opened.key, room_id)
        try:
            returned = await self._return(room_id, cursor)
        except BaseException as error:
            cancelled.reschedule()
            if not is_unfoldable(error):
                raise
            if not cancelled.undoing:  # several for one seat would say the same
                undo_resume(self._context, self._opened, room_id)
            return Ended(room_id, self._context.ports.room_log.incarnation, None)
        if isinstance(returned, Ended):
            cancelled.reschedule()
        return returned

    async def _return(self, room_id: RoomId, cursor: str) -> Returned | Ended:
        feeds = self._context.feeds
        feed = await feeds.hold(room_id)
        try:
            resumed = await self._ask(room_id)
        except Refused as refused:
            feeds.release(feed)
            if refused.code in (Code.NOT_IN_ROOM, Code.FORBIDDEN):
                return self._gone(room_id, refused, Cursor.parse(cursor))
            raise
        except BaseException:
            feeds.release(feed)
            raise
        return await self._back_in(feed, resumed, Cursor.parse(cursor))

    def _gone(self, room_id: RoomId, refused: Refused, cursor: Cursor | None) -> Ended:
        """The stay is over. In another log than the client's, what rooms knows is the end of an earlier stay, or none."""
        incarnation = self._context.ports.room_log.incarnation
        same_log = cursor is None or cursor.incarnation == incarnation
        departure = Departure.model_validate(refused.details) if refused.details and same_log else None
        if departure is not None and departure.reason == "left":
            self._left(room_id)
        return Ended(room_id, incarnation, departure)

    async def _back_in(self, feed: RoomFeed, resumed: Resumed, cursor: Cursor | None) -> Returned:
        snapshot = resumed.snapshot
        subscriber = feed.welcome(resumed.participant_id, self._receiver, resumed.epoch, Position(resumed.moved_at))
        participation = Participation(feed, subscriber)
        self._entered(participation)
        end = await feed.seat(subscriber, snapshot)
        backlog = await self._backlog(feed, resumed, cursor, end)
        metrics.RESUMES.labels("snapshot" if backlog is None else "replay").inc()
        if backlog is not None:
            return Returned(participation, backlog)
        # Others already see it as connected and may send to it, so what came after the snapshot must not be missing.
        at = Cursor(snapshot.incarnation, snapshot.sequence)
        backlog = await read_backlog(self._context.ports.room_log, at, resumed.participant_id, snapshot, end)
        if backlog is None:
            raise unavailable("the log")
        return Returned(participation, backlog, snapshot)

    async def _ask(self, room_id: RoomId) -> Resumed:
        command = ResumeParticipant(
            caller=caller_of(self._identity),
            room_id=room_id,
            operation=mint("r_", self._context.chance(16)),
            session=self._opened.key,
            gateway=self._opened.gateway,
            since=self._opened.since,
        )
        return await self._context.ports.requests.request(RESUME_PARTICIPANT, command)

    async def _backlog(self, feed: RoomFeed, resumed: Resumed, cursor: Cursor | None, end: Position) -> Backlog | None:
        """What the session missed since its cursor, or None when that is not known; then it gets a snapshot."""
        dropped_at = moment.unix(resumed.dropped_at) if resumed.dropped_at else None
        # If its connection was found gone longer ago, signals that it missed may not be in the log any more.
        if dropped_at is not None and self._context.clock() - dropped_at > self._context.settings.replay_seconds:
            return None
        if cursor is None or not usable(cursor, feed.replica.incarnation, end):
            return None
        return await read_backlog(self._context.ports.room_log, cursor, resumed.participant_id, resumed.snapshot, end)
