"""The rules of a seat: a session takes it, moves it to another connection, loses its connection, or gives it up. Pure."""

from typing import Any

from services.rooms import access, deadlines
from services.rooms.decision import Context, Decision, EntryBuilder, Rule, Rules
from services.rooms.room import new_room
from shared.rooms.commands import (
    AddParticipant,
    Caller,
    CreateRoom,
    DropParticipant,
    RemoveParticipant,
    ResumeParticipant,
    UpdateParticipant,
)
from shared.rooms.events import Stamp
from shared.rooms.model import Participant, Role, Room, json_bytes, merge_patch
from shared.rooms.roster import GRANT_MEMORY, Roster, Seat
from shared.values import moment, names
from shared.values.errors import Code, Refused
from shared.values.position import NOWHERE, Position


def join(roster: Roster, command: AddParticipant, context: Context) -> Decision:
    """Take a seat in the room. If there is no room and the settings allow it, this creates it."""
    room = _room_to_join(roster, command, context)
    seat = roster.of_session(command.session)
    if seat is not None:  # the same join again, or a join on another connection of the session
        # The client has had no answer to any of its joins, so it has received nothing since the first one.
        return _move(roster, seat, command.participant_id, command, context, unheard_from=seat.unheard_from)
    grant = command.grant
    stamp = Stamp(
        operation=command.participant_id,
        participant=command.participant_id,
        session=command.session,
        gateway=command.gateway,
        epoch=1,
        since=command.since,
        grant=grant.key if grant else None,
        grant_until=grant.until if grant else 0,
        guest_network=command.caller.guest_network if roster.room is None else None,
    )
    entry = EntryBuilder(roster, context.now, command.caller.agent_id)
    if roster.room is None:
        entry.room = room
        entry.add("created")
    _check_admission(roster, command, room, context.now)
    replaced = roster.of_device(command.caller.agent_id, command.device_id)
    # A device that replaces its own participant needs no further seat, even in a room with more participants than seats.
    if replaced is None and len(roster.seats) >= room.max_participants:
        raise Refused(
            Code.ROOM_FULL,
            f"{room.room_id} holds {room.max_participants} participants",
            details={"maxParticipants": room.max_participants},
        )
    if replaced is not None:
        entry.add("participant_left", replaced.participant, "replaced")
    entry.add("participant_joined", _newcomer(roster, command, room, context))
    return Decision(stamp, entry.events)


def _room_to_join(roster: Roster, command: AddParticipant, context: Context) -> Room:
    """The room, or the one that this join creates. Raises Refused."""
    if roster.room is not None:
        return roster.room
    caller = command.caller
    if not context.rules.creates_on_join or command.grant or not {access.CREATE, access.JOIN} <= caller.permissions:
        raise access.not_found()
    create = CreateRoom(
        caller=caller, operation=command.participant_id, room_id=command.room_id, name=command.room_id, type="video"
    )
    return new_room(create, context)


def _check_admission(roster: Roster, command: AddParticipant, room: Room, now: float) -> None:
    """Raises Refused unless the caller may join now. Does not check whether there is a free seat."""
    grant = command.grant
    if grant is not None and (grant.room_id != command.room_id or grant.agent_id != command.caller.agent_id):
        raise Refused(Code.FORBIDDEN, "the join token is for another room or agent")
    if not access.may_see(command.caller, room, grant):
        raise access.not_found()
    if roster.closed is not None:
        raise Refused(Code.ROOM_CLOSED, "the room has been closed")
    if not access.may_join(command.caller, room, grant):
        raise Refused(Code.FORBIDDEN, "your token does not allow joining this room")
    if grant is not None and grant.key in roster.grants:
        raise Refused(Code.FORBIDDEN, "the join token has been used")
    if grant is not None and len(roster.grants) >= GRANT_MEMORY and roster.used_grants(now) >= GRANT_MEMORY:
        raise Refused(Code.UNAVAILABLE, "too many join tokens were used in this room; try again later")
    if roster.did(command.participant_id):
        raise Refused(Code.BAD_STATE, "this stay has ended; join anew")


def _newcomer(roster: Roster, command: AddParticipant, room: Room, context: Context) -> Participant:
    caller = command.caller
    media = command.media
    if room.settings.mute_on_entry and media.audio.state == "on":
        media = media.model_copy(update={"audio": media.audio.model_copy(update={"state": "muted"})})
    role: Role = command.grant.role if command.grant else "participant"
    if room.created_by == caller.agent_id:
        role = "owner"
    elif role == "owner":  # only the agent that created the room is its owner
        role = "moderator"
    return Participant(
        id=command.participant_id,
        agent_id=caller.agent_id,
        device_id=command.device_id,
        name=checked_name(command.name, context.rules) if command.name else _of_token(caller, context.rules),
        kind=caller.kind,
        role=role,
        order=roster.last_order + 1,
        joined_at=moment.rfc3339(context.now),
        media=media,
        metadata=merged_metadata({}, command.metadata, context.rules),
    )


