"""The fold of a room's log: who is in the room now. Rooms decides on it, and gateways keep it as their replica.

Pure: entries in, state out. Applying an entry twice, or an older one, changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict

from shared.rooms.events import Checkpoint, RoomEvent, Stamp
from shared.rooms.model import Participant, Room
from shared.rooms.operations import remember
from shared.values import moment
from shared.values.ids import AgentId, GatewayId, ParticipantId, RoomId, SessionKey, fingerprint
from shared.values.model import Tolerant
from shared.values.position import NOWHERE, Position

# Goes up whenever the same log leads to another state than before: a new event that changes something, a new field.
# `also` and `guest_network` came without: they change no answer, and 0.4.0 must go on from our snapshots (ADR 0018).
# 0 stands for releases before 0.4.0, whose snapshots had no version (docs/adr/0016).
FOLD_VERSION: Final = 1

# The oldest fold that can go on from a snapshot which this one puts into a log (docs/adr/0019). It goes up only when
# a state has what an older fold would do harm without.
SNAPSHOT_FOLD: Final = 1

GRANT_MEMORY_SECONDS = 60.0  # after a token's end, since auth's and rooms' clocks differ and a join may be under way
GRANT_MEMORY = 5000  # used join tokens that are still valid; rooms refuses another one, since none may be forgotten
DEPARTED_SECONDS = 600.0  # how long a session that comes back is told why its participant left
DEPARTED_MEMORY = 1000

ONLY_ROOMS: Final = "only rooms needs it"  # marks fields that rooms replaces by their default in its answers


class Seat(Tolerant):
    """A participant, with fields that only our services know.

    `session` is the session's fingerprint, `gateway` the gateway of its connection, and `epoch` counts the connections
    that the seat has had. `since` is when this connection began (Unix seconds of its gateway), and `moved_at` the entry
    that gave it the seat. `unheard_from`: a client that asks to join again may have received no signal above this
    position. `said_at` is when the participant last updated itself (Unix seconds). `dropped_at` is when its connection
    was found gone (RFC 3339), or the connection before it if it came back; None when no service had noticed that.
    """

    participant: Participant
    session: Annotated[SessionKey | None, ONLY_ROOMS] = None
    gateway: GatewayId | None = None
    epoch: int = 0
    since: float = 0.0
    moved_at: Position = NOWHERE
    unheard_from: Position = NOWHERE
    said_at: float = 0.0
    dropped_at: str | None = None


class Departure(Tolerant):
    """How a session's participation ended: at which entry, when (`at`, Unix seconds), and why."""

    participant_id: ParticipantId
    agent_id: AgentId
    reason: str
    revision: int
    sequence: Position
    at: float


class RosterState(Tolerant):
    """The fields of a fold beside the room's properties and seats. Snapshot and Roster share them.

    `sequence` is the stream sequence of the last event entry it contains, 0 for none. `last_order` is the highest order
    ever given. `started_at` is when the first participant ever joined, `empty_since` since when the room is empty (RFC
    3339). `closed` is why the room was closed. `origin` is the operation that created it. `operations` are those of the
    last minute, with Unix seconds; `also` are the fingerprints of those that shared an entry with one of them.
    `guest_network` is that of the guest who made the room. `grants` are the fingerprints of consumed join tokens, with
    the Unix seconds of their end. `departed` are the sessions that left in the last minutes, oldest first.
    """

    room_id: RoomId
    incarnation: str
    sequence: Position = NOWHERE
    revision: int = 0
    last_order: int = 0
    started_at: str | None = None
    empty_since: str | None = None
    closed: str | None = None
    origin: Annotated[str, ONLY_ROOMS] = ""
    operations: Annotated[dict[str, float], ONLY_ROOMS] = {}
    also: Annotated[dict[str, float], ONLY_ROOMS] = {}
    guest_network: Annotated[str | None, ONLY_ROOMS] = None
    grants: Annotated[dict[str, int], ONLY_ROOMS] = {}
    departed: Annotated[dict[SessionKey, Departure], ONLY_ROOMS] = {}


def _hidden(model: type[BaseModel]) -> dict[str, Any]:
    """The defaults of a model's fields that do not leave rooms."""
    return {name: field.default for name, field in model.model_fields.items() if ONLY_ROOMS in field.metadata}


_HIDDEN_STATE: Final = _hidden(RosterState)
_HIDDEN_SEAT: Final = _hidden(Seat)


