"""A gateway's copy of one room: entries of its log in, pushes for local participants out. Pure; notices its own holes.

The log is the order. An entry at or below the position is old; an event whose revision is not the next one, or a signal
whose predecessor was not seen, shows a hole: then everything waits until the missing part was read from the log.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from shared import protocol
from shared.bus import LogEntry
from shared.cursor import Cursor
from shared.events import RoomEvent
from shared.ids import ParticipantId, RoomId
from shared.roster import Entry, Roster, Seat, Snapshot

WAITING_ENTRIES = 4096  # live entries kept while reading on; beyond that they are read from the log as well


@dataclass(frozen=True, slots=True)
class Push:
    """A message about the room, for everyone in it."""

    sequence: int
    payload: bytes
    left: ParticipantId | None = None  # who is no longer in the room after it
    reason: str | None = None
    ends: bool = False  # the room is closed after it


@dataclass(frozen=True, slots=True)
class Delivery:
    """A sealed signal for one participant. `epoch` is the sender's."""

    sequence: int
    to: ParticipantId
    sender: ParticipantId
    epoch: int
    body: bytes
    cursor: str


class State(Enum):
    """Whether the replica may be believed."""

    STARTING = "starting"  # no snapshot yet
    LIVE = "live"
    READING_ON = "reading on"  # a hole: live entries wait until it is filled


class Replica:
    """The room as of `position`. Feed it with `receive`; `start` it with a snapshot."""

    __slots__ = ("_seen", "_started_at", "_waiting", "hole", "position", "room_id", "roster", "state")

    def __init__(self, room_id: RoomId) -> None:
        self.room_id = room_id
        self.state = State.STARTING
        self.roster: Roster | None = None
        self.position = 0
        self.hole: str | None = None  # what showed the last one
        self._waiting: deque[LogEntry] = deque(maxlen=WAITING_ENTRIES)
        self._started_at = 0
        self._seen: dict[ParticipantId, int] = {}  # the last signal to each participant

    def start(self, snapshot: Snapshot) -> list[Push | Delivery]:
        """Begin (or begin again) with this state; what came live above it follows."""
        self.roster = Roster.of(snapshot)
        self.position = self._started_at = snapshot.sequence
        self._seen.clear()
        self.state = State.LIVE
        return self._release()

    def receive(self, entry: LogEntry) -> list[Push | Delivery]:
        """The next live entry."""
        if self.state is not State.LIVE:
            self._waiting.append(entry)
            return []
        return self._take(entry)

    def suspect(self, reason: str) -> None:
        """Entries may have been missed: read on from `position` before believing live ones again."""
        if self.state is State.LIVE:
            self.state = State.READING_ON
            self.hole = reason

    def read_on(self, entries: Iterable[LogEntry]) -> list[Push | Delivery]:
        """What the log has above `position`, oldest first and to its end; the replica is live again if that closes the
        hole."""
        self.state = State.LIVE
        out: list[Push | Delivery] = []
        for entry in entries:
            if self.state is State.LIVE:
                out += self._take(entry, from_log=True)
            else:  # what was read shows a hole itself: reads may lag
                self._waiting.append(entry)
        return out + self._release()

    def _release(self) -> list[Push | Delivery]:
        waiting, self._waiting = self._waiting, deque(maxlen=WAITING_ENTRIES)
        out: list[Push | Delivery] = []
        for entry in waiting:
            out += self.receive(entry)
        return out

    def _take(self, entry: LogEntry, *, from_log: bool = False) -> list[Push | Delivery]:
        if self.roster is None or entry.sequence <= self.position:
            return []
        if entry.subject.kind == "event":
            return self._take_event(self.roster, entry)
        to = entry.subject.to
        if to not in self.roster.seats:
            self.position = entry.sequence
            return []
        before = int(entry.headers.get("Nats-Last-Sequence", "0"))
        if not from_log and before > max(self._seen.get(to, 0), self._started_at):
            return self._suspicious(entry, "signal")
        self._seen[to] = self.position = entry.sequence
        return self._take_signal(self.roster, entry, to)

    def _suspicious(self, entry: LogEntry, reason: str) -> list[Push | Delivery]:
        self.suspect(reason)
        self._waiting.append(entry)
        return []

    def _take_event(self, roster: Roster, entry: LogEntry) -> list[Push | Delivery]:
        happened = entry.events()
        if happened.events and happened.events[0].change.revision > roster.revision + 1:
            return self._suspicious(entry, "revision")
        self.position = entry.sequence
        if not roster.apply(happened):
            return []
        for gone in self._seen.keys() - roster.seats.keys():
            del self._seen[gone]
        return list(_pushes(happened, roster.incarnation))

    def _take_signal(self, roster: Roster, entry: LogEntry, to: ParticipantId) -> list[Push | Delivery]:
        """Nothing goes to or comes from a participant after its `user_left`: the log's order decides, here."""
        sender = ParticipantId(entry.headers.get("Parley-From", ""))
        seat = roster.seats.get(sender)
        epoch = int(entry.headers.get("Parley-Epoch", "0"))
        if seat is None or epoch < seat.epoch:
            return []
        cursor = Cursor(roster.incarnation, entry.sequence).text()
        return [Delivery(entry.sequence, to, sender, epoch, entry.body, cursor)]

    def seat(self, participant_id: ParticipantId) -> Seat | None:
        """A participant as this replica sees it."""
        return self.roster.seats.get(participant_id) if self.roster else None


def _pushes(entry: Entry, incarnation: str) -> Iterable[Push]:
    last = len(entry.events) - 1
    for part, event in enumerate(entry.events):
        # Several events of one entry: a client that saw only some of them must not skip the rest when it resumes.
        cursor = Cursor(incarnation, entry.sequence, 0 if part == last else part + 1).text()
        push = _push(event, cursor)
        if push is None:
            continue
        participant = event.change.participant
        yield Push(
            entry.sequence,
            protocol.encode(push),
            left=participant.id if event.type == "participant_left" and participant else None,
            reason=event.change.reason,
            ends=event.type == "closed",
        )


def _push(event: RoomEvent, cursor: str) -> protocol.Push | None:
    """The message clients get for an event; none for events of newer versions."""
    change = event.change
    at = protocol.At(event.room_id, change.revision, cursor)
    participant = change.participant
    match event.type:
        case "participant_joined" if participant:
            return protocol.user_joined(at, participant)
        case "participant_updated" if participant:
            return protocol.user_updated(at, participant)
        case "participant_left" if participant:
            return protocol.user_left(at, participant, change.reason)
        case "updated":
            return protocol.room_updated(at, change.room)
        case "closed":
            return protocol.room_closed(at, change.reason)
    return None
