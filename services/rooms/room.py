"""The rules of a room: a command and the room's state in, events or a refusal out. No I/O, no clock."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from services.rooms import access
from shared import moment
from shared.commands import (
    Caller,
    CloseRoom,
    CreateRoom,
    JoinRoom,
    LeaveRoom,
    UpdateParticipant,
    UpdateRoom,
)
from shared.errors import Code, Refused
from shared.events import Change, EventType, RoomEvent, Stamp
from shared.ids import AgentId
from shared.room import NAME_CHARACTERS, Participant, Role, Room, RoomSettings, json_bytes, merge_patch
from shared.roster import Roster, Seat

Command = CreateRoom | JoinRoom | LeaveRoom | UpdateParticipant | UpdateRoom | CloseRoom


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings leave open."""

    default_max_participants: int = 10
    creates_on_join: bool = False
    metadata_bytes: int = 1024
    name_characters: int = NAME_CHARACTERS


@dataclass(slots=True)
class Decision:
    """What is to be appended, as one entry. Without events the command changes nothing (it was done before)."""

    stamp: Stamp
    events: list[RoomEvent] = field(default_factory=list)


class _Entry:
    """An entry in the making: numbers the revisions and keeps the count of participants right."""

    def __init__(self, roster: Roster, now: float, by: AgentId | None) -> None:
        self.events: list[RoomEvent] = []
        self.room = roster.room
        self._revision = roster.revision
        self._count = len(roster.seats)
        self._time = moment.rfc3339(now)
        self._by = by

    def add(self, type_: EventType, participant: Participant | None = None, reason: str | None = None) -> None:
        if self.room is None:
            raise ValueError("the first event of a room creates it")
        self._count += {"participant_joined": 1, "participant_left": -1}.get(type_, 0)
        self._revision += 1
        self.room = self.room.model_copy(update={"participant_count": self._count})
        change = Change(revision=self._revision, room=self.room, participant=participant, by=self._by, reason=reason)
        self.events.append(RoomEvent(type=type_, time=self._time, change=change))


def decide(roster: Roster, command: Command, now: float, rules: Rules) -> Decision:
    """What a command does to a room. `now` is Unix seconds. Raises Refused."""
    match command:
        case CreateRoom():
            return _create(roster, command, now, rules)
        case JoinRoom():
            return _join(roster, command, now, rules)
        case LeaveRoom():
            return _leave(roster, command, now)
        case UpdateParticipant():
            return _update_participant(roster, command, now, rules)
        case UpdateRoom():
            return _update_room(roster, command, now)
        case CloseRoom():
            return _close(roster, command, now)


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
        entry = _Entry(roster, now, command.caller.agent_id)
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


def _join(roster: Roster, command: JoinRoom, now: float, rules: Rules) -> Decision:
    grant = command.grant
    stamp = Stamp(
        operation=command.participant_id,
        participant=command.participant_id,
        session=command.session,
        gateway=command.gateway,
        epoch=1,
        grant=grant.key if grant else None,
        grant_until=grant.until if grant else 0,
    )
    decision = Decision(stamp)
    entry = _Entry(roster, now, command.caller.agent_id)
    if roster.room is None:
        entry.room = _created_by_joining(command, now, rules)
        entry.add("created")
    elif _has_seat(roster, command):
        return decision
    _check_admission(roster, command, entry.room, now)
    replaced = roster.of_device(command.caller.agent_id, command.device_id)
    # Who replaces itself takes no further seat, even where the room was made smaller than what sits in it.
    if replaced is None and entry.room is not None and len(roster.seats) >= entry.room.max_participants:
        raise Refused(
            Code.ROOM_FULL,
            f"{entry.room.room_id} holds {entry.room.max_participants} participants",
            details={"maxParticipants": entry.room.max_participants},
        )
    if replaced is not None:
        entry.add("participant_left", replaced.participant, "replaced")
    entry.add("participant_joined", _newcomer(roster, command, entry.room, now, rules))
    decision.events = entry.events
    return decision


def _created_by_joining(command: JoinRoom, now: float, rules: Rules) -> Room:
    caller = command.caller
    if not rules.creates_on_join or command.grant or not {access.CREATE, access.JOIN} <= caller.permissions:
        raise access.not_found()
    create = CreateRoom(
        caller=caller, operation=command.participant_id, room_id=command.room_id, name=command.room_id, type="video"
    )
    return _new_room(create, now, rules)


def _has_seat(roster: Roster, command: JoinRoom) -> bool:
    """Whether this session is in already: the same join asked again, or a second one."""
    return roster.of_session(command.session) is not None