class Snapshot(RosterState):
    """A roster at one position of the log: the state after the entry with stream sequence `sequence`.

    `fold_version` says which fold made it. A fold of another version may have skipped events that this one knows.
    """

    fold_version: int = 0
    room: Room
    seats: list[Seat]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a room's event log: its stream sequence, its events and their stamp."""

    sequence: Position
    events: Sequence[RoomEvent]
    stamp: Stamp

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The state in the entry, if it is a snapshot instead of a change."""
        return self.events[0].checkpoint if self.events else None


class Roster(RosterState):
    """The state of one room, kept by the entries of its log."""

    model_config = ConfigDict(frozen=False)
    fold_version: ClassVar[int] = FOLD_VERSION

    room: Room | None = None
    seats: dict[ParticipantId, Seat] = {}

    def __init__(self, room_id: RoomId, incarnation: str, **state: Any) -> None:
        super().__init__(room_id=room_id, incarnation=incarnation, **state)

    def apply(self, entry: Entry) -> bool:
        """Take in the next entry. False when it changed nothing: already contained, or an operation already seen."""
        if entry.sequence <= self.sequence:
            return False
        self.sequence = entry.sequence
        if (checkpoint := entry.checkpoint) is not None:
            return self._begin(checkpoint)
        if entry.stamp.operation and entry.stamp.operation in self.operations:
            return False
        for event in entry.events:
            if event.change.revision > self.revision:  # skip an old event that was appended again
                self._take(event, entry.stamp)
                self.empty_since = None if self.seats else self.empty_since or event.time
        self._remember(entry)
        return True

    def misses(self, entry: Entry) -> bool:
        """Whether changes before this entry are missing here."""
        if not entry.events:
            return False
        return entry.events[0].change.revision > self.revision + (entry.checkpoint is None)

    def _begin(self, checkpoint: Checkpoint) -> bool:
        """Take the public state of a snapshot in the log, if the snapshot is ahead of this fold."""
        if checkpoint.as_of <= self.revision:
            return False
        self.revision, self.room, self.closed = checkpoint.as_of, checkpoint.room, checkpoint.closed
        self.seats = {participant.id: Seat(participant=participant) for participant in checkpoint.participants}
        self.last_order = max((self.last_order, *(participant.order for participant in checkpoint.participants)))
        return True

    def restore(self, state: Snapshot, sequence: Position) -> None:
        """Replace the whole state by that of a snapshot entry at `sequence` of this log."""
        whole = self.of(state.model_copy(update={"sequence": sequence, "incarnation": self.incarnation}))
        for name in type(self).model_fields:
            setattr(self, name, getattr(whole, name))

    def _take(self, event: RoomEvent, stamp: Stamp) -> None:
        change = event.change
        self.revision = change.revision
        self.room = change.room
        if event.type == "created":
            self.origin, self.guest_network = stamp.operation, stamp.guest_network
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
        """The participant's seat after an event. The stamp's session, gateway and epoch belong to the one it names."""
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
        """Remember why a participant left, for its session if that comes back."""
        if seat is None or seat.session is None:
            return
        now = moment.unix(event.time)
        while self.departed:
            oldest = next(iter(self.departed))
            if len(self.departed) < DEPARTED_MEMORY and self.departed[oldest].at > now - DEPARTED_SECONDS:
                break
            del self.departed[oldest]
        self.departed.pop(seat.session, None)  # keeps the order of leaving
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
        remember(self.operations, [entry.stamp.operation] if entry.stamp.operation else [], now)
        remember(self.also, entry.stamp.also, now)
        if entry.stamp.grant is not None:
            kept = now - GRANT_MEMORY_SECONDS
            self.grants = {grant: until for grant, until in self.grants.items() if until > kept}
            if entry.stamp.grant_until:
                self.grants[entry.stamp.grant] = entry.stamp.grant_until
            else:
                self.grants.pop(entry.stamp.grant, None)

    def used_grants(self, now: float) -> int:
        """How many used join tokens must be remembered still."""
        return sum(until > now - GRANT_MEMORY_SECONDS for until in self.grants.values())

    def did(self, operation: str) -> bool:
        """Whether the log has named this operation lately: then it is done, and must not be done again."""
        return operation in self.operations or (bool(self.also) and fingerprint(operation) in self.also)

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
        """This state as a message. `whole` adds what only rooms needs (operations, join tokens, sessions)."""
        if self.room is None:
            raise ValueError("a room without events has no snapshot")
        state = {name: getattr(self, name) for name in RosterState.model_fields}
        seats = list(self.seats.values())
        if not whole:
            state |= _HIDDEN_STATE
            seats = [seat.model_copy(update=_HIDDEN_SEAT) for seat in seats]
        return Snapshot(fold_version=self.fold_version, room=self.room, seats=seats, **state)

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Roster":
        """The state in a snapshot."""
        state = {name: getattr(snapshot, name) for name in RosterState.model_fields}
        return cls(room=snapshot.room, seats={seat.participant.id: seat for seat in snapshot.seats}, **state)
