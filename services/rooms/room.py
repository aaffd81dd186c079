"""The rules of a room: a command, or a timer that is due, and the room's state in; events or a refusal out.

No I/O, no clock. What happens to a participant is in seats.py, what time does in deadlines.py, what follows from how many
there are in topology.py.
"""

from pydantic import ValidationError

from services.rooms import access, deadlines, seats, topology
from services.rooms.deadlines import GatewayLost
from services.rooms.decision import Decision, EntryBuilder, Rules
from shared.rooms.commands import (
    AddParticipant,
    Caller,
    CloseRoom,
    Command,
    CreateRoom,
    DropParticipant,
    RemoveParticipant,
    ResumeParticipant,
    UpdateParticipant,
    UpdateRoom,
)
from shared.rooms.events import Stamp
from shared.rooms.model import Room, RoomSettings, merge_patch
from shared.rooms.roster import Roster
from shared.rooms.timers import GraceEnds, LogKept, RoomEmpty, RoomEnds, Timer
from shared.values import moment
from shared.values.errors import Code, Refused

RoomInput = (
    CreateRoom
    | AddParticipant
    | ResumeParticipant
    | DropParticipant
    | RemoveParticipant
    | UpdateParticipant
    | UpdateRoom
    | CloseRoom
    | GatewayLost
    | GraceEnds
    | RoomEnds
    | RoomEmpty
)


def decide(roster: Roster, command: RoomInput, now: float, rules: Rules) -> Decision:
    """What a command does to a room. `now` is Unix seconds. Raises Refused."""
    decision = _decide(roster, command, now, rules)
    deadline = command.deadline if isinstance(command, Command) else None
    if decision.events and deadline is not None and now > deadline:
        raise Refused(Code.UNAVAILABLE, "the request came too late; try again")
    decision.timers += _timers(roster, decision, now, rules)
    decision.events += topology.advice(decision.events, rules)
    return decision


def _decide(roster: Roster, command: RoomInput, now: float, rules: Rules) -> Decision:
    match command:
        case CreateRoom():
            return _create(roster, command, now, rules)
        case AddParticipant():
            return seats.join(roster, command, _room_to_join(roster, command, now, rules), now, rules)
        case ResumeParticipant():
            return seats.resume(roster, command, now)
        case DropParticipant():
            return seats.drop(roster, command, now, rules)
        case RemoveParticipant():
            return seats.leave(roster, command, now)
        case UpdateParticipant():
            return seats.update(roster, command, now, rules)
        case UpdateRoom():
            return _update(roster, command, now)
        case CloseRoom():
            return _close(roster, command, now)
        case GatewayLost():
            return deadlines.gateway_lost(roster, command, now, rules)
        case GraceEnds():
            return deadlines.grace_ends(roster, command, now, rules)
        case RoomEnds():
            return deadlines.room_ends(roster, command, now)
        case RoomEmpty():
            return deadlines.room_empty(roster, command, now, rules)


def _timers(roster: Roster, decision: Decision, now: float, rules: Rules) -> list[Timer]:
    """The clocks that a change of the room itself starts, or starts anew."""
    if not decision.events:
        return []
    room = decision.events[-1].change.room
    types = {event.type for event in decision.events}
    timers: list[Timer] = []
    if "closed" in types:
        if rules.closed_log_seconds:
            timers.append(LogKept(due=now + rules.closed_log_seconds, room_id=room.room_id))
        return timers
    if types & {"created", "participant_left"} and not room.participant_count and rules.empty_room_seconds:
        timers.append(RoomEmpty(due=now + rules.empty_room_seconds, room_id=room.room_id))
    joined_first = roster.started_at is None and "participant_joined" in types
    if joined_first or ("updated" in types and roster.started_at is not None):
        started = moment.unix(roster.started_at) if roster.started_at else now
        if (end := deadlines.end_of(room, started)) is not None:
            timers.append(RoomEnds(due=end, room_id=room.room_id))
    return timers


def open_room(roster: Roster, caller: Caller) -> Room:
    """The room, if it is there, open, and the caller may know of it."""
    if roster.room is None or not access.may_see(caller, roster.room):
        raise access.not_found()
    if roster.closed is not None:
        raise Refused(Code.ROOM_CLOSED, "the room has been closed")
    return roster.room


def managed_room(roster: Roster, caller: Caller) -> Room:
    """The room, if the caller is its owner or a manager."""
    room = open_room(roster, caller)
    if not access.may_manage(caller, room):
        raise Refused(Code.FORBIDDEN, "only the owner of the room or a manager may do this")
    return room


def _create(roster: Roster, command: CreateRoom, now: float, rules: Rules) -> Decision:
    if access.CREATE not in command.caller.permissions:
        raise Refused(Code.FORBIDDEN, "your token does not allow creating rooms")
    decision = Decision(Stamp(command.operation))
    if roster.room is None:
        entry = EntryBuilder(roster, now, command.caller.agent_id)
        entry.room = _new_room(command, now, rules)
        entry.add("created")
        decision.events = entry.events
    elif roster.origin != command.operation:
        raise Refused(Code.ROOM_EXISTS, "this roomId is taken")
    elif roster.closed is not None:
        raise Refused(Code.ROOM_CLOSED, "the room has been closed")
    return decision


def _new_room(command: CreateRoom, now: float, rules: Rules) -> Room:
    return Room(
        room_id=command.room_id,
        name=command.name,
        type=command.type,
        max_participants=command.max_participants or rules.default_max_participants,
        created_by=command.caller.agent_id,
        created_at=moment.rfc3339(now),
        access=command.access,
        settings=command.settings,
    )


def _room_to_join(roster: Roster, command: AddParticipant, now: float, rules: Rules) -> Room:
    """The room, or the one that this join creates on its way."""
    if roster.room is not None:
        return roster.room
    caller = command.caller
    if not rules.creates_on_join or command.grant or not {access.CREATE, access.JOIN} <= caller.permissions:
        raise access.not_found()
    create = CreateRoom(
        caller=caller, operation=command.participant_id, room_id=command.room_id, name=command.room_id, type="video"
    )
    return _new_room(create, now, rules)


def _update(roster: Roster, command: UpdateRoom, now: float) -> Decision:
    before = managed_room(roster, command.caller)
    patch = command.model_dump(include={"name", "type", "max_participants", "access"}, exclude_none=True)
    if command.settings is not None:
        try:
            patch["settings"] = RoomSettings.model_validate(merge_patch(before.settings.wire(), command.settings))
        except ValidationError:
            raise Refused(Code.BAD_MESSAGE, "these settings do not fit together") from None
    after = before.model_copy(update=patch)
    decision = Decision(Stamp(command.operation))
    if after != before and command.operation not in roster.operations:
        entry = EntryBuilder(roster, now, command.caller.agent_id)
        entry.room = after
        entry.add("updated")
        decision.events = entry.events
    return decision


def _close(roster: Roster, command: CloseRoom, now: float) -> Decision:
    managed_room(roster, command.caller)
    entry = EntryBuilder(roster, now, command.caller.agent_id)
    entry.close([seat.participant for seat in roster.seats.values()], "deleted")
    return Decision(Stamp(command.operation), entry.events)
