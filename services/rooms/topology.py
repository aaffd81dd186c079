"""What is advised to the calls of a room by how many are in it. Pure.

In a full mesh everyone sends everything to everyone, so each participant costs all the others. Above a number of them
(a setting) the room says that a selective forwarding unit would be better, and below it again that it need not be.
"""

from services.rooms.decision import Context, Decision, Rules
from shared.rooms.events import Change, RoomEvent
from shared.rooms.model import Topology
from shared.rooms.roster import Roster


def advised(participants: int, rules: Rules) -> Topology:
    """What suits so many participants."""
    return "mesh" if participants <= rules.mesh_participants else "sfu_advised"


def advise(_roster: Roster, decision: Decision, context: Context) -> None:
    """Add the event that belongs behind those of an entry in which somebody came or went, if the advice changes by them.

    Nobody asked for it, so it has no `by`.
    """
    types = {event.type for event in decision.events}
    if "closed" in types or not types & {"participant_joined", "participant_left"}:
        return
    last = decision.events[-1]
    room = last.change.room
    topology = advised(room.participant_count, context.rules)
    if topology != room.topology:
        changed = room.model_copy(update={"topology": topology})
        change = Change(revision=last.change.revision + 1, room=changed)
        decision.events.append(RoomEvent(type="updated", time=last.time, change=change))
