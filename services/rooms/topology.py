"""The room's advice to its calls, by the number of participants: `mesh` or `sfu_advised`. Pure.

In a full mesh every participant sends its media to all others. Above a number of participants (a setting) the room
advises a selective forwarding unit.
"""

from services.rooms.decision import Context, Decision, Rules
from shared.rooms.events import Change, RoomEvent
from shared.rooms.model import Topology
from shared.rooms.roster import Roster


def advised(participants: int, rules: Rules) -> Topology:
    """The topology that suits this number of participants."""
    return "mesh" if participants <= rules.mesh_participants else "sfu_advised"


def advise(_roster: Roster, decision: Decision, context: Context) -> None:
    """Add an `updated` event to a decision in which participants join or leave, if that changes the advice.

    No caller asked for the event, so it has no `by`.
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
