"""The log of rooms: its entries, and how they are written and read. Pure.

Each room has one subject of events, to which rooms appends, and one subject of signals for each participant, to which
gateways post. A snapshot among the events has a private state on a third subject. Events are decoded only when a reader
takes them, since a gateway receives many that it has already.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.broker import headers as header
from shared.broker.log import Log, LogFormat
from shared.broker.subjects import LIVE_PREFIX, LOG_PREFIX, LOG_STREAM
from shared.rooms.events import CONTENT_TYPE, Batch, Stamp, decode, encode, is_known
from shared.rooms.roster import Entry
from shared.telemetry import metrics
from shared.values.ids import ParticipantId, RoomId
from shared.values.position import Position


@dataclass(frozen=True, slots=True)
class StoredEvents:
    """An entry of a room's events, not decoded yet."""

    position: Position
    room_id: RoomId
    body: bytes
    _headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether this version knows all that the entry says. A newer one may have written more."""
        return header.is_known(self._headers) and is_known(self.body)

    def entry(self) -> Entry:
        """The decoded entry. One that is no batch of room events is counted, and has no events."""
        try:
            return Entry(self.position, decode(self.body), header.stamp(self._headers))
        except ValueError:
            metrics.LOG_UNREADABLE.inc()
            return Entry(self.position, [], Stamp(""))


@dataclass(frozen=True, slots=True)
class StoredSignal:
    """A sealed signal to one participant.

    `previous` is the position of the signal before it to the same participant, 0 if there is none. Only entries that are
    followed have it, and not entries that are read.
    """

    position: Position
    room_id: RoomId
    to: ParticipantId
    sender: ParticipantId
    epoch: int
    previous: Position
    body: bytes


@dataclass(frozen=True, slots=True)
class StoredState:
    """The private state of a snapshot among a room's events, which only rooms needs."""

    position: Position
    room_id: RoomId
    body: bytes


RoomEntry = StoredEvents | StoredSignal | StoredState


@dataclass(frozen=True, slots=True)
class StateDraft:
    """The private state of a snapshot, before it is in the log."""

    body: bytes


RoomDraft = Batch | StateDraft
RoomsLog = Log[RoomDraft, RoomEntry]


def _encode(draft: RoomDraft) -> tuple[dict[str, str], bytes]:
    if isinstance(draft, StateDraft):
        return {"Content-Type": "application/json"}, draft.body
    return header.of_stamp(draft.stamp) | {"Content-Type": CONTENT_TYPE}, encode(draft.events)


def _decode(subject: str, position: Position, headers: Mapping[str, str], body: bytes) -> RoomEntry | None:
    """From `agentlink.log.…` or its live copy `agentlink.room.…`."""
    match subject.split("."):
        case [_, "log" | "room", room, "event"]:
            return StoredEvents(position, RoomId(room), body, headers)
        case [_, "log" | "room", room, "state"]:
            return StoredState(position, RoomId(room), body)
        case [_, "log" | "room", room, "signal", to]:
            try:
                sender, epoch, previous = header.signal_head(headers)
            except ValueError:
                metrics.LOG_UNREADABLE.inc()
                return None
            return StoredSignal(position, RoomId(room), ParticipantId(to), sender, epoch, previous, body)
    return None


ROOM_LOG: LogFormat[RoomDraft, RoomEntry] = LogFormat(
    stream=LOG_STREAM,
    description="Everything that happens in rooms, in one order. A room is its log.",
    prefix=LOG_PREFIX,
    live=LIVE_PREFIX,
    encode=_encode,
    decode=_decode,
)