def _of_token(caller: Caller, rules: Rules) -> str:
    """The name that the caller's token says, which is no reason to refuse anybody."""
    return names.mended(caller.name, caller.agent_id, rules.name_characters)[: rules.name_characters]


def checked_name(name: str, rules: Rules) -> str:
    """The name, if it is not too long. Raises Refused."""
    if len(name) > rules.name_characters:
        raise Refused(Code.TOO_LARGE, f"a name may have {rules.name_characters} characters")
    return name


def merged_metadata(before: dict[str, Any], patch: dict[str, Any], rules: Rules) -> dict[str, Any]:
    """The metadata after a patch (RFC 7396), if it is not too large. Raises Refused."""
    merged = merge_patch(before, patch)
    if json_bytes(merged) > max(rules.metadata_bytes, 2):
        raise Refused(Code.TOO_LARGE, f"metadata may have {rules.metadata_bytes} bytes as JSON")
    return merged


def resume(roster: Roster, command: ResumeParticipant, context: Context) -> Decision:
    """Move the session's seat to another connection.

    Without a seat it is refused; `details` say how the participation ended, if that is known.
    """
    seat = roster.of_session(command.session)
    if seat is None or roster.room is None:
        departure = roster.departed.get(command.session)
        details = departure.wire() if departure is not None else {}
        raise Refused(Code.NOT_IN_ROOM, "you are not in this room", details=details)
    access.check_return(command.caller, roster.room, seat.participant)
    return _move(roster, seat, command.operation, command, context)


def _move(
    roster: Roster,
    seat: Seat,
    operation: str,
    command: AddParticipant | ResumeParticipant,
    context: Context,
    *,
    unheard_from: Position = NOWHERE,
) -> Decision:
    """Give the seat to another connection, with the next epoch. A lower epoch is an older connection.

    `unheard_from` is for a join: its client has no cursor.
    """
    decision = Decision(Stamp(operation))
    if roster.did(operation):
        return decision
    if command.since < seat.since:
        # Retryable: if only the gateway's clock was behind, the client's next connection will be the newer one.
        raise Refused(Code.UNAVAILABLE, "a newer connection has this session; try again")
    decision.stamp = Stamp(
        operation,
        participant=seat.participant.id,
        session=seat.session,
        gateway=command.gateway,
        epoch=seat.epoch + 1,
        since=command.since,
        unheard_from=unheard_from,
    )
    entry = EntryBuilder(roster, context.now, seat.participant.agent_id)
    entry.add("participant_updated", seat.participant.model_copy(update={"connection": "connected"}))
    decision.events = entry.events
    return decision


def drop(roster: Roster, command: DropParticipant, context: Context) -> Decision:
    """Mark the participant as `reconnecting`, and begin the grace time for which its seat is held."""
    seat = roster.of_session(command.session)
    if seat is None or seat.gateway != command.gateway or (command.epoch is not None and command.epoch != seat.epoch):
        raise Refused(Code.NOT_IN_ROOM, "the participant has left, or has moved to another connection")
    if command.since and seat.since > command.since:
        raise Refused(Code.NOT_IN_ROOM, "the session has asked for its seat again")
    decision = Decision(Stamp(f"drop:{seat.participant.id}:{seat.epoch}"))
    if seat.participant.connection == "reconnecting":
        return decision
    entry = EntryBuilder(roster, context.now, seat.participant.agent_id)
    entry.add("participant_updated", seat.participant.model_copy(update={"connection": "reconnecting"}))
    decision.events = entry.events
    decision.timers = [deadlines.grace(command.room_id, seat.participant.id, seat.epoch, context)]
    return decision


def held_seat(roster: Roster, command: RemoveParticipant | UpdateParticipant) -> Seat:
    """The seat that a command is about. Raises Refused when it moved to another connection, or is gone."""
    seat = roster.seats.get(command.participant_id)
    if seat is None or command.epoch < seat.epoch:
        raise Refused(Code.NOT_IN_ROOM, "you are not in this room")
    return seat


def leave(roster: Roster, command: RemoveParticipant, context: Context) -> Decision:
    """Remove the participant from the room."""
    seat = held_seat(roster, command)
    participant = seat.participant
    entry = EntryBuilder(roster, context.now, participant.agent_id)
    entry.add("participant_left", participant, command.reason)
    operation = f"leave:{participant.id}"
    stamp = Stamp(operation, participant=participant.id, epoch=seat.epoch, grant=command.gives_back)
    return Decision(stamp, entry.events)


RULES = (
    Rule(AddParticipant, join, "JoinRoom"),
    Rule(ResumeParticipant, resume, "ResumeParticipant"),
    Rule(DropParticipant, drop, "DropParticipant"),
    Rule(RemoveParticipant, leave, "LeaveRoom"),
)
