"""Changes of a room, as CloudEvents: rooms appends them, gateways fold them, other services read them.

An entry of the log is a CloudEvents 1.0 JSON *batch*: everything that happened together. Fields that only our services
need (epoch, gateway, operation) are the entry's `Stamp`, and travel in NATS headers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, TypeAdapter, ValidationError

from shared.rooms.model import Participant, Room
from shared.values import moment
from shared.values.ids import AgentId, GatewayId, ParticipantId, RoomId, SessionKey
from shared.values.model import Tolerant
from shared.values.position import NOWHERE, Position

CONTENT_TYPE = "application/cloudevents-batch+json"
SOURCE = "/agentlink/rooms"
SNAPSHOT_SOURCE = "/agentlink/rooms/snapshots"  # another one, since CloudEvents wants source and id unique together
TYPE_PREFIX = "agentlink.room."
SNAPSHOT = "snapshot"

EventType = Literal["created", "updated", "closed", "participant_joined", "participant_left", "participant_updated"]


class Change(Tolerant):
    """The `data` of a room event: the room after it, and the participant it is about, if any."""

    revision: int
    room: Room
    participant: Participant | None = None
    by: AgentId | None = None
    reason: str | None = None


class Checkpoint(Tolerant):
    """The `data` of a `snapshot`: the state of the room after a change, so that the entries before it may be deleted.

    `as_of` is the revision of the last change it contains, `after` the stream sequence of that change's entry. `closed`
    is why the room is closed, if it is. These fields are public. The fields that only rooms needs are in a `Snapshot` at
    the stream sequence `state`, on a subject that observers cannot read. A fold needs `fold_version` or later to go on
    from it.
    """

    fold_version: int
    as_of: int
    after: Position
    state: Position
    room: Room
    participants: list[Participant]
    closed: str | None = None


class RoomEvent(Tolerant):
    """One change of one room, past tense. `time` is RFC 3339 in UTC. A type this version does not know is kept as is.

    With `checkpoint` it is a `snapshot`. Then nothing changed, and `change` repeats the room and revision as of before.
    """

    type: str
    time: str
    change: Change
    checkpoint: Checkpoint | None = None

    @classmethod
    def snapshot(cls, time: str, checkpoint: Checkpoint) -> "RoomEvent":
        """The event that puts a snapshot of the room into the log."""
        change = Change(revision=checkpoint.as_of, room=checkpoint.room, reason=checkpoint.closed)
        return cls(type=SNAPSHOT, time=time, change=change, checkpoint=checkpoint)

    @property
    def closes(self) -> bool:
        """Whether the room is closed after it."""
        return self.type == "closed" or (self.checkpoint is not None and self.checkpoint.closed is not None)

    @property
    def room_id(self) -> RoomId:
        """The room it happened in."""
        return self.change.room.room_id

    def cloud_event(self) -> dict[str, Any]:
        """The CloudEvents 1.0 attributes (https://github.com/cloudevents/spec), in JSON types."""
        data: Tolerant = self.checkpoint or self.change
        return {
            "specversion": "1.0",
            "id": f"{self.room_id}:{self.change.revision}",
            "source": SNAPSHOT_SOURCE if self.checkpoint else SOURCE,
            "type": TYPE_PREFIX + self.type,
            "subject": self.room_id,
            "time": self.time,
            "datacontenttype": "application/json",
            "data": data.model_dump(mode="json", by_alias=True, exclude_none=True) | {"room": self.change.room.wire()},
        }


def _a_time(text: str) -> str:
    moment.unix(text)  # raises ValueError here rather than in the fold, which calculates with it
    return text


class _CloudEvent(Tolerant):
    type: str
    time: Annotated[str, AfterValidator(_a_time)]
    data: Change


class _SnapshotEvent(Tolerant):
    time: Annotated[str, AfterValidator(_a_time)]
    data: Checkpoint


_BATCH = TypeAdapter(list[_CloudEvent])
_SNAPSHOT = TypeAdapter(tuple[_SnapshotEvent])  # alone in its entry
_SNAPSHOT_TYPE = (TYPE_PREFIX + SNAPSHOT).encode()
_JSON = TypeAdapter(list[dict[str, Any]])


class _WholeEvent(_CloudEvent):
    """Everything that an event of ours has, so that anything more shows."""

    type: Literal[tuple(TYPE_PREFIX + name for name in get_args(EventType))]  # type: ignore[valid-type]  # as there
    specversion: str
    id: str
    source: str
    subject: str
    datacontenttype: str


class _WholeSnapshot(_SnapshotEvent):
    type: str
    specversion: str
    id: str
    source: str
    subject: str
    datacontenttype: str


_WHOLE = TypeAdapter(list[_WholeEvent] | tuple[_WholeSnapshot])


def encode(events: Sequence[RoomEvent]) -> bytes:
    """The batch as it is stored in the log."""
    return _JSON.dump_json([event.cloud_event() for event in events])


def is_known(batch: bytes) -> bool:
    """Whether this version knows all that a log entry says: every type of event, and every field of each.

    Whoever sums a log up may pass over nothing: what a newer service wrote would be lost for good.
    """
    try:
        _WHOLE.validate_json(batch, extra="forbid")
    except ValidationError:
        return False
    return True


def decode(batch: bytes) -> list[RoomEvent]:
    """The events of a log entry. Unknown event types pass. Raises ValueError when it is no such batch.

    Unknown fields are ignored everywhere in it, even in models that are `Strict` for clients: a newer service may have
    written them.
    """
    try:
        events = _BATCH.validate_json(batch, extra="ignore")
    except ValidationError:
        if _SNAPSHOT_TYPE not in batch:
            raise
        (snapshot,) = _SNAPSHOT.validate_json(batch, extra="ignore")
        return [RoomEvent.snapshot(snapshot.time, snapshot.data)]
    return [
        RoomEvent(type=event.type.removeprefix(TYPE_PREFIX), time=event.time, change=event.data) for event in events
    ]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What only our services need to know about an entry: which operation it is, and for which connection of a seat.

    `operation` makes a command safe to repeat. `also` are the fingerprints of further operations, when several changes
    of one participant were made in one entry; 0.4.0 does not know them. `participant`, `session` (a fingerprint),
    `gateway`, `epoch` and `since` (when that connection began, Unix seconds) belong to the participant that the entry
    connects or reconnects. `grant` is the fingerprint of the join token that the join consumed; `grant_until` is the
    token's end in Unix seconds, or 0 when the token is given back. `asked_at` (Unix seconds) orders a participant's
    updates of itself. `unheard_from`: when a client joins where it has a seat already, it may have received no signal
    above this position. `guest_network` is that of the guest who made the room; every entry of such a room has it, so
    that the newest one alone says whose quota the room is in.
    """

    operation: str
    participant: ParticipantId | None = None
    session: SessionKey | None = None
    gateway: GatewayId | None = None
    epoch: int = 0
    grant: str | None = None
    grant_until: int = 0
    since: float = 0.0
    asked_at: float = 0.0
    unheard_from: Position = NOWHERE
    also: tuple[str, ...] = ()
    guest_network: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that happened together, and their stamp: an entry before it is in the log."""

    events: Sequence[RoomEvent]
    stamp: Stamp
