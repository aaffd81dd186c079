"""The rules of a room itself: create, update, close; and which rooms a caller may know of or manage. Pure.

The rules of participants are in seats.py, those of time in deadlines.py, the advice by their number in topology.py.
rules.py has all of them in one table.
"""

from pydantic import ValidationError

from services.rooms import access
from services.rooms.decision import Context, Decision, EntryBuilder, Rule
from shared.rooms.commands import Caller, CloseRoom, CreateRoom, UpdateRoom
from shared.rooms.events import Stamp
from shared.rooms.model import Room, RoomSettings, merge_patch
from shared.rooms.roster import Roster
from shared.values import moment
from shared.values.errors import Code, Refused


def open_room(roster: Roster, caller: Caller) -> Room:
    """The room, if it is open and the caller may know of it. Raises Refused."""
    if roster.room is None or not access.may_see(caller, roster.room):
        raise access.not_found()
    if roster.closed is not None:
        raise Refused(Code.ROOM_CLOSED, "the room has been closed")
    return roster.room


def managed_room(roster: Roster, caller: Caller) -> Room:
    """The room, if the caller is its owner or a manager. Raises Refused."""
    room = open_room(roster, caller)
    if not access.may_manage(caller, room):
        raise Refused(Code.FORBIDDEN, "only the owner of the room or a manager may do this")
    return room


def create(roster: Roster, command: CreateRoom, context: Context) -> Decision:
    """Create the room. The same operation again changes nothing; another operation is refused with `room_exists`."""
    if access.CREATE not in command.caller.permissions:
        raise Refused(Code.FORBIDDEN, "your token does not allow creating rooms")
    decision = Decision(Stamp(command.operation))
    if roster.room is None:
        decision.stamp = Stamp(command.operation, guest_network=command.caller.guest_network)
        entry = EntryBuilder(roster, context.now, command.caller.agent_id)
        entry.room = new_room(command, context)
        entry.add("created")
        decision.events = entry.events
    elif roster.origin != command.operation:
        raise Refused(Code.ROOM_EXISTS, "this roomId is taken")
    elif roster.closed is not None:
        raise Refused(Code.ROOM_CLOSED, "the room has been closed")
    return decision


def new_room(command: CreateRoom, context: Context) -> Room:
    """The properties of a new room, before its first event."""
    return Room(
        room_id=command.room_id,
        name=command.name,
        type=command.type,
        max_participants=command.max_participants or context.rules.default_max_participants,
        created_by=command.caller.agent_id,
        created_at=moment.rfc3339(context.now),
        access=command.access,
        settings=command.settings,
    )


def update(roster: Roster, command: UpdateRoom, context: Context) -> Decision:
    """Change the room's properties."""
    before = managed_room(roster, command.caller)
    patch = command.model_dump(include={"name", "type", "max_participants", "access"}, exclude_none=True)
    if command.settings is not None:
        try:
            patch["settings"] = RoomSettings.model_validate(merge_patch(before.settings.wire(), command.settings))
        except ValidationError:
            raise Refused(Code.BAD_MESSAGE, "these settings do not fit together") from None
    after = before.model_copy(update=patch)
    decision = Decision(Stamp(command.operation))
    if after != before and not roster.did(command.operation):
        entry = EntryBuilder(roster, context.now, command.caller.agent_id)
        entry.room = after
        entry.add("updated")
        decision.events = entry.events
    return decision


def close(roster: Roster, command: CloseRoom, context: Context) -> Decision:
    """Close the room. All participants leave it."""
    managed_room(roster, command.caller)
    entry = EntryBuilder(roster, context.now, command.caller.agent_id)
    entry.close([seat.participant for seat in roster.seats.values()], "deleted")
    return Decision(Stamp(command.operation), entry.events)


RULES = (
    Rule(CreateRoom, create, "CreateRoom"),
    Rule(UpdateRoom, update, "UpdateRoom"),
    Rule(CloseRoom, close, "CloseRoom"),
)
