"""What is advised to the calls of a room by how many are in it. Pure.

In a full mesh everyone sends everything to everyone, so each participant costs all the others. Above a number of them
(a setting) the room says that a selective forwarding unit would be better, and below it again that it need not be.
"""

from collections.abc import Sequence

from services.rooms.decision import Rules
from shared.rooms.events import Change, RoomEvent
from shared.rooms.model import Topology


def advised(participants: int, rules: Rules) -> Topology:
    """What suits so many participants."""
    return "mesh" if participants <= rules.mesh_participants else "sfu_advised"


def advice(events: Sequence[RoomEvent], rules: Rules) -> list[RoomEvent]:
    """The event that belongs behind those of an entry in which somebody came or went, if they make the advice another.

    Nobody asked for it, so it has no `by`.
    """
    types = {event.type for event in events}
    if "closed" in types or not types & {"participant_joined", "participant_left"}:
        return []
    last = events[-1]
    room = last.change.room
    topology = advised(room.participant_count, rules)
    if topology == room.topology:
        return []
    changed = room.model_copy(update={"topology": topology})
    change = Change(revision=last.change.revision + 1, room=changed)
    return [RoomEvent(type="updated", time=last.time, change=change)]
