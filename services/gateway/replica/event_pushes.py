"""The push for each type of room event that clients know: one table. Pure."""

from collections.abc import Callable

from shared.rooms.events import Change, RoomEvent
from shared.wire import pushes
from shared.wire.pushes import At, Push


def _joined(at: At, change: Change) -> Push | None:
    return pushes.user_joined(at, change.participant) if change.participant else None


def _updated(at: At, change: Change) -> Push | None:
    return pushes.user_updated(at, change.participant) if change.participant else None


def _left(at: At, change: Change) -> Push | None:
    one = change.participant
    return pushes.user_left(at, one.id, one.agent_id, change.reason) if one else None


PUSHES: dict[str, Callable[[At, Change], Push | None]] = {
    "participant_joined": _joined,
    "participant_updated": _updated,
    "participant_left": _left,
    "updated": lambda at, change: pushes.room_updated(at, change.room),
    "closed": lambda at, change: pushes.room_closed(at, change.reason),
}


def push_of(event: RoomEvent, cursor: str) -> Push | None:
    """The push for an event. None for `created`, when nobody is in the room yet, and for types of newer versions."""
    make = PUSHES.get(event.type)
    if make is None:
        return None
    return make(At(event.room_id, event.change.revision, cursor), event.change)
