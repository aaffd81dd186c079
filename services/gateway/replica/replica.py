"""A gateway's copy of one room: log entries in, pushes for local participants out. Pure. It notices its own gaps.

The log's order counts. Three things show a gap: an event whose revision is not the next one, a signal whose predecessor
was not seen, and a signal from or to a participant that the replica does not know. Then live entries wait until the
missing part was read from the log. Entries behind a gap may have been taken before the gap showed. So reading starts at
the gap, and entries that were seen already are skipped.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from services.gateway.replica.event_pushes import push_of
from shared.broker.room_log import RoomEntry, StoredEvents, StoredSignal
from shared.rooms.roster import Entry, Roster, Seat, Snapshot
from shared.values.cursor import Cursor
from shared.values.ids import ParticipantId, RoomId
from shared.values.position import NOWHERE, Position
from shared.wire import pushes

WAITING_ENTRIES = 4096  # live entries kept during a gap; beyond that the oldest are dropped, and show a gap again
GONE = 1024  # participants remembered after they left, since signals to and from them may still arrive


@dataclass(frozen=True, slots=True)
class Push:
    """A message about the room, for everyone in it."""

    sequence: Position
    payload: bytes
    left: ParticipantId | None = None  # the participant that is no longer in the room after it
    reason: str | None = None
    ends: bool = False  # the room is closed after it
    moved: ParticipantId | None = None  # the participant whose seat has another connection from here on, with `epoch`
    epoch: int = 0
    part: int = 0  # so many events of its entry are told with it; 0 when it is the last one
    away: ParticipantId | None = None  # the participant that rooms takes to have no connection from here on

    def told_after(self, signal: Position, incarnation: str) -> Cursor:
        """The cursor of a client that was sent this after a signal that is behind it in the log."""
        events = Position(self.sequence - 1) if self.part else self.sequence
        return Cursor(incarnation, signal, self.part, events)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A sealed signal for one participant. `epoch` is the sender's."""

    sequence: Position
    to: ParticipantId
    sender: ParticipantId
    epoch: int
    body: bytes
    cursor: Cursor


class State(Enum):
    """Whether the replica's roster is known to be complete."""

    STARTING = "starting"  # no snapshot yet
    LIVE = "live"
    CATCHING_UP = "catching up"  # there is a gap: live entries wait until it is filled


