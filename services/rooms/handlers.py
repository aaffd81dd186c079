"""The endpoints of rooms, and how the answer to each is made: one table, one handler."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic

from services.rooms import access
from services.rooms.directory import Directory
from services.rooms.executor import RoomExecutor
from services.rooms.room import managed_room, open_room
from shared.broker import subjects as s
from shared.broker.requests import Handler
from shared.broker.subjects import Endpoint, Reply, Request
from shared.rooms.commands import (
    AddParticipant,
    CheckGrant,
    Done,
    Joined,
    ReadRoom,
    Refusal,
    Resumed,
    ResumeParticipant,
    RoomState,
    Updated,
    UpdateParticipant,
)
from shared.rooms.roster import Roster, Seat, Snapshot
from shared.telemetry.metrics import QUOTA_REFUSALS
from shared.telemetry.tally import OUTCOMES, Tally
from shared.values.errors import Code, Refused

JOINS = Tally("parley_joins_total", "Joins by result.", "result", OUTCOMES)
# Refusing an unknown room takes as long as refusing a forbidden one, so that callers cannot measure which ids exist.
NOT_FOUND_SECONDS = 0.025


@dataclass(frozen=True, slots=True)
class Answered(Generic[Request, Reply]):
    """An endpoint about one room. `answer` makes the answer from the room's roster, and raises Refused.

    With `changes` the request is a command, and the roster is as of its entry or later. Without, the room is only read.
    With `unrevealing` a refusal takes as long whether the room exists or not. `results` counts the outcomes by code.
    """

    endpoint: Endpoint[Request, Reply]
    answer: Callable[[Roster, Request], Reply]
    changes: bool = True
    unrevealing: bool = False
    results: Tally | None = None


class RoomsHandlers:
    """The handlers of all endpoints of rooms."""

    def __init__(self, executor: RoomExecutor, directory: Directory) -> None:
        self._executor = executor
        self._directory = directory

    def endpoints(self) -> list[tuple[Endpoint[Any, Any], Handler]]:
        """Each endpoint with its handler. Two have their own: the list of rooms, and changes that are made together."""
        rows: list[tuple[Endpoint[Any, Any], Handler]] = [
            (s.LIST_ROOMS, self._directory.page),
            (s.UPDATE_PARTICIPANT, self._update),
        ]
        return rows + [(row.endpoint, partial(self._handle, row)) for row in ANSWERED]

    async def _handle(self, row: Answered[Any, Any], request: Any) -> Any:
        async with _unrevealing(row.unrevealing), _counting(row.results):
            if row.changes:
                roster = await self._executor.execute(request)
            else:
                roster = await self._executor.read(request.room_id)
            return row.answer(roster, request)

    async def _update(self, command: UpdateParticipant) -> Updated:
        try:
            _, decision = await self._executor.carry_out(command)
        except Refused as refused:
            if refused.code is Code.RATE_LIMITED:
                QUOTA_REFUSALS.labels("changes", "participant").inc()
            raise
        refusals = [decision.refusals.get(change.operation) for change in command.changes]
        return Updated(refusals=tuple(one and Refusal(code=one.code, message=one.message) for one in refusals))


@asynccontextmanager
async def _unrevealing(wanted: bool) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        yield
    except Refused as refused:
        if wanted and refused.code is Code.ROOM_NOT_FOUND:
            await asyncio.sleep(max(0.0, NOT_FOUND_SECONDS - (loop.time() - started)))
        raise


@asynccontextmanager
async def _counting(results: Tally | None) -> AsyncIterator[None]:
    result = "ok"
    try:
        yield
    except Refused as refused:
        result = refused.code
        raise
    except BaseException:
        results = None  # a bug or a cancelled request is no result
        raise
    finally:
        if results is not None:
            results.labels(result).inc()


def _done(_roster: Roster, _request: object) -> Done:
    return Done()


def _state(roster: Roster, _request: object) -> RoomState:
    if roster.room is None:
        raise ValueError("a room that was just created exists")
    participants = [seat.participant for seat in roster.seats.values()]
    return RoomState(room=roster.room, revision=roster.revision, participants=participants)


def _own_seat(roster: Roster, command: AddParticipant | ResumeParticipant, otherwise: str) -> Seat:
    seat = roster.of_session(command.session)
    if seat is None or seat.gateway != command.gateway:
        raise Refused(Code.BAD_STATE, otherwise)
    return seat


def _joined(roster: Roster, command: AddParticipant) -> Joined:
    seat = _own_seat(roster, command, "this stay has ended; join anew")
    return Joined(participant_id=seat.participant.id, snapshot=roster.snapshot())


def _resumed(roster: Roster, command: ResumeParticipant) -> Resumed:
    seat = _own_seat(roster, command, "the session was resumed elsewhere")
    return Resumed(
        participant_id=seat.participant.id,
        epoch=seat.epoch,
        moved_at=seat.moved_at,
        snapshot=roster.snapshot(),
        dropped_at=seat.dropped_at,
    )


def _read(roster: Roster, query: ReadRoom) -> RoomState:
    open_room(roster, query.caller)
    return _state(roster, query)


def _snapshot(roster: Roster, _query: object) -> Snapshot:
    """The snapshot of a room; a closed room's has no seats."""
    if roster.room is None:
        raise access.not_found()
    return roster.snapshot()


def _grantable(roster: Roster, query: CheckGrant) -> Done:
    """Callers that may join get a token for themselves; owner and managers also for others, or with a role."""
    room = open_room(roster, query.caller)
    if query.agent_id != query.caller.agent_id or query.role != "participant":
        managed_room(roster, query.caller)
    elif not access.may_join(query.caller, room):
        raise Refused(Code.FORBIDDEN, "your token does not allow joining this room")
    return Done()


ANSWERED: tuple[Answered[Any, Any], ...] = (
    Answered(s.CREATE_ROOM, _state),
    Answered(s.ADD_PARTICIPANT, _joined, unrevealing=True, results=JOINS),
    Answered(s.RESUME_PARTICIPANT, _resumed),
    Answered(s.DROP_PARTICIPANT, _done),
    Answered(s.REMOVE_PARTICIPANT, _done),
    Answered(s.UPDATE_ROOM, _state, unrevealing=True),
    Answered(s.CLOSE_ROOM, _done, unrevealing=True),
    Answered(s.READ_ROOM, _read, changes=False, unrevealing=True),
    Answered(s.READ_SNAPSHOT, _snapshot, changes=False, unrevealing=True),
    Answered(s.CHECK_GRANT, _grantable, changes=False, unrevealing=True),
)
