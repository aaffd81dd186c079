"""The rule of what a participant says of itself: name, media, metadata. Several changes of one participant are one entry. Pure."""

import math

from services.rooms.decision import Context, Decision, EntryBuilder, Rule, Rules
from services.rooms.pace import seconds_until_change
from services.rooms.seats import checked_name, held_seat, merged_metadata
from shared.rooms.commands import SelfChange, UpdateParticipant
from shared.rooms.events import Stamp
from shared.rooms.model import Participant
from shared.rooms.roster import Roster
from shared.values.errors import Code, Refused
from shared.values.ids import fingerprint


def update(roster: Roster, command: UpdateParticipant, context: Context) -> Decision:
    """Make the changes one after the other, in one entry that names all of them. One that was made before changes nothing.

    When there are several, each has its own refusal, and the others are made.
    """
    seat = held_seat(roster, command)
    after, asked_at, changed = seat.participant, 0.0, False
    decision = Decision(Stamp(command.operation))
    done: list[SelfChange] = []
    for change in command.changes:
        if roster.did(change.operation) or any(change.operation == one.operation for one in done):
            continue
        try:
            then = _after(after, change, max(seat.said_at, asked_at), context.rules)
        except Refused as refused:
            if not command.then:
                raise
            decision.refusals[change.operation] = refused
            continue
        done.append(change)
        if then != after:
            after, asked_at, changed = then, max(asked_at, change.asked_at), True
    if not changed:
        return decision
    _check_pace(roster, command, context)
    also = tuple(fingerprint(change.operation) for change in done[1:])
    decision.stamp = Stamp(done[0].operation, asked_at=asked_at, also=also)
    entry = EntryBuilder(roster, context.now, after.agent_id)
    entry.add("participant_updated", after)  # also when the last change undoes the first: each was made, and is named
    decision.events = entry.events
    return decision


def _after(before: Participant, change: SelfChange, said_at: float, rules: Rules) -> Participant:
    """The participant after one change. Raises Refused."""
    if change.asked_at and change.asked_at < said_at:
        raise Refused(Code.UNAVAILABLE, "a later change was faster; try again")
    return before.model_copy(
        update={
            "name": checked_name(change.name, rules) if change.name else before.name,
            "media": change.media.apply(before.media) if change.media else before.media,
            "metadata": merged_metadata(before.metadata, change.metadata, rules)
            if change.metadata
            else before.metadata,
        }
    )


def _check_pace(roster: Roster, command: UpdateParticipant, context: Context) -> None:
    seat = roster.seats[command.participant_id]
    if (wait := seconds_until_change(roster, seat.session, context)) > 0:
        raise Refused(
            Code.RATE_LIMITED, "you change what you say of yourself too often", retry_after_ms=math.ceil(wait * 1000)
        )


RULES = (Rule(UpdateParticipant, update, "UpdateParticipant"),)
