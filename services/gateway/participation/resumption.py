"""Coming back: a session's seats are moved to its new connection, and what it missed is read from the log."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from services.gateway import metrics
from services.gateway.context import Participation, Surroundings
from services.gateway.ice_servers import IceSet
from services.gateway.participation.caller import caller_of
from services.gateway.participation.participations import Participations
from services.gateway.participation.room_users import room_users
from services.gateway.replica.log_reader import read_backlog
from services.gateway.replica.replay import Backlog, usable
from services.gateway.replica.room_feed import RoomFeed
from services.gateway.replica.subscriber import Member, Receiver
from services.gateway.transport.outbox import text_frame
from shared.auth.commands import Identity
from shared.broker.subjects import RESUME_PARTICIPANT
from shared.rooms.commands import Resumed, ResumeParticipant
from shared.rooms.roster import Departure, Snapshot
from shared.values import moment
from shared.values.cursor import Cursor
from shared.values.errors import Code, Refused, unavailable
from shared.values.ids import RoomId, SessionKey, mint
from shared.wire import pushes
from shared.wire.protocol import Address


@dataclass(frozen=True, slots=True)
class Returned:
    """A room the session is in again: all it missed, or a snapshot and all that came after it."""

    stay: Participation
    missed: Backlog
    snapshot: Snapshot | None = None

    @property
    def device_id(self) -> str | None:
        """The session's device, as the room knows it."""
        seat = self.stay.room.replica.seat(self.stay.participant_id)
        return seat.participant.device_id if seat else None

    def frames(self, ice: IceSet) -> Iterator[bytes]:
        """What the client is sent, in order; from the last one on, it hears what is committed."""
        room, member = self.stay.room, self.stay.member
        member.since = self.missed.sequence
        if self.snapshot is not None:
            yield text_frame(room_users(self.snapshot, member.participant_id, None, ice, recovered=False))
        for item in self.missed.items:
            frame = room.frame_of(item)
            if frame is not None:
                metrics.REPLAYED.inc()
                yield frame
        cursor = Cursor(room.replica.incarnation, self.missed.sequence).text()
        resumed = pushes.RoomResumed(room_id=room.room_id, revision=self.missed.revision, cursor=cursor)
        yield text_frame(pushes.encode(resumed))


@dataclass(frozen=True, slots=True)
class Ended:
    """A room the session is no longer in; how that came, if it is still known."""

    room_id: RoomId
    incarnation: str
    departure: Departure | None

    def message(self) -> bytes:
        """What the client is told."""
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
        """Whether the session did not come back in time, or so long ago that nobody knows."""
        return self.departure is None or self.departure.reason == "timeout"


class Resumption:
    """Brings one session back."""

    def __init__(self, around: Surroundings, receiver: Receiver, session: SessionKey, identity: Identity) -> None:
        self._around = around
        self._receiver = receiver
        self._session = session
        self._identity = identity

    async def run(self, cursors: Mapping[RoomId, str], stays: Participations) -> list[Returned | Ended]:
        """All rooms at once; those it is in are added to `stays`. Raises Refused when one of them cannot be asked."""
        stays.ice.ask()
        asked = [self._one(room_id, cursor, stays) for room_id, cursor in cursors.items()]
        results = await asyncio.gather(*asked, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if not isinstance(result, BaseException)]

    async def _one(self, room_id: RoomId, cursor: str, stays: Participations) -> Returned | Ended:
        recalled = await self._around.farewells.recall(self._session, room_id)
        try:
            returned = await self._return(room_id, cursor, stays)
        except BaseException:
            recalled.again()
            raise
        if isinstance(returned, Ended):
            recalled.again()
        return returned

    async def _return(self, room_id: RoomId, cursor: str, stays: Participations) -> Returned | Ended:
        around = self._around
        room = await around.rooms.hold(room_id)
        try:
            resumed = await self._ask(room_id, stays)
        except Refused as refused:
            around.rooms.release(room)
            if refused.code in (Code.NOT_IN_ROOM, Code.FORBIDDEN):
                known = bool(refused.details)
                departure = Departure.model_validate(refused.details) if known else None
                if departure is not None and departure.reason == "left":
                    stays.left.add(room_id)
                return Ended(room_id, around.bus.incarnation, departure)
            raise
        except BaseException:
            around.rooms.release(room)
            raise
        member = Member(resumed.participant_id, self._receiver, resumed.epoch, resumed.moved_at)
        member.seated_at = resumed.snapshot.sequence
        end = room.welcome(member, resumed.snapshot)
        stay = Participation(room, member)
        stays.add(stay)
        await room.reached(resumed.snapshot.sequence)
        missed = await self._missed(room, resumed, Cursor.parse(cursor), end)
        metrics.RESUMES.labels("snapshot" if missed is None else "replay").inc()
        if missed is not None:
            return Returned(stay, missed)
        # Whoever sees it as connected may write to it: what came after the snapshot is not missing either.
        snapshot = resumed.snapshot
        at = Cursor(snapshot.incarnation, snapshot.sequence)
        missed = await read_backlog(around.bus, at, resumed.participant_id, snapshot, end)
        if missed is None:
            raise unavailable("the log")
        return Returned(stay, missed, snapshot)

    async def _ask(self, room_id: RoomId, stays: Participations) -> Resumed:
        around = self._around
        command = ResumeParticipant(
            caller=caller_of(self._identity),
            room_id=room_id,
            operation=mint("r_", around.chance(16)),
            session=self._session,
            gateway=stays.gateway,
            since=stays.since,
        )
        return await around.bus.request(RESUME_PARTICIPANT, command)

    async def _missed(self, room: RoomFeed, resumed: Resumed, cursor: Cursor | None, end: int) -> Backlog | None:
        """All it missed, or None: then it gets the room as it is."""
        dropped_at = moment.unix(resumed.dropped_at) if resumed.dropped_at else None
        if dropped_at is not None and self._around.clock() - dropped_at > self._around.replay_seconds:
            return None
        if cursor is None or not usable(cursor, room.replica.incarnation, end):
            return None
        return await read_backlog(self._around.bus, cursor, resumed.participant_id, resumed.snapshot, end)
