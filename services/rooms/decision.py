"""What a rule is and what it returns: the events of one log entry, and the timers to arm before it. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from shared.rooms.events import Change, EventType, RoomEvent, Stamp
from shared.rooms.model import Participant
from shared.rooms.roster import Roster
from shared.rooms.timers import Timer
from shared.values import moment
from shared.values.errors import Refused
from shared.values.ids import AgentId, RoomId
from shared.values.names import NAME_CHARACTERS


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that rules need. Times are seconds; 0 means never."""

    default_max_participants: int = 10
    creates_on_join: bool = False
    metadata_bytes: int = 1024
    name_characters: int = NAME_CHARACTERS
    grace_seconds: float = 30.0
    empty_room_seconds: float = 3600.0
    closed_log_seconds: float = 180.0
    mesh_participants: int = 5
    participant_change_rate: float = 1.0
    participant_change_burst: int = 30


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule knows besides the room and the command: `now` is Unix seconds, `rules` comes from the settings."""

    now: float
    rules: Rules


class RoomInput(Protocol):
    """The input of a rule: a command of a gateway, a timer that is due, or `GatewayLost` of the timekeeper."""

    @property
    def room_id(self) -> RoomId:
        """The room it is for."""


@dataclass(slots=True)
class Decision:
    """The entry to append. Without events the command changes nothing, for instance because it was done before.

    `timers` are armed before the append: a superfluous timer does nothing, but without its timer a participant or room
    would stay for ever. `refusals` are there when a command has several parts: of those that are not done, by operation.
    """

    stamp: Stamp
    events: list[RoomEvent] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    refusals: dict[str, Refused] = field(default_factory=dict)

    @property
    def creates(self) -> bool:
        """Whether it makes the room."""
        return bool(self.events) and self.events[0].type == "created"


Asked = TypeVar("Asked")


@dataclass(frozen=True, slots=True)
class Rule(Generic[Asked]):
    """A type of command and the function that decides it: a row of the table in rules.py.

    `decide` raises Refused. `label` names the command in metrics. It is an interface, and stays when a class is renamed.
    """

    command: type[Asked]
    decide: Callable[[Roster, Asked, Context], Decision]
    label: str


class EntryBuilder:
    """Builds the events of an entry: numbers revisions and counts participants. `now` is Unix seconds."""

    def __init__(self, roster: Roster, now: float, by: AgentId | None = None) -> None:
        self.events: list[RoomEvent] = []
        self.room = roster.room
        self._revision = roster.revision
        self._count = len(roster.seats)
        self._time = moment.rfc3339(now)
        self._by = by

    @property
    def empty(self) -> bool:
        """Whether the room is empty after the events."""
        return self._count == 0

    def add(self, type_: EventType, participant: Participant | None = None, reason: str | None = None) -> None:
        """Append one event. Raises ValueError when there is no room yet."""
        if self.room is None:
            raise ValueError("the first event of a room creates it")
        self._count += {"participant_joined": 1, "participant_left": -1}.get(type_, 0)
        self._revision += 1
        self.room = self.room.model_copy(update={"participant_count": self._count})
        change = Change(revision=self._revision, room=self.room, participant=participant, by=self._by, reason=reason)
        self.events.append(RoomEvent(type=type_, time=self._time, change=change))

    def close(self, participants: Iterable[Participant], reason: str) -> None:
        """Append the leaving of all participants, then the close."""
        for participant in participants:
            self.add("participant_left", participant, "room_closed")
        self.add("closed", reason=reason)
