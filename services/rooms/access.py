"""Who may do what with a room: the table of protocol section 8."""

from shared.rooms.commands import Caller
from shared.rooms.grant import Grant
from shared.rooms.model import Participant, Room
from shared.values.errors import Code, Refused

CREATE = "rooms:create"
LIST = "rooms:list"
JOIN = "rooms:join"
MANAGE = "rooms:manage"
OBSERVE = "rooms:observe"


def may_manage(caller: Caller, room: Room) -> bool:
    """Whether the caller may change the room, close it, and have join tokens issued for others."""
    return (
        room.created_by == caller.agent_id
        or MANAGE in caller.permissions
        or f"{MANAGE}:{room.room_id}" in caller.permissions
    )


def may_join(caller: Caller, room: Room, grant: Grant | None = None) -> bool:
    """Whether the caller may take a seat. Auth has checked the grant; its room and agent are compared again here."""
    if grant is not None and grant.room_id == room.room_id and grant.agent_id == caller.agent_id:
        return True
    if f"{JOIN}:{room.room_id}" in caller.permissions or may_manage(caller, room):
        return True
    return room.access == "open" and JOIN in caller.permissions


def may_see(caller: Caller, room: Room, grant: Grant | None = None) -> bool:
    """Whether the caller may know that the room exists, and who is in it."""
    return OBSERVE in caller.permissions or may_join(caller, room, grant)


def may_list(caller: Caller, room: Room) -> bool:
    """Whether the caller may find the room in the list of rooms."""
    return LIST in caller.permissions or may_join(caller, room)


def check_return(caller: Caller, room: Room, participant: Participant) -> None:
    """Raises Refused when the caller may not resume the participant's seat. Nothing else decides that.

    Auth has validated the token, and the session has the seat, so only the agent is compared. Later reasons (a revoked
    token, a participant that was kicked or banned) belong here.
    """
    if participant.agent_id != caller.agent_id:
        raise Refused(Code.FORBIDDEN, "the seat is another agent's")


def not_found() -> Refused:
    """The same refusal for a room that does not exist and for one that the caller may not know of."""
    return Refused(Code.ROOM_NOT_FOUND, "there is no such room, or you may not know of it")
