"""Which rooms a session is in, and how that ends: the session leaves, is dropped, handed over or fenced."""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from services.gateway.ice_servers import NOT_KNOWN, SessionIce
from services.gateway.participation.participation import Participation
from services.gateway.participation.resumption import Ended, Resumption, Returned, undo_resume
from services.gateway.participation.room_users import room_users
from services.gateway.session.feature import Comeback, OpenedSession, SessionHandle, SessionPart
from shared.auth.commands import Identity
from shared.broker.subjects import REMOVE_PARTICIPANT
from shared.rooms.commands import DropParticipant, RemoveParticipant
from shared.rooms.model import LeaveReason
from shared.values.errors import Code, Refused, unavailable
from shared.values.ids import RoomId

PACED_FRAMES = 64  # frames of a backlog that are sent before waiting until the socket takes more


class Participations(SessionPart):
    """The rooms of one session."""

    def __init__(self, session: SessionHandle, opened: OpenedSession) -> None:
        context = session.context
        self.opened = opened
        self.device_id = opened.device_id
        self.ice = SessionIce(context.ice, opened.agent_id, session.send_frame)
        self._context = context
        self._session = session
        self._rooms: dict[RoomId, Participation] = {}
        self._left: set[RoomId] = set()  # rooms the session left by a request whose answer may have been lost

    def __len__(self) -> int:
        return len(self._rooms)

    def __contains__(self, room_id: RoomId) -> bool:
        return room_id in self._rooms

    def named(self, room_id: RoomId | None) -> Participation:
        """The participation a message is about; without a room id, the only one. Raises Refused."""
        if room_id is not None:
            participation = self._rooms.get(room_id)
        elif len(self._rooms) > 1:
            raise Refused(Code.BAD_MESSAGE, "you are in several rooms: name one")
        else:
            participation = next(iter(self._rooms.values()), None)
        if participation is None:
            raise Refused(Code.NOT_IN_ROOM, "you are not in this room")
        return participation

    # -- while in ------------------------------------------------------------------------------------------------------

    def add(self, participation: Participation) -> None:
        """The session is in this room."""
        self._left.discard(participation.room_id)
        self._rooms[participation.room_id] = participation

    def go_live(self, room_id: RoomId) -> None:
        """The room was sent to the client: send what was committed since, and everything from now on."""
        self._session.allow_for(self._participants())
        participation = self._rooms.get(room_id)
        if participation is None or participation.subscriber.is_live:
            return
        subscriber, feed = participation.subscriber, participation.feed
        if subscriber.overflowed:
            self._session.room_lost(room_id)
            return
        subscriber.go_live()
        # The replica may have taken the participant's leaving before the subscriber was live. It will not come again.
        if not feed.replica.contains(subscriber.seated_at):
            return
        own = subscriber.participant_id
        seat = feed.replica.seat(own)
        # A seat that it has never seen is one of another log: the gateway is yet to find out that its own is gone.
        if feed.replica.is_stranger(own) or (seat is not None and seat.participant.connection == "reconnecting"):
            feed.forget(own)
            self._session.room_lost(room_id)
        elif seat is None:
            feed.forget(own)
            self._session.participation_ended(room_id, None)

    def _participants(self) -> int:
        """The number of participants in all the session's rooms."""
        rosters = (participation.feed.replica.roster for participation in self._rooms.values())
        return sum(len(roster.seats) for roster in rosters if roster is not None)

    async def show(self, participation: Participation, request_id: str | None) -> bytes:
        """`room_users` as of the last push, from the replica. Raises Refused."""
        ice = await self.ice.soon()
        roster = participation.feed.replica.roster
        if roster is None:
            raise unavailable("the room")
        if self._rooms.get(participation.room_id) is not participation:
            raise Refused(Code.NOT_IN_ROOM, "you are not in this room")
        sent = self.ice.sent(participation.room_id, ice)
        return room_users(roster.snapshot(), participation.participant_id, request_id, sent)

    # -- leaving -------------------------------------------------------------------------------------------------------

    async def leave(self, room_id: RoomId | None) -> None:
        """Leave. Nothing of the room reaches the client after the answer. Raises Refused."""
        if room_id in self._left:
            return
        participation = self.named(room_id)
        participation.subscriber.leave()
        try:
            await self._context.ports.requests.request(REMOVE_PARTICIPANT, _removal(participation))
        except Refused as refused:
            participation.subscriber.stay()
            # Raise only if the log has not shown the leaving yet. If it shows it later, the client gets the push.
            if refused.code is not Code.NOT_IN_ROOM and self._rooms.get(participation.room_id) is participation:
                raise
        self.room_left(participation.room_id)

    def leaving(self, room_id: RoomId | None) -> None:
        """The client asked to leave, and closed the connection at once, as a page does: remember that for `dropped`."""
        with contextlib.suppress(Refused):
            self.named(room_id).subscriber.leave()

    # -- the turns of the session's life (SessionPart) -----------------------------------------------------------------

    async def resume(self, cursors: Mapping[RoomId, str], identity: Identity) -> Sequence[Comeback]:
        """See SessionPart. Resumes all rooms at once, and adds those that the session is still in."""
        self.ice.ask()
        resumption = Resumption(self._context, self._session, self.opened, identity, self.add, self._left.add)
        returns = await resumption.run(cursors)
        return [Comeback(isinstance(one, Ended) and one.timed_out, partial(self._tell, one)) for one in returns]

    async def _tell(self, one: Returned | Ended) -> None:
        """Send the backlog of one room, or that the session is no longer in it. A backlog is paced and not counted."""
        if isinstance(one, Ended):
            self._session.send(one.message())
        else:
            await self._give_back(one)

    async def _give_back(self, one: Returned) -> None:
        room_id = one.participation.room_id
        self.device_id = one.device_id or self.device_id
        ice = await self.ice.soon() if one.snapshot is not None else NOT_KNOWN
        for i, frame in enumerate(one.frames(ice)):
            if i % PACED_FRAMES == 0:
                await self._session.flowing()
            self._session.send_frame(frame, counted=False)
        if one.snapshot is None:
            self.ice.resumed(room_id)
        else:
            self.ice.sent(room_id, ice)
        self.go_live(room_id)

    def not_resumed(self, cursors: Mapping[RoomId, str]) -> None:
        """See SessionPart."""
        for room_id in cursors:
            self.room_left(room_id)
            undo_resume(self._context, self.opened, room_id)

    def ended(self, reason: LeaveReason) -> None:
        """The session is over: give all its seats up, in the background."""
        for participation in list(self._rooms.values()):
            self.room_left(participation.room_id)
            self._context.departures.leave(_removal(participation, reason))

    def dropped(self) -> None:
        """Ask rooms, in the background, to hold each seat for the grace time, or to remove it if the client was leaving."""
        for participation in list(self._rooms.values()):
            self.room_left(participation.room_id)
            if participation.subscriber.leaving:
                self._context.departures.leave(_removal(participation))
                continue
            drop = DropParticipant(
                room_id=participation.room_id,
                session=self.opened.key,
                gateway=self.opened.gateway,
                epoch=participation.epoch,
            )
            self._context.departures.drop(drop)

    def handed_over(self, rooms: Collection[RoomId]) -> None:
        """The other connection has the seats in these rooms. Seats in other rooms are dropped."""
        for room_id in rooms:
            self.room_left(room_id)
        self.dropped()

    def fenced(self) -> None:
        """Forget all rooms without telling the service `rooms`: this connection may not speak for the seats any more."""
        for room_id in list(self._rooms):
            self.room_left(room_id)

    def room_left(self, room_id: RoomId) -> None:
        """End the participation in this room, if there is one."""
        participation = self._rooms.pop(room_id, None)
        if participation is not None:
            self.ice.forget(room_id)
            participation.feed.forget(participation.participant_id)
            self._context.feeds.release(participation.feed)

    def beat(self, now: float) -> None:
        """Push new ICE servers when they are due."""
        self.ice.refresh(now)


def _removal(participation: Participation, reason: LeaveReason = "left") -> RemoveParticipant:
    return RemoveParticipant(
        room_id=participation.room_id,
        participant_id=participation.participant_id,
        epoch=participation.epoch,
        reason=reason,
    )
