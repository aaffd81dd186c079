"""The stays of one session: joining, leaving, saying something of oneself. What rooms decides, clients are told."""

import asyncio
import contextlib
from collections.abc import Collection, Iterable

from services.gateway.context import Participation, Surroundings
from services.gateway.ice_servers import SessionIce
from services.gateway.participation.caller import caller_of
from services.gateway.participation.room_users import room_users
from services.gateway.replica.log_reader import read_backlog, read_undelivered
from services.gateway.replica.replica import Delivery, Push
from services.gateway.replica.room_feed import RoomFeed
from services.gateway.replica.subscriber import Member, Receiver
from shared.auth.commands import CheckJoinToken, Identity
from shared.broker.subjects import CHECK_JOIN_TOKEN, JOIN_ROOM, LEAVE_ROOM, UPDATE_PARTICIPANT
from shared.rooms.commands import AddParticipant, DropParticipant, Joined, RemoveParticipant, UpdateParticipant
from shared.rooms.grant import Grant
from shared.rooms.model import LeaveReason, Media
from shared.rooms.roster import Snapshot
from shared.values.cursor import Cursor
from shared.values.errors import Code, Refused, unavailable
from shared.values.ids import AgentId, ParticipantId, RoomId, SessionKey, mint
from shared.wire import protocol


