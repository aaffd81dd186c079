"""Who may do what with a room: the table of protocol section 8, and nothing else."""

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
    """Change it, close it, issue join tokens for others."""
    return (
        room.created_by == caller.agent_id
        or MANAGE in caller.permissions
        or f"{MANAGE}:{room.room_id}" in caller.permissions
    )


def may_join(caller: Caller, room: Room, grant: Grant | None = None) -> bool:
    """Take a seat, if there is one. A grant was checked by auth; that it names this room and agent is checked again."""
    if grant is not None and grant.room_id == room.room_id and grant.agent_id == caller.agent_id:
        return True
    if f"{JOIN}:{room.room_id}" in caller.permissions or may_manage(caller, room):
        return True
    return room.access == "open" and JOIN in caller.permissions


def may_see(caller: Caller, room: Room, grant: Grant | None = None) -> bool:
    """Know that it exists, and who is in it."""
    return OBSERVE in caller.permissions or may_join(caller, room, grant)


def may_list(caller: Caller, room: Room) -> bool:
    """Find it in the list of rooms."""
    return LIST in caller.permissions or may_join(caller, room)


def check_return(caller: Caller, room: Room, participant: Participant) -> None:
    """Raises Refused when somebody who has a seat may not come back to it. The one place where that is asked.

    The token was validated, and the seat is the session's: today nothing else forbids it. Whatever later may (a token
    revoked, somebody kicked or banned) is refused here.
    """
    if participant.agent_id != caller.agent_id:
        raise Refused(Code.FORBIDDEN, "the seat is another agent's")


def not_found() -> Refused:
    """One answer for rooms that do not exist and rooms one may not know of."""
    return Refused(Code.ROOM_NOT_FOUND, "there is no such room, or you may not know of it")
