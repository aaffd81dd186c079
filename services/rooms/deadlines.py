"""What time does to a room: gateways that are lost, grace that ends, rooms that end or stay empty. Pure.

Each looks at the room as it is now. A timer that comes too early, too late or twice finds nothing to do.
"""

from dataclasses import dataclass

from services.rooms.decision import Decision, EntryBuilder, Rules
from shared.rooms.events import Stamp
from shared.rooms.model import Room
from shared.rooms.roster import Roster
from shared.rooms.timers import GraceEnds, RoomEmpty, RoomEnds
from shared.values import moment
from shared.values.ids import GatewayId, ParticipantId, RoomId

LATE_SECONDS = 5.0  # a grace that ends this much after its time did so because broker or rooms were away
EARLY_SECONDS = 1.0  # clocks of broker and rooms may differ by so much


@dataclass(frozen=True, slots=True)
class GatewayLost:
    """Whoever sits in this room by way of this gateway has no connection any more."""

    room_id: RoomId
    gateway: GatewayId


def gateway_lost(roster: Roster, lost: GatewayLost, now: float, rules: Rules) -> Decision:
    """All its participants at once: one entry."""
    entry = EntryBuilder(roster, now)
    decision = Decision(Stamp(f"lost:{lost.gateway}:{roster.sequence}"))
    for seat in roster.seats.values():
        participant = seat.participant
        if seat.gateway == lost.gateway and participant.connection == "connected":
            entry.add("participant_updated", participant.model_copy(update={"connection": "reconnecting"}))
            decision.timers.append(grace(lost.room_id, participant.id, seat.epoch, now, rules))
    decision.events = entry.events
    return decision


def grace(room_id: RoomId, participant_id: ParticipantId, epoch: int, now: float, rules: Rules) -> GraceEnds:
    """The timer that ends a participant's grace."""
    return GraceEnds(due=now + rules.grace_seconds, room_id=room_id, participant_id=participant_id, epoch=epoch)


def grace_ends(roster: Roster, ends: GraceEnds, now: float, rules: Rules) -> Decision:
    """Whoever did not come back leaves, unless coming back was not possible: then there is a fresh grace."""
    decision = Decision(Stamp(f"timeout:{ends.participant_id}"))
    seat = roster.seats.get(ends.participant_id)
    if seat is None or seat.epoch != ends.epoch or seat.participant.connection != "reconnecting":
        return decision
    if now - ends.due > LATE_SECONDS:
        decision.timers.append(grace(ends.room_id, ends.participant_id, ends.epoch, now, rules))
        return decision
    decision.stamp = Stamp(decision.stamp.operation, participant=ends.participant_id, epoch=seat.epoch)
    entry = EntryBuilder(roster, now)
    entry.add("participant_left", seat.participant, "timeout")
    decision.events = entry.events
    return decision


def end_of(room: Room, started: float) -> float | None:
    """When a room whose first participant joined at `started` has to close (Unix seconds)."""
    minutes = room.settings.max_duration
    return None if minutes is None else started + 60.0 * minutes


def room_ends(roster: Roster, ends: RoomEnds, now: float) -> Decision:
    """The room closes when its `maxDuration` is over; when that was changed meanwhile, the clock is set anew."""
    decision = Decision(Stamp(f"max_duration:{ends.room_id}"))
    if roster.room is None or roster.closed is not None or roster.started_at is None:
        return decision
    end = end_of(roster.room, moment.unix(roster.started_at))
    if end is not None and now < end - EARLY_SECONDS:
        decision.timers.append(RoomEnds(due=end, room_id=ends.room_id))
    elif end is not None:
        entry = EntryBuilder(roster, now)
        entry.close([seat.participant for seat in roster.seats.values()], "max_duration")
        decision.events = entry.events
    return decision


def room_empty(roster: Roster, empty: RoomEmpty, now: float, rules: Rules) -> Decision:
    """The room closes when nobody has been in it for the set time."""
    decision = Decision(Stamp(f"empty:{empty.room_id}"))
    if roster.room is None or roster.closed is not None or roster.seats or not rules.empty_room_seconds:
        return decision
    since = roster.empty_since or roster.room.created_at
    end = moment.unix(since) + rules.empty_room_seconds
    if now < end - EARLY_SECONDS:
        decision.timers.append(RoomEmpty(due=end, room_id=empty.room_id))
        return decision
    entry = EntryBuilder(roster, now)
    entry.close([], "empty")
    decision.events = entry.events
    return decision