class Participations:
    """Which rooms a session is in."""

    def __init__(
        self,
        around: Surroundings,
        receiver: Receiver,
        session: SessionKey,
        agent_id: AgentId,
        device_id: str,
        since: float,
    ) -> None:
        self._around = around
        self._receiver = receiver
        self._session = session
        self.device_id = device_id
        self.since = since  # when this connection began
        self.gateway = around.lease.gateway  # a connection does not outlive the lease it began under
        self._stays: dict[RoomId, Participation] = {}
        self.ice = SessionIce(around.ice, agent_id, receiver.send_frame)
        self.left: set[RoomId] = set()  # by a request of this session whose answer may have got lost

    def __len__(self) -> int:
        return len(self._stays)

    @property
    def participants(self) -> int:
        """How many are in these rooms altogether."""
        return sum(len(stay.room.replica.roster.seats) for stay in self._stays.values() if stay.room.replica.roster)

    def named(self, room_id: RoomId | None) -> Participation:
        """The stay a message is about; without a room id, the only one. Raises Refused."""
        if room_id is not None:
            stay = self._stays.get(room_id)
        elif len(self._stays) > 1:
            raise Refused(Code.BAD_MESSAGE, "you are in several rooms: name one")
        else:
            stay = next(iter(self._stays.values()), None)
        if stay is None:
            raise Refused(Code.NOT_IN_ROOM, "you are not in this room")
        return stay

    # -- joining -------------------------------------------------------------------------------------------------------

    async def join(self, message: protocol.JoinRoom, identity: Identity) -> bytes:
        """Follow, ask, show the room as of the join, release what came after (design: subscribe, append, read)."""
        room_id = message.room_id
        if room_id in self._stays:
            return await self.show(self._stays[room_id], message.id)
        if len(self._stays) >= self._around.rooms_per_session:
            raise Refused(Code.BAD_STATE, f"a session may be in {self._around.rooms_per_session} rooms at once")
        grant = await self._grant(message, identity)
        recalled = await self._around.farewells.recall(self._session, room_id)
        try:
            return await self._join(message, identity, grant)
        except BaseException:
            recalled.again()
            raise

    async def _join(self, message: protocol.JoinRoom, identity: Identity, grant: Grant | None) -> bytes:
        room_id = message.room_id
        self.ice.ask()
        room = await self._around.rooms.hold(room_id)
        participant_id = ParticipantId(mint("p_", self._around.chance(16)))
        member = Member(participant_id, self._receiver)
        room.expect(member)
        try:
            joined = await self._ask(message, identity, participant_id, grant)
        except BaseException:
            room.members.pop(participant_id, None)
            self._around.rooms.release(room)
            raise
        stay, end = self._enter(room, member, joined)
        try:
            await self._catch_up(stay, joined.snapshot, end)
        except Refused:
            self.ended(room_id)
            self._undo(stay.room_id, joined.participant_id, grant, self._now())
            raise
        ice = self.ice.tells(room_id, await self.ice.soon())
        return room_users(joined.snapshot, stay.participant_id, message.id, ice, signals_from=stay.member.unheard_from)

    async def _grant(self, message: protocol.JoinRoom, identity: Identity) -> Grant | None:
        if message.token is None:
            return None
        check = CheckJoinToken(token=message.token, room_id=message.room_id, agent_id=identity.agent_id)
        return await self._around.bus.request(CHECK_JOIN_TOKEN, check)

    async def _ask(
        self, message: protocol.JoinRoom, identity: Identity, participant_id: ParticipantId, grant: Grant | None
    ) -> Joined:
        around, asked_at = self._around, self._now()
        command = AddParticipant(
            caller=caller_of(identity),
            room_id=message.room_id,
            participant_id=participant_id,
            session=self._session,
            gateway=self.gateway,
            device_id=self.device_id,
            since=asked_at,
            name=message.name,
            metadata=message.metadata or {},
            media=message.media.apply(Media()) if message.media else Media(),
            grant=grant,
        )
        try:
            return await around.bus.request(JOIN_ROOM, command)
        except (Refused, asyncio.CancelledError) as error:
            if not isinstance(error, Refused) or error.code is Code.UNAVAILABLE:
                self._undo(message.room_id, participant_id, grant, asked_at)
            raise

    def _now(self) -> float:
        return round(self._around.clock(), 3)  # as the log has it

    def _undo(self, room_id: RoomId, participant_id: ParticipantId, grant: Grant | None, asked_at: float) -> None:
        """It may have happened, or happen yet: undo it, unless the client asks again (the seat is the session's)."""
        leave = RemoveParticipant(
            room_id=room_id, participant_id=participant_id, epoch=1, gives_back=grant.key if grant else None
        )
        drop = DropParticipant(room_id=room_id, session=self._session, gateway=self.gateway, since=asked_at)
        self._around.farewells.undo(self._session, room_id, [leave, drop])

    def _enter(self, room: RoomFeed, member: Member, joined: Joined) -> tuple[Participation, int]:
        """The stay, and up to which position what came after the snapshot was not kept for it."""
        snapshot = joined.snapshot
        if joined.participant_id == member.participant_id:
            member.since = snapshot.sequence
            room.joined(snapshot)
            # The replica may have begun with somebody else's, later snapshot.
            end = max(snapshot.sequence, room.replica.started_at)
        else:  # the session had a seat already
            room.members.pop(member.participant_id, None)
            seat = next(seat for seat in snapshot.seats if seat.participant.id == joined.participant_id)
            member = Member(joined.participant_id, self._receiver, seat.epoch, seat.moved_at)
            end = room.welcome(member, snapshot)
            member.since = snapshot.sequence
        member.seated_at = snapshot.sequence
        stay = Participation(room, member)
        self.add(stay)
        return stay, end

    async def _catch_up(self, stay: Participation, snapshot: Snapshot, end: int) -> None:
        """Until nothing between the snapshot and what is live is missing. Raises Refused when that cannot be had."""
        room, bus = stay.room, self._around.bus
        # Whom the snapshot shows can be written to: the replica must know them as well.
        await room.reached(snapshot.sequence)
        items: list[Push | Delivery] = []
        if stay.member.moved_at:
            own = next(seat for seat in snapshot.seats if seat.participant.id == stay.participant_id)
            stay.member.unheard_from = own.unheard_from
            items += await read_undelivered(bus, own, snapshot)
        if end > snapshot.sequence:
            at = Cursor(snapshot.incarnation, snapshot.sequence)
            missed = await read_backlog(bus, at, stay.participant_id, snapshot, end)
            if missed is None:
                raise unavailable("the room")
            items += missed.items
        stay.member.catch_up(end, [frame for item in items if (frame := room.frame_of(item)) is not None])

    def add(self, stay: Participation) -> None:
        """The session is in this room."""
        self.left.discard(stay.room_id)
        self._stays[stay.room_id] = stay

    def settle(self, room_id: RoomId) -> None:
        """The answer to a join is on its way to the client: what was committed since may follow it."""
        stay = self._stays.get(room_id)
        if stay is None or stay.member.joined:
            return
        replica = stay.room.replica
        if stay.member.overflowed():
            self._receiver.room_lost(room_id)
            return
        stay.member.release()
        # What ended the stay may have been taken while nobody was told yet; it is not taken again.
        if replica.contains(stay.member.seated_at) and replica.seat(stay.participant_id) is None:
            stay.room.members.pop(stay.participant_id, None)
            self._receiver.stay_ended(room_id, None)

    # -- while in ------------------------------------------------------------------------------------------------------

    async def show(self, stay: Participation, request_id: str | None) -> bytes:
        """`room_users` anew, as of the last push: the replica is what the client was told."""
        ice = await self.ice.soon()
        roster = stay.room.replica.roster
        if roster is None:
            raise unavailable("the room")
        if self._stays.get(stay.room_id) is not stay:
            raise Refused(Code.NOT_IN_ROOM, "you are not in this room")
        return room_users(roster.snapshot(), stay.participant_id, request_id, self.ice.tells(stay.room_id, ice))

    async def update(self, message: protocol.UpdateSelf, identity: Identity, operation: str) -> None:
        """Change what the participant says of itself. `name: null` goes back to the token's name."""
        stay = self.named(message.room_id)
        named = "name" in message.model_fields_set
        command = UpdateParticipant(
            room_id=stay.room_id,
            participant_id=stay.participant_id,
            operation=operation,
            epoch=stay.epoch,
            asked_at=self._now(),
            name=(message.name or identity.name) if named else None,
            metadata=message.metadata,
            media=message.media,
        )
        await self._around.bus.request(UPDATE_PARTICIPANT, command)

    # -- leaving -------------------------------------------------------------------------------------------------------

    async def leave(self, room_id: RoomId | None) -> None:
        """Leave. Nothing of the room reaches the client after the answer."""
        if room_id in self.left:
            return
        stay = self.named(room_id)
        leave = RemoveParticipant(room_id=stay.room_id, participant_id=stay.participant_id, epoch=stay.epoch)
        stay.member.leaving = True
        try:
            await self._around.bus.request(LEAVE_ROOM, leave)
        except Refused as refused:
            stay.member.leaving = False
            # Without an answer, the log may have told that it happened; if it tells so later, the client hears of it.
            if refused.code is not Code.NOT_IN_ROOM and self._stays.get(stay.room_id) is stay:
                raise
        self.ended(stay.room_id)

    def ended(self, room_id: RoomId) -> None:
        """The stay, if there is one, is over."""
        stay = self._stays.pop(room_id, None)
        if stay is not None:
            self.ice.forget(room_id)
            stay.room.members.pop(stay.participant_id, None)
            self._around.rooms.release(stay.room)

    def leave_all(self, reason: LeaveReason) -> None:
        """The session is over: every seat is given up, in the background."""
        for stay in list(self._stays.values()):
            self.ended(stay.room_id)
            self._around.farewells.leave(
                RemoveParticipant(
                    room_id=stay.room_id, participant_id=stay.participant_id, epoch=stay.epoch, reason=reason
                )
            )

    def leaving(self, rooms: Iterable[RoomId | None]) -> None:
        """The client asked to leave these rooms, and was gone before that was done: a page that was closed."""
        for room_id in rooms:
            with contextlib.suppress(Refused):
                self.named(room_id).member.leaving = True

    def drop_all(self) -> None:
        """The connection is gone: every seat is held for the grace time, unless it was being left; told in the background."""
        for stay in list(self._stays.values()):
            self.ended(stay.room_id)
            if stay.member.leaving:
                self._around.farewells.leave(
                    RemoveParticipant(room_id=stay.room_id, participant_id=stay.participant_id, epoch=stay.epoch)
                )
                continue
            self._around.farewells.drop(
                DropParticipant(room_id=stay.room_id, session=self._session, gateway=self.gateway, epoch=stay.epoch)
            )

    def undo(self, rooms: Iterable[RoomId]) -> None:
        """The session did not come back to these rooms after all, whatever became of its asking."""
        for room_id in rooms:
            self.ended(room_id)
            drop = DropParticipant(room_id=room_id, session=self._session, gateway=self.gateway, since=self.since)
            self._around.farewells.undo(self._session, room_id, [drop])

    def let_go(self, rooms: Collection[RoomId] | None = None) -> None:
        """The seats in these rooms (else: all) are no longer this connection's to speak for."""
        for room_id in list(self._stays if rooms is None else rooms):
            self.ended(room_id)
