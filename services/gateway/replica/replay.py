"""What a session missed in a room: the part of the log between its cursor and its resume. Pure.

The replay is complete, in order and without repeats, or there is none; then the session gets a snapshot of the room.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.gateway.replica.replica import Delivery, Push, pushes_of
from shared.broker.room_log import RoomEntry, StoredEvents, StoredSignal
from shared.rooms.events import RoomEvent
from shared.rooms.roster import Entry, Roster, Snapshot
from shared.values.cursor import Cursor
from shared.values.ids import ParticipantId
from shared.values.position import Position


def usable(cursor: Cursor | None, incarnation: str, end: Position) -> bool:
    """Whether a cursor is a position of this log, not later than `end`."""
    return cursor is not None and cursor.incarnation == incarnation and cursor.sequence <= end


def first_missed(cursor: Cursor) -> Position:
    """The first position to read: the cursor's own entry again if the client saw only some of its events."""
    return min(cursor.next_event, Position(cursor.sequence + 1))


@dataclass(frozen=True, slots=True)
class Backlog:
    """The pushes and signals that a session missed, in order, up to this position and revision of the room."""

    items: list[Push | Delivery]
    sequence: Position
    revision: int


def replay(
    entries: Sequence[RoomEntry], cursor: Cursor, own: ParticipantId, snapshot: Snapshot, end: Position
) -> Backlog | None:
    """The missed pushes and signals up to `end`.

    None when the cursor is older than the participant's join, or when missed entries have been deleted since. `entries`
    is the whole log of the room from the cursor to at least `end`, in order. `snapshot` is a state of the room at or
    after the session's resume, and not after `end`.
    """
    events = {entry.position: entry.entry() for entry in entries if isinstance(entry, StoredEvents)}
    if _trimmed(events.values(), Position(cursor.next_event - 1)):
        return None
    entries = [entry for entry in entries if entry.position <= end]
    events = {position: happened for position, happened in events.items() if position <= end}
    if any(_joins(event, own) for happened in events.values() for event in happened.events):
        return None
    senders = _Senders(list(events.values()), snapshot)
    out: list[Push | Delivery] = []
    told = Position(cursor.next_event - 1)
    for entry in entries:
        if isinstance(entry, StoredEvents):
            if entry.position < cursor.next_event:
                continue
            told = entry.position
            seen = cursor.part if entry.position == cursor.begun else 0
            out += pushes_of(events[entry.position], snapshot.incarnation, seen)
            continue
        if not isinstance(entry, StoredSignal) or entry.to != own or entry.position <= cursor.sequence:
            continue
        if senders.may_speak(entry.sender, entry.epoch, entry.position, told):
            at = Cursor(snapshot.incarnation, entry.position, events=told)
            out.append(Delivery(entry.position, own, entry.sender, entry.epoch, entry.body, at))
    return Backlog(out, end, senders.revision)


def _trimmed(entries: Iterable[Entry], told: int) -> bool:
    """Whether changes after the entry `told` may be missing among these entries.

    Entries before a snapshot in the log may be deleted. An entry that cannot be decoded may be such a snapshot.
    """
    revision: int | None = None
    for entry in entries:
        checkpoint = entry.checkpoint
        if checkpoint is not None:
            if told < checkpoint.after if revision is None else revision < checkpoint.as_of:
                return True
            revision = checkpoint.as_of
        elif not entry.events:
            return True
        else:
            if revision is not None and entry.events[0].change.revision > revision + 1:
                return True
            revision = max(revision or 0, entry.events[-1].change.revision)
    return False


def _joins(event: RoomEvent, own: ParticipantId) -> bool:
    participant = event.change.participant
    return event.type == "participant_joined" and participant is not None and participant.id == own


class _Senders:
    """Tells which signals to believe: who was in the room at each position, and with which epoch.

    It reconstructs that backwards from the room's final state. A signal counts if its sender had not left the room by
    then, and if the sending gateway still had the sender's seat.
    """

    def __init__(self, entries: Sequence[Entry], snapshot: Snapshot) -> None:
        final = Roster.of(snapshot)
        self._left: dict[ParticipantId, Position] = {}
        self._moves: dict[ParticipantId, list[tuple[Position, int]]] = {}  # (position, epoch from there on)
        self._last: dict[ParticipantId, int] = {}  # the epoch with which somebody left
        for entry in entries:
            for event in entry.events:
                if event.type == "participant_left" and event.change.participant:
                    self._left[event.change.participant.id] = entry.sequence
            stamp = entry.stamp
            if stamp.participant is not None and stamp.gateway is not None:
                self._moves.setdefault(stamp.participant, []).append((entry.sequence, stamp.epoch))
            elif stamp.participant is not None:
                self._last[stamp.participant] = stamp.epoch
            final.apply(entry)
        self._final = final.seats
        self.revision = final.revision  # at the end

    def may_speak(self, sender: ParticipantId, epoch: int, position: Position, told: Position) -> bool:
        """Whether to deliver a signal of this sender and epoch at this position.

        `told` is the position of the last event that the client gets before the signal. It may be above `position`.
        """
        left = self._left.get(sender)
        if left is None and sender not in self._final:
            return False  # it had left before
        if left is not None and left <= told:
            return False
        return epoch >= self._epoch(sender, position)

    def _epoch(self, sender: ParticipantId, position: Position) -> int:
        moves = self._moves.get(sender, [])
        after = [epoch for moved_at, epoch in moves if moved_at > position]
        if after:
            return after[0] - 1
        if sender in self._final:
            return self._final[sender].epoch
        return max((epoch for _, epoch in moves), default=self._last.get(sender, 0))