def _check_admission(roster: Roster, command: JoinRoom, room: Room | None, now: float) -> None:
    """Raises Refused unless the caller may come in now (whether there is a seat is another question)."""
    grant = command.grant
    if grant is not None and (grant.room_id != command.room_id or grant.agent_id != command.caller.agent_id):
        raise Refused(Code.FORBIDDEN, "the join token is for another room or agent")
    if room is None or not access.may_see(command.caller, room, grant):
        raise access.not_found()
    if roster.closed is not None:
        raise Refused(Code.ROOM_CLOSED, "the room has been closed")
    if not access.may_join(command.caller, room, grant):
        raise Refused(Code.FORBIDDEN, "your token does not allow joining this room")
    if grant is not None and grant.key in roster.grants:
        raise Refused(Code.FORBIDDEN, "the join token has been used")
    if command.participant_id in roster.operations:
        raise Refused(Code.BAD_STATE, "this stay has ended; join anew")
    if command.deadline is not None and now > command.deadline:
        raise Refused(Code.UNAVAILABLE, "the request came too late; try again")


def _newcomer(roster: Roster, command: JoinRoom, room: Room | None, now: float, rules: Rules) -> Participant:
    caller = command.caller
    media = command.media
    if room is not None and room.settings.mute_on_entry and media.audio.state == "on":
        media = media.model_copy(update={"audio": media.audio.model_copy(update={"state": "muted"})})
    role: Role = command.grant.role if command.grant else "participant"
    if room is not None and room.created_by == caller.agent_id:
        role = "owner"
    elif role == "owner":  # it belongs to the creator's agent id; nobody can hand it on
        role = "moderator"
    return Participant(
        id=command.participant_id,
        agent_id=caller.agent_id,
        device_id=command.device_id,
        name=_name(command.name or caller.name, rules),
        kind=caller.kind,
        role=role,
        order=roster.last_order + 1,
        joined_at=moment.rfc3339(now),
        media=media,
        metadata=_metadata({}, command.metadata, rules),
    )


def _name(name: str, rules: Rules) -> str:
    if len(name) > rules.name_characters:
        raise Refused(Code.TOO_LARGE, f"a name may have {rules.name_characters} characters")
    return name


def _metadata(before: dict[str, Any], patch: dict[str, Any], rules: Rules) -> dict[str, Any]:
    merged = merge_patch(before, patch)
    if json_bytes(merged) > max(rules.metadata_bytes, 2):
        raise Refused(Code.TOO_LARGE, f"metadata may have {rules.metadata_bytes} bytes as JSON")
    return merged


def _seat(roster: Roster, command: LeaveRoom | UpdateParticipant) -> Seat:
    """The seat a gateway speaks for, unless the log knows that the participant has moved to another one."""
    seat = roster.seats.get(command.participant_id)
    if seat is None or command.epoch < seat.epoch:
        raise Refused(Code.NOT_IN_ROOM, "you are not in this room")
    return seat


def _leave(roster: Roster, command: LeaveRoom, now: float) -> Decision:
    participant = _seat(roster, command).participant
    entry = _Entry(roster, now, participant.agent_id)
    entry.add("participant_left", participant, command.reason)
    return Decision(Stamp(f"leave:{participant.id}", grant=command.gives_back), entry.events)


def _update_participant(roster: Roster, command: UpdateParticipant, now: float, rules: Rules) -> Decision:
    seat = _seat(roster, command)
    before = seat.participant
    after = before.model_copy(
        update={
            "name": _name(command.name, rules) if command.name else before.name,
            "media": command.media.apply(before.media) if command.media else before.media,
            "metadata": _metadata(before.metadata, command.metadata, rules) if command.metadata else before.metadata,
        }
    )
    decision = Decision(Stamp(command.operation))
    if after != before and command.operation not in roster.operations:
        entry = _Entry(roster, now, before.agent_id)
        entry.add("participant_updated", after)
        decision.events = entry.events
    return decision


def _update_room(roster: Roster, command: UpdateRoom, now: float) -> Decision:
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
        entry = _Entry(roster, now, command.caller.agent_id)
        entry.room = after
        entry.add("updated")
        decision.events = entry.events
    return decision


def _close(roster: Roster, command: CloseRoom, now: float) -> Decision:
    managed_room(roster, command.caller)
    entry = _Entry(roster, now, command.caller.agent_id)
    for seat in roster.seats.values():
        entry.add("participant_left", seat.participant, "room_closed")
    entry.add("closed", reason="deleted")
    return Decision(Stamp(command.operation), entry.events)
