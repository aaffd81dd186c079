"""The rules of time: a gateway is lost, a grace time ends, a room reaches its `maxDuration` or stays empty. Pure.

Each rule looks at the room as it is now. A timer that comes too early, too late or twice finds nothing to do.
"""

from dataclasses import dataclass

from services.rooms.decision import Context, Decision, EntryBuilder, Rule, Rules
from shared.rooms.events import RoomEvent, Stamp
from shared.rooms.model import Room
from shared.rooms.roster import Roster
from shared.rooms.timers import GraceEnds, LogKept, RoomEmpty, RoomEnds, Timer
from shared.values import moment
from shared.values.ids import GatewayId, ParticipantId, RoomId
from shared.values.position import NOWHERE, Position

LATE_SECONDS = 5.0  # a grace timer that fires later than this was held up: broker or rooms were away
TRIMMED_SECONDS = 60.0  # after which a room is looked at whose log waits for being trimmed, if its clocks were lost
EARLY_SECONDS = 1.0  # how much the clocks of broker and rooms may differ


@dataclass(frozen=True, slots=True)
class GatewayLost:
    """A gateway is lost: its participants in this room have no connection any more."""

    room_id: RoomId
    gateway: GatewayId


@dataclass(frozen=True, slots=True)
class ClocksLost:
    """The timers of this room may be lost. If its log went back, it was at `back` then."""

    room_id: RoomId
    back: Position = NOWHERE


def clocks_lost(roster: Roster, lost: ClocksLost, context: Context) -> Decision:
    """Arm every timer that the room needs as it is now. Who is away gets a fresh grace time.

    Whose seat is from before the log went back may have left since, or moved, and nobody would ever say so. So it counts
    as away until its client comes back to it.
    """
    decision = Decision(Stamp(f"clocks:{lost.room_id}:{roster.sequence}"))
    room, timers = roster.room, decision.timers
    if room is None or roster.closed is not None:
        return decision
    entry = EntryBuilder(roster, context.now)
    for seat in roster.seats.values():
        participant = seat.participant
        if participant.connection == "connected" and seat.moved_at <= lost.back:
            entry.add("participant_updated", participant.model_copy(update={"connection": "reconnecting"}))
        elif participant.connection != "reconnecting":
            continue
        timers.append(grace(lost.room_id, participant.id, seat.epoch, context))
    decision.events = entry.events
    if roster.started_at is not None and (end := end_of(room, moment.unix(roster.started_at))) is not None:
        timers.append(RoomEnds(due=end, room_id=lost.room_id))
    timers.append(LogKept(due=context.now + TRIMMED_SECONDS, room_id=lost.room_id))  # looks, and arms what is left
    if not roster.seats and context.rules.empty_room_seconds:
        since = moment.unix(roster.empty_since or room.created_at)
        timers.append(RoomEmpty(due=since + context.rules.empty_room_seconds, room_id=lost.room_id))
    return decision


def clocks_of_silent(newest: RoomEvent, rules: Rules) -> list[Timer] | None:
    """The timers of a room with nobody in it, by its newest event alone; None when the room has to be folded."""
    room, at = newest.change.room, moment.unix(newest.time)
    if newest.closes:
        kept = rules.closed_log_seconds
        return [LogKept(due=at + kept, room_id=room.room_id)] if kept else []
    if room.participant_count or room.settings.max_duration is not None or newest.checkpoint is not None:
        return None
    # The rule looks since when it is empty, and arms what is left.
    return [RoomEmpty(due=at + rules.empty_room_seconds, room_id=room.room_id)] if rules.empty_room_seconds else []


def gateway_lost(roster: Roster, lost: GatewayLost, context: Context) -> Decision:
    """Mark all participants of the gateway as `reconnecting`, in one entry, and arm their grace timers."""
    entry = EntryBuilder(roster, context.now)
    decision = Decision(Stamp(f"lost:{lost.gateway}:{roster.sequence}"))
    for seat in roster.seats.values():
        participant = seat.participant
        if seat.gateway == lost.gateway and participant.connection == "connected":
            entry.add("participant_updated", participant.model_copy(update={"connection": "reconnecting"}))
            decision.timers.append(grace(lost.room_id, participant.id, seat.epoch, context))
    decision.events = entry.events
    return decision