class Replica:
    """The room as of `position`. Feed it with `receive`; `start` it with a snapshot."""

    __slots__ = (
        "_gone",
        "_page",
        "_page_before",
        "_seen",
        "_waiting",
        "gap",
        "is_another",
        "position",
        "read_from",
        "room_id",
        "roster",
        "started_at",
        "state",
    )

    def __init__(self, room_id: RoomId) -> None:
        self.room_id = room_id
        self.state = State.STARTING
        self.roster: Roster | None = None
        self.position = NOWHERE  # of the newest entry taken
        self.read_from = NOWHERE  # while catching up: entries above this may be missing
        self.gap: str | None = None  # what showed the last gap
        self.is_another = False  # the room's log is not the one that it followed: only a snapshot helps
        self._waiting: deque[RoomEntry] = deque(maxlen=WAITING_ENTRIES)
        self.started_at = NOWHERE  # position of the snapshot it began with
        self._seen: dict[ParticipantId, Position] = {}  # where the last signal to each participant is, or its join
        self._page_before = NOWHERE  # the log no longer keeps signals up to here
        self._page = NOWHERE
        self._gone: deque[ParticipantId] = deque(maxlen=GONE)

    def start(self, snapshot: Snapshot) -> list[Push | Delivery]:
        """Begin (or begin again) with this state, then take the live entries above it that waited."""
        self.roster = Roster.of(snapshot)
        self.position = self.started_at = snapshot.sequence
        self._page_before = self._page = NOWHERE  # it may be another log
        self._seen.clear()
        self._gone.clear()
        self.state = State.LIVE
        self.is_another = False
        return self._release()

    def receive(self, entry: RoomEntry) -> list[Push | Delivery]:
        """Take the next live entry; during a gap it waits. Returns what local participants get."""
        if self.state is not State.LIVE:
            self._waiting.append(entry)
            return []
        return self._take(entry)

    def resync(self, reason: str, after: Position | None = None) -> None:
        """Entries above `after` (by default: above `position`) may be missing. Live entries wait for `fill_gap`.

        Signals below `after` may be missing unnoticed as well: only the next signal to the same participant shows that,
        and that one may now be read from the log, where gaps are not checked. So `read_from` may be lower than `after`.
        """
        after = self.position if after is None else after
        after = min(after, max(self._page_before, self._all_heard()))
        if self.state is State.LIVE:
            self.state = State.CATCHING_UP
            self.gap = reason
            self.read_from = after
        else:
            self.read_from = min(self.read_from, after)

    def _all_heard(self) -> Position:
        """The position up to which no signal to a participant in the room can be missing."""
        seats = self.roster.seats if self.roster else ()
        return max(self.started_at, min((self._seen.get(one, NOWHERE) for one in seats), default=self.position))

    def turn_page(self) -> None:
        """Note that a page of time is over. Call it at most once in the time for which the log keeps a signal.

        Signals from before the last page are no longer in the log, so `resync` need not read back to them.
        """
        self._page_before, self._page = self._page, self.position

    def fill_gap(self, entries: Iterable[RoomEntry]) -> list[Push | Delivery]:
        """Take what the log has above `read_from`, oldest first and to its end. Live again if that closes the gap."""
        self.state = State.LIVE
        out: list[Push | Delivery] = []
        for entry in entries:
            if self.state is State.LIVE:
                out += self._take(entry, from_log=True)
            else:  # the entries read show a gap themselves, since reads may lag
                self._waiting.append(entry)
        return out + self._release()

    def _release(self) -> list[Push | Delivery]:
        waiting, self._waiting = self._waiting, deque(maxlen=WAITING_ENTRIES)
        out: list[Push | Delivery] = []
        for entry in waiting:
            out += self.receive(entry)
        return out

    def _take(self, entry: RoomEntry, *, from_log: bool = False) -> list[Push | Delivery]:
        if self.roster is None:
            return []
        if isinstance(entry, StoredSignal):
            return self._take_signal(self.roster, entry, from_log=from_log)
        return self._take_event(self.roster, entry) if isinstance(entry, StoredEvents) else []

    def _gap_before(self, entry: RoomEntry, reason: str, after: Position) -> list[Push | Delivery]:
        self.resync(reason, after)
        self._waiting.append(entry)
        return []

    def _take_event(self, roster: Roster, entry: StoredEvents) -> list[Push | Delivery]:
        if entry.position <= roster.sequence:
            return []
        happened = entry.entry()
        if self._begins_anew(roster, happened):
            self.is_another = True
            return self._gap_before(entry, "another log", roster.sequence)
        if roster.misses(happened):
            return self._gap_before(entry, "revision", roster.sequence)
        self.position = max(self.position, entry.position)
        before = dict(roster.seats)
        if not roster.apply(happened):
            return []
        for participant_id in roster.seats:
            if participant_id not in before:
                self._seen[participant_id] = entry.position
        for participant_id in before:
            if participant_id not in roster.seats:
                self._seen.pop(participant_id, None)
                self._gone.append(participant_id)
        return list(pushes_of(happened, roster.incarnation))

    def _take_signal(self, roster: Roster, signal: StoredSignal, *, from_log: bool) -> list[Push | Delivery]:
        """Deliver a signal, if in the log's order it comes before its receiver and its sender leave."""
        to, sender, position = signal.to, signal.sender, signal.position
        seen = max(self._seen.get(to, NOWHERE), self.started_at)
        if position <= (seen if to in roster.seats else self.position):
            return []
        if not from_log:
            if self.is_stranger(to) or self.is_stranger(sender):
                return self._gap_before(signal, "stranger", roster.sequence)
            if to in roster.seats and signal.previous > seen:
                return self._gap_before(signal, "signal", seen)
        self.position = max(self.position, position)
        if to not in roster.seats:
            return []
        self._seen[to] = position
        seat = roster.seats.get(sender)
        if seat is None or signal.epoch < seat.epoch:
            return []
        cursor = Cursor(roster.incarnation, position, events=roster.sequence)
        return [Delivery(position, to, sender, signal.epoch, signal.body, cursor)]

    @staticmethod
    def _begins_anew(roster: Roster, entry: Entry) -> bool:
        """Whether it makes the room that is there already: what was before it is gone from the log."""
        return roster.room is not None and any(event.type == "created" for event in entry.events)

    def lose(self) -> None:
        """What it has is gone from the log, and only a snapshot tells what is left."""
        self.is_another = True
        self.resync("another log")

    def is_stranger(self, participant_id: ParticipantId) -> bool:
        """Whether this replica has never seen the participant. Then it has missed a join, or its log is another one."""
        seats = self.roster.seats if self.roster else ()
        return participant_id not in seats and participant_id not in self._gone

    def contains(self, sequence: Position) -> bool:
        """Whether the roster contains the room's events up to this position."""
        return self.roster is not None and self.roster.sequence >= sequence

    def includes(self, snapshot: Snapshot) -> bool:
        """Whether the roster contains what this snapshot does, and is of the same log."""
        return self.incarnation == snapshot.incarnation and self.contains(Position(snapshot.sequence))

    @property
    def incarnation(self) -> str:
        """The incarnation of the log that it follows; empty before `start`."""
        return self.roster.incarnation if self.roster else ""

    def seat(self, participant_id: ParticipantId) -> Seat | None:
        """A participant's seat, as this replica sees it."""
        return self.roster.seats.get(participant_id) if self.roster else None


def pushes_of(entry: Entry, incarnation: str, seen: int = 0) -> Iterable[Push]:
    """The pushes of an entry: one for each event that clients know of, without the first `seen` events."""
    stamp = entry.stamp
    last = len(entry.events) - 1
    for part, event in enumerate(entry.events):
        if part < seen:
            continue
        # A client that saw only some events of an entry must not skip the rest when it resumes.
        told = 0 if part == last else part + 1
        push = push_of(event, Cursor(incarnation, entry.sequence, told).text())
        if push is None:
            continue
        participant = event.change.participant
        updated = participant if event.type == "participant_updated" else None
        moved = updated is not None and stamp.gateway is not None
        yield Push(
            entry.sequence,
            pushes.encode(push),
            left=participant.id if event.type == "participant_left" and participant else None,
            reason=event.change.reason,
            ends=event.type == "closed",
            moved=stamp.participant if moved else None,
            epoch=stamp.epoch if moved else 0,
            part=told,
            away=updated.id if updated and updated.connection == "reconnecting" else None,
        )
