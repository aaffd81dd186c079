"""A join: subscribe, ask rooms, read up to rooms' snapshot (docs/adr/0003). A join without an answer is undone."""

import asyncio

from services.gateway.context import GatewayContext
from services.gateway.participation.caller import caller_of
from services.gateway.participation.messages import JoinRoom
from services.gateway.participation.participation import Participation
from services.gateway.participation.participations import Participations
from services.gateway.participation.room_users import room_users
from services.gateway.replica.log_reader import read_backlog, read_undelivered
from services.gateway.replica.replica import Delivery, Push
from services.gateway.replica.room_feed import RoomFeed
from services.gateway.replica.subscriber import Receiver, Subscriber
from shared.auth.commands import CheckJoinToken, Identity
from shared.broker.subjects import ADD_PARTICIPANT, CHECK_JOIN_TOKEN
from shared.rooms.commands import AddParticipant, DropParticipant, Joined, RemoveParticipant
from shared.rooms.grant import Grant
from shared.rooms.model import Media
from shared.rooms.roster import Snapshot
from shared.values.cursor import Cursor
from shared.values.errors import Code, Refused, unavailable
from shared.values.ids import ParticipantId, RoomId, mint
from shared.values.position import Position


class Joining:
    """Takes one session into one room."""

    def __init__(
        self, context: GatewayContext, receiver: Receiver, rooms: Participations, message: JoinRoom, identity: Identity
    ) -> None:
        self._context = context
        self._receiver = receiver
        self._rooms = rooms
        self._message = message
        self._identity = identity
        self._room_id: RoomId = message.room_id
        self._grant: Grant | None = None

    async def join(self) -> bytes:
        """Join a room that the session is not in. Returns `room_users`; call `Participations.go_live` once it was sent.

        Raises Refused.
        """
        most = self._context.settings.rooms_per_session
        if len(self._rooms) >= most:
            raise Refused(Code.BAD_STATE, f"a session may be in {most} rooms at once")
        self._grant = await self._check_token()
        cancelled = await self._context.departures.cancel(self._rooms.opened.key, self._room_id)
        try:
            return await self._join()
        except BaseException:
            cancelled.reschedule()
            raise

    async def _check_token(self) -> Grant | None:
        if self._message.token is None:
            return None
        agent_id = self._identity.agent_id
        check = CheckJoinToken(token=self._message.token, room_id=self._room_id, agent_id=agent_id)
        return await self._context.ports.requests.request(CHECK_JOIN_TOKEN, check)

    async def _join(self) -> bytes:
        feeds, ice = self._context.feeds, self._rooms.ice
        ice.ask()
        feed = await feeds.hold(self._room_id)
        subscriber = feed.expect(ParticipantId(mint("p_", self._context.chance(16))), self._receiver)
        try:
            joined = await self._ask(subscriber.participant_id)
        except BaseException:
            feed.forget(subscriber.participant_id)
            feeds.release(feed)
            raise
        participation = self._enter(feed, subscriber, joined)
        try:
            undelivered_from = await self._catch_up(participation, joined.snapshot)
        except Refused:
            self._rooms.room_left(self._room_id)
            self._undo(joined.participant_id, self._now())
            raise
        sent = ice.sent(self._room_id, await ice.soon())
        own = participation.participant_id
        return room_users(joined.snapshot, own, self._message.id, sent, signals_from=undelivered_from)

    async def _ask(self, participant_id: ParticipantId) -> Joined:
        message, opened, asked_at = self._message, self._rooms.opened, self._now()
        command = AddParticipant(
            caller=caller_of(self._identity),
            room_id=self._room_id,
            participant_id=participant_id,
            session=opened.key,
            gateway=opened.gateway,
            device_id=self._rooms.device_id,
            since=asked_at,
            name=message.name,
            metadata=message.metadata or {},
            media=message.media.apply(Media()) if message.media else Media(),
            grant=self._grant,
        )
        try:
            return await self._context.ports.requests.request(ADD_PARTICIPANT, command)
        except (Refused, asyncio.CancelledError) as error:
            if not isinstance(error, Refused) or error.code is Code.UNAVAILABLE:
                self._undo(participant_id, asked_at)
            raise

    def _now(self) -> float:
        return round(self._context.clock(), 3)  # as the log has it

    def _undo(self, participant_id: ParticipantId, asked_at: float) -> None:
        """Undo a join that may have happened or may still happen, unless the client asks again.

        `RemoveParticipant` undoes a new seat. `DropParticipant` undoes that the session's older seat came here.
        """
        opened, grant = self._rooms.opened, self._grant
        remove = RemoveParticipant(
            room_id=self._room_id, participant_id=participant_id, epoch=1, gives_back=grant.key if grant else None
        )
        drop = DropParticipant(room_id=self._room_id, session=opened.key, gateway=opened.gateway, since=asked_at)
        self._context.departures.undo(opened.key, self._room_id, [remove, drop])

    def _enter(self, feed: RoomFeed, subscriber: Subscriber, joined: Joined) -> Participation:
        if joined.participant_id != subscriber.participant_id:  # the session had a seat already
            feed.forget(subscriber.participant_id)
            seat = next(seat for seat in joined.snapshot.seats if seat.participant.id == joined.participant_id)
            subscriber = feed.welcome(joined.participant_id, self._receiver, seat.epoch, Position(seat.moved_at))
        participation = Participation(feed, subscriber)
        self._rooms.add(participation)
        return participation

    async def _catch_up(self, participation: Participation, snapshot: Snapshot) -> Position | None:
        """Read what lies between the snapshot and the live entries. Raises Refused when it cannot be read.

        Returns the position above which signals older than the snapshot follow it; None if there can be none.
        """
        feed, subscriber, log = participation.feed, participation.subscriber, self._context.ports.room_log
        # The client may send to every participant in its snapshot, so the replica must know them before it is sent.
        end = await feed.seat(subscriber, snapshot)
        items: list[Push | Delivery] = []
        undelivered_from: Position | None = None
        if subscriber.moved_at:
            own = next(seat for seat in snapshot.seats if seat.participant.id == subscriber.participant_id)
            undelivered_from = Position(own.unheard_from)
            items += await read_undelivered(log, own, snapshot)
        if end > snapshot.sequence:
            at = Cursor(snapshot.incarnation, snapshot.sequence)
            backlog = await read_backlog(log, at, subscriber.participant_id, snapshot, end)
            if backlog is None:
                raise unavailable("the room")
            items += backlog.items
        subscriber.catch_up(end, [frame for item in items if (frame := feed.frame_of(item)) is not None])
        return undelivered_from