def grace(room_id: RoomId, participant_id: ParticipantId, epoch: int, context: Context) -> GraceEnds:
    """The timer that ends a participant's grace."""
    due = context.now + context.rules.grace_seconds
    return GraceEnds(due=due, room_id=room_id, participant_id=participant_id, epoch=epoch)


def grace_ends(roster: Roster, ends: GraceEnds, context: Context) -> Decision:
    """Remove a participant that did not come back in time.

    When the timer fires too late, clients could not come back either. Then the participant gets a fresh grace time.
    """
    decision = Decision(Stamp(f"timeout:{ends.participant_id}"))
    seat = roster.seats.get(ends.participant_id)
    if seat is None or seat.epoch != ends.epoch or seat.participant.connection != "reconnecting":
        return decision
    if context.now - ends.due > LATE_SECONDS:
        decision.timers.append(grace(ends.room_id, ends.participant_id, ends.epoch, context))
        return decision
    decision.stamp = Stamp(decision.stamp.operation, participant=ends.participant_id, epoch=seat.epoch)
    entry = EntryBuilder(roster, context.now)
    entry.add("participant_left", seat.participant, "timeout")
    decision.events = entry.events
    return decision


def end_of(room: Room, started: float) -> float | None:
    """When a room whose first participant joined at `started` has to close (Unix seconds)."""
    minutes = room.settings.max_duration
    return None if minutes is None else started + 60.0 * minutes


def room_ends(roster: Roster, ends: RoomEnds, context: Context) -> Decision:
    """Close the room when its `maxDuration` is over. If that was extended meanwhile, arm a new timer."""
    decision = Decision(Stamp(f"max_duration:{ends.room_id}"))
    if roster.room is None or roster.closed is not None or roster.started_at is None:
        return decision
    end = end_of(roster.room, moment.unix(roster.started_at))
    if end is not None and context.now < end - EARLY_SECONDS:
        decision.timers.append(RoomEnds(due=end, room_id=ends.room_id))
    elif end is not None:
        entry = EntryBuilder(roster, context.now)
        entry.close([seat.participant for seat in roster.seats.values()], "max_duration")
        decision.events = entry.events
    return decision


def room_empty(roster: Roster, empty: RoomEmpty, context: Context) -> Decision:
    """Close the room when it has been empty for `empty_room_seconds`."""
    decision = Decision(Stamp(f"empty:{empty.room_id}"))
    if roster.room is None or roster.closed is not None or roster.seats or not context.rules.empty_room_seconds:
        return decision
    since = roster.empty_since or roster.room.created_at
    end = moment.unix(since) + context.rules.empty_room_seconds
    if context.now < end - EARLY_SECONDS:
        decision.timers.append(RoomEmpty(due=end, room_id=empty.room_id))
        return decision
    entry = EntryBuilder(roster, context.now)
    entry.close([], "empty")
    decision.events = entry.events
    return decision


def clocks(roster: Roster, decision: Decision, context: Context) -> None:
    """Add the timers that a change of the room starts or restarts. `roster` is the room before the change."""
    if not decision.events:
        return
    now, rules = context.now, context.rules
    room = decision.events[-1].change.room
    types = {event.type for event in decision.events}
    if "closed" in types:
        if rules.closed_log_seconds:
            decision.timers.append(LogKept(due=now + rules.closed_log_seconds, room_id=room.room_id))
        return
    if types & {"created", "participant_left"} and not room.participant_count and rules.empty_room_seconds:
        decision.timers.append(RoomEmpty(due=now + rules.empty_room_seconds, room_id=room.room_id))
    joined_first = roster.started_at is None and "participant_joined" in types
    if joined_first or ("updated" in types and roster.started_at is not None):
        started = moment.unix(roster.started_at) if roster.started_at else now
        if (end := end_of(room, started)) is not None:
            decision.timers.append(RoomEnds(due=end, room_id=room.room_id))


RULES = (
    Rule(ClocksLost, clocks_lost, "ClocksLost"),
    Rule(GatewayLost, gateway_lost, "GatewayLost"),
    Rule(GraceEnds, grace_ends, "GraceEnds"),
    Rule(RoomEnds, room_ends, "RoomEnds"),
    Rule(RoomEmpty, room_empty, "RoomEmpty"),
)
