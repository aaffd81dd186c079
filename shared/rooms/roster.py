"""The fold of a room's log: who is in the room now. rooms decides on it, gateways keep it as their replica.

Pure: entries in, state out. The events alone are enough; applying an entry twice, or one from before, changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.rooms.events import RoomEvent, Stamp
from shared.rooms.model import Participant, Room
from shared.values import moment
from shared.values.ids import AgentId, GatewayId, ParticipantId, RoomId, SessionKey
from shared.values.model import Tolerant

OPERATION_MEMORY_SECONDS = 60.0
GRANT_MEMORY_SECONDS = 60.0  # beyond its end: the clocks of auth and rooms differ, and a join may be on its way
OPERATION_MEMORY = 2000  # operations at most; a room this busy forgets sooner
DEPARTED_SECONDS = 600.0  # for so long a session that comes back is told why its participant left
DEPARTED_MEMORY = 1000


class Seat(Tolerant):
    """A participant, and what only our services know: its session's fingerprint, its gateway, how often it moved, since
    when it has this connection (Unix seconds of its gateway) and as of which entry (`moved_at`), above which position a
    client that asks to join it may have heard nothing (`unheard_from`), and when it last said something of itself
    (`said_at`, Unix seconds).

    `dropped_at` is when its connection was gone (RFC 3339), or the one before that it came back from; None when nobody
    had noticed.
    """

    participant: Participant
    session: SessionKey | None = None
    gateway: GatewayId | None = None
    epoch: int = 0
    since: float = 0.0
    moved_at: int = 0
    unheard_from: int = 0
    said_at: float = 0.0
    dropped_at: str | None = None


class Departure(Tolerant):
    """How a session's stay ended: at which entry, when (Unix seconds), and why."""

    participant_id: ParticipantId
    agent_id: AgentId
    reason: str
    revision: int
    sequence: int
    at: float


class Snapshot(Tolerant):
    """A roster at one position of the log: the state after the entry with stream sequence `sequence`."""

    room_id: RoomId
    incarnation: str
    sequence: int
    revision: int
    room: Room
    seats: list[Seat]
    last_order: int = 0
    started_at: str | None = None
    closed: str | None = None
    origin: str = ""
    operations: dict[str, float] = {}
    grants: dict[str, int] = {}
    empty_since: str | None = None
    departed: dict[SessionKey, Departure] = {}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a room's event log: its stream sequence, what happened together, and for whom."""

    sequence: int
    events: Sequence[RoomEvent]
    stamp: Stamp


