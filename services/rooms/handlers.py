"""The endpoints of rooms: what gateways ask, and what they are answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import Counter

from services.rooms import access
from services.rooms.directory import Directory
from services.rooms.executor import RoomExecutor
from services.rooms.room import managed_room, open_room
from shared.broker import subjects as s
from shared.broker.bus import Handler
from shared.broker.subjects import Endpoint
from shared.rooms.commands import (
    AddParticipant,
    CheckGrant,
    CloseRoom,
    CreateRoom,
    Done,
    DropParticipant,
    Joined,
    ListRooms,
    ReadRoom,
    ReadSnapshot,
    RemoveParticipant,
    Resumed,
    ResumeParticipant,
    RoomList,
    RoomState,
    UpdateParticipant,
    UpdateRoom,
)
from shared.rooms.roster import Roster, Snapshot
from shared.values.errors import Code, Refused

JOINS = Counter("parley_joins_total", "Joins by result.", ["result"])
# Unknown and forbidden rooms take the same time to refuse: nobody learns by the clock which ids exist.
NOT_FOUND_SECONDS = 0.025


@asynccontextmanager
async def _unrevealing() -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        yield
    except Refused as refused:
        if refused.code is Code.ROOM_NOT_FOUND:
            await asyncio.sleep(max(0.0, NOT_FOUND_SECONDS - (loop.time() - started)))
        raise


class RoomsHandlers:
    """What rooms answers."""

    def __init__(self, executor: RoomExecutor, directory: Directory) -> None:
        self._executor = executor
        self._directory = directory

    async def create(self, command: CreateRoom) -> RoomState:
        """See CreateRoom."""
        return _state(await self._executor.execute(command.room_id, command))

    @_unrevealing()
    async def join(self, command: AddParticipant) -> Joined:
        """See AddParticipant. The answer is the room as of the join's entry, or later."""
        try:
            roster = await self._executor.execute(command.room_id, command)
        except Refused as refused:
            JOINS.labels(refused.code).inc()
            raise
        seat = roster.of_session(command.session)
        if seat is None or seat.gateway != command.gateway:
            raise Refused(Code.BAD_STATE, "this stay has ended; join anew")
        JOINS.labels("ok").inc()
        return Joined(participant_id=seat.participant.id, snapshot=roster.snapshot())

    async def resume(self, command: ResumeParticipant) -> Resumed:
        """See ResumeParticipant. The answer is the room as of the resume's entry, or later."""
        roster = await self._executor.execute(command.room_id, command)
        seat = roster.of_session(command.session)
        if seat is None or seat.gateway != command.gateway:
            raise Refused(Code.BAD_STATE, "the session was resumed elsewhere")
        return Resumed(
            participant_id=seat.participant.id,
            epoch=seat.epoch,
            moved_at=seat.moved_at,
            snapshot=roster.snapshot(),
            dropped_at=seat.dropped_at,
        )

    async def drop(self, command: DropParticipant) -> Done:
        """See DropParticipant."""
        await self._executor.execute(command.room_id, command)
        return Done()

    async def leave(self, command: RemoveParticipant) -> Done:
        """See RemoveParticipant."""
        await self._executor.execute(command.room_id, command)
        return Done()

    async def update_participant(self, command: UpdateParticipant) -> Done:
        """See UpdateParticipant."""
        await self._executor.execute(command.room_id, command)
        return Done()

    @_unrevealing()
    async def update(self, command: UpdateRoom) -> RoomState:
        """See UpdateRoom."""
        return _state(await self._executor.execute(command.room_id, command))

    @_unrevealing()
    async def close(self, command: CloseRoom) -> Done:
        """See CloseRoom."""
        await self._executor.execute(command.room_id, command)
        return Done()

    @_unrevealing()
    async def read(self, query: ReadRoom) -> RoomState:
        """See ReadRoom."""
        roster = await self._executor.read(query.room_id)
        open_room(roster, query.caller)
        return _state(roster)

    @_unrevealing()
    async def snapshot(self, query: ReadSnapshot) -> Snapshot:
        """See ReadSnapshot. Of a closed room it is empty."""
        roster = await self._executor.read(query.room_id)
        if roster.room is None:
            raise access.not_found()
        return roster.snapshot()

    async def list_rooms(self, query: ListRooms) -> RoomList:
        """See ListRooms."""
        return await self._directory.page(query)

    @_unrevealing()
    async def check_grant(self, query: CheckGrant) -> Done:
        """See CheckGrant: for oneself whoever may join; for others, or with a role, owner and managers."""
        roster = await self._executor.read(query.room_id)
        room = open_room(roster, query.caller)
        if query.agent_id != query.caller.agent_id or query.role != "participant":
            managed_room(roster, query.caller)
        elif not access.may_join(query.caller, room):
            raise Refused(Code.FORBIDDEN, "your token does not allow joining this room")
        return Done()

    def endpoints(self) -> list[tuple[Endpoint[Any, Any], Handler]]:
        """Which subject each is asked on."""
        return [
            (s.CREATE_ROOM, self.create),
            (s.ADD_PARTICIPANT, self.join),
            (s.RESUME_PARTICIPANT, self.resume),
            (s.DROP_PARTICIPANT, self.drop),
            (s.REMOVE_PARTICIPANT, self.leave),
            (s.UPDATE_PARTICIPANT, self.update_participant),
            (s.UPDATE_ROOM, self.update),
            (s.CLOSE_ROOM, self.close),
            (s.READ_ROOM, self.read),
            (s.READ_SNAPSHOT, self.snapshot),
            (s.LIST_ROOMS, self.list_rooms),
            (s.CHECK_GRANT, self.check_grant),
        ]


def _state(roster: Roster) -> RoomState:
    if roster.room is None:
        raise ValueError("a room that was just created exists")
    participants = [seat.participant for seat in roster.seats.values()]
    return RoomState(room=roster.room, revision=roster.revision, participants=participants)