class Roster:
    """The state of one room. `sequence` is the stream sequence of the last event entry it contains, 0 for none."""

    __slots__ = (
        "closed",
        "departed",
        "empty_since",
        "grants",
        "incarnation",
        "last_order",
        "operations",
        "origin",
        "revision",
        "room",
        "room_id",
        "seats",
        "sequence",
        "started_at",
    )

    def __init__(self, room_id: RoomId, incarnation: str) -> None:
        self.room_id = room_id
        self.incarnation = incarnation
        self.room: Room | None = None
        self.seats: dict[ParticipantId, Seat] = {}
        self.sequence = 0
        self.revision = 0
        self.last_order = 0
        self.started_at: str | None = None  # when the first participant ever joined
        self.closed: str | None = None
        self.origin = ""  # the operation that created the room
        self.operations: dict[str, float] = {}  # operation id -> Unix seconds, of the last minute
        self.grants: dict[str, int] = {}  # fingerprint of a consumed join token -> Unix seconds of its end
        self.empty_since: str | None = None  # since when nobody is in (RFC 3339)
        self.departed: dict[SessionKey, Departure] = {}  # those of the last minutes, oldest first

    def apply(self, entry: Entry) -> bool:
        """Take in the next entry. False when it changed nothing: already contained, or an operation already seen."""
        if entry.sequence <= self.sequence:
            return False
        self.sequence = entry.sequence
        if entry.stamp.operation and entry.stamp.operation in self.operations:
            return False
        for event in entry.events:
            if event.change.revision > self.revision:  # an old event appended again is none of ours
                self._take(event, entry.stamp)
                self.empty_since = None if self.seats else self.empty_since or event.time
        self._remember(entry)
        return True

    def _take(self, event: RoomEvent, stamp: Stamp) -> None:
        change = event.change
        self.revision = change.revision
        self.room = change.room
        if event.type == "created":
            self.origin = stamp.operation
        elif event.type == "closed":
            self.closed = change.reason
            self.seats.clear()
        participant = change.participant
        if participant is None:
            return
        if event.type == "participant_left":
            self._part(self.seats.pop(participant.id, None), event)
        elif event.type == "participant_joined":
            self.last_order = max(self.last_order, participant.order)
            self.started_at = self.started_at or event.time
            self.seats[participant.id] = self._seat(event, participant, stamp)
        elif event.type == "participant_updated" and participant.id in self.seats:
            self.seats[participant.id] = self._seat(event, participant, stamp)

    def _seat(self, event: RoomEvent, participant: Participant, stamp: Stamp) -> Seat:
        """The stamp's session, gateway and epoch belong to the one participant it names."""
        before = self.seats.get(participant.id)
        away = before is not None and before.participant.connection == "reconnecting"
        if stamp.participant == participant.id and stamp.gateway is not None:
            return Seat(
                participant=participant,
                session=stamp.session,
                gateway=stamp.gateway,
                epoch=stamp.epoch,
                since=stamp.since,
                moved_at=self.sequence,
                unheard_from=stamp.unheard_from or self.sequence,
                said_at=before.said_at if before else 0.0,
                dropped_at=before.dropped_at if before and away else None,
            )
        if before is None:
            return Seat(participant=participant)
        dropped = participant.connection == "reconnecting" and not away
        dropped_at = event.time if dropped else before.dropped_at
        said_at = max(before.said_at, stamp.asked_at)
        return before.model_copy(update={"participant": participant, "dropped_at": dropped_at, "said_at": said_at})

    def _part(self, seat: Seat | None, event: RoomEvent) -> None:
        """Remember why somebody left, for the session that asks for its seat."""
        if seat is None or seat.session is None:
            return
        now = moment.unix(event.time)
        while self.departed:
            oldest = next(iter(self.departed))
            if len(self.departed) < DEPARTED_MEMORY and self.departed[oldest].at > now - DEPARTED_SECONDS:
                break
            del self.departed[oldest]
        self.departed.pop(seat.session, None)  # so that the order is that of leaving
        self.departed[seat.session] = Departure(
            participant_id=seat.participant.id,
            agent_id=seat.participant.agent_id,
            reason=event.change.reason or "left",
            revision=event.change.revision,
            sequence=self.sequence,
            at=now,
        )

    def _remember(self, entry: Entry) -> None:
        if not entry.events:
            return
        now = moment.unix(entry.events[-1].time)
        while self.operations:
            oldest = next(iter(self.operations))
            if len(self.operations) < OPERATION_MEMORY and self.operations[oldest] > now - OPERATION_MEMORY_SECONDS:
                break
            del self.operations[oldest]
        if entry.stamp.operation:
            self.operations[entry.stamp.operation] = now
        if entry.stamp.grant is not None:
            kept = now - GRANT_MEMORY_SECONDS
            self.grants = {grant: until for grant, until in self.grants.items() if until > kept}
            if entry.stamp.grant_until:
                self.grants[entry.stamp.grant] = entry.stamp.grant_until
            else:
                self.grants.pop(entry.stamp.grant, None)

    def of_session(self, session: SessionKey) -> Seat | None:
        """The seat a session holds, if it is in the room."""
        return next((seat for seat in self.seats.values() if seat.session == session), None)

    def of_device(self, agent_id: AgentId, device_id: str) -> Seat | None:
        """The seat an agent's device holds, if it is in the room."""
        for seat in self.seats.values():
            if seat.participant.agent_id == agent_id and seat.participant.device_id == device_id:
                return seat
        return None

    def snapshot(self, *, whole: bool = False) -> Snapshot:
        """This state as a message. `whole` adds what only rooms needs (operations, grants, sessions)."""
        if self.room is None:
            raise ValueError("a room without events has no snapshot")
        seats = list(self.seats.values())
        return Snapshot(
            room_id=self.room_id,
            incarnation=self.incarnation,
            sequence=self.sequence,
            revision=self.revision,
            room=self.room,
            seats=seats if whole else [seat.model_copy(update={"session": None}) for seat in seats],
            last_order=self.last_order,
            started_at=self.started_at,
            closed=self.closed,
            origin=self.origin if whole else "",
            operations=self.operations if whole else {},
            grants=self.grants if whole else {},
            empty_since=self.empty_since,
            departed=self.departed if whole else {},
        )

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Roster":
        """The state a snapshot holds."""
        roster = cls(snapshot.room_id, snapshot.incarnation)
        roster.room = snapshot.room
        roster.seats = {seat.participant.id: seat for seat in snapshot.seats}
        roster.sequence = snapshot.sequence
        roster.revision = snapshot.revision
        roster.last_order = snapshot.last_order
        roster.started_at = snapshot.started_at
        roster.closed = snapshot.closed
        roster.origin = snapshot.origin
        roster.operations = dict(snapshot.operations)
        roster.grants = dict(snapshot.grants)
        roster.empty_since = snapshot.empty_since
        roster.departed = dict(snapshot.departed)
        return roster
