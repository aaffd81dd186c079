"""The port to the broker, in the domain's words: ask an endpoint, append to a room's log, follow it, read it.

`nats_bus` is the real thing, `memory_bus` its double; tests/contract holds both to the same claims.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from shared.broker.subjects import Endpoint, LogSubject
from shared.rooms.commands import Command
from shared.rooms.events import RoomEvent, Stamp, decode
from shared.rooms.roster import Entry, Snapshot
from shared.rooms.timers import Timer
from shared.telemetry import metrics
from shared.values.errors import Code, Refused
from shared.values.ids import GatewayId, ParticipantId, RoomId
from shared.values.model import Tolerant

Request = TypeVar("Request", bound=Tolerant)
Reply = TypeVar("Reply", bound=Tolerant)

Handler = Callable[[Any], Awaitable[Any]]
TimerHandler = Callable[[Timer], Awaitable[None]]
CONCURRENT_REQUESTS = 1000  # per service and process; one more is refused with `unavailable`


class Conflict(Exception):  # noqa: N818 - an outcome to act on, not a failure
    """The log has moved on since the position the append was decided on. Nothing was written."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One stored message of a room's log. `sequence` is the stream's, the same for every reader."""

    sequence: int
    subject: LogSubject
    headers: Mapping[str, str]
    body: bytes

    def events(self) -> Entry:
        """As an entry of the event log. What is no batch of room events is counted, and changes nothing."""
        try:
            return Entry(self.sequence, decode(self.body), Stamp.read(self.headers))
        except ValueError:
            metrics.LOG_UNREADABLE.inc()
            return Entry(self.sequence, [], Stamp(""))


@dataclass(frozen=True, slots=True)
class Signal:
    """A sealed message on its way to one participant. `key` makes a repeat of the same request have no second effect."""

    room_id: RoomId
    to: ParticipantId
    sender: ParticipantId
    epoch: int
    body: bytes
    seconds: int
    key: str | None = None

    def headers(self) -> dict[str, str]:
        """What the receiving gateway must know before it opens the body."""
        headers = {"Parley-From": self.sender, "Parley-Epoch": str(self.epoch), "Nats-TTL": f"{self.seconds}s"}
        if self.key is not None:
            headers["Nats-Msg-Id"] = self.key
        return headers


class Posted(NamedTuple):
    """Where a signal is in the log; `again`: it was there already."""

    sequence: int
    again: bool = False


@dataclass(frozen=True)
class Service:
    """A micro service: its name, and the endpoints it answers. A handler raises `Refused` to refuse."""

    name: str
    description: str
    endpoints: Sequence[tuple[Endpoint[Any, Any], Handler]]
    metadata: Mapping[str, str] = field(default_factory=dict)


class Following(Protocol):
    """A topic being followed."""

    async def stop(self) -> None:
        """No more calls after this returns."""


class Bus(Protocol):
    """One process's connection to the broker. Every method raises `Refused(unavailable)` when the broker cannot answer.

    An append or post that ends in `unavailable` has an unknown outcome; ask the log, or ask again with the same
    operation or key.
    """

    @property
    def incarnation(self) -> str:
        """Which log this is (the stream's creation time): positions of another one mean nothing."""

    async def request(self, endpoint: Endpoint[Request, Reply], request: Request) -> Reply:
        """Ask, and wait for the answer. Raises the `Refused` of the service that answered.

        A `Command` without a deadline gets the time until which this waits.
        """

    async def serve(self, service: Service) -> None:
        """Answer these endpoints, sharing them with other processes of the same name, until `close`."""

    async def append(self, room_id: RoomId, events: Sequence[RoomEvent], stamp: Stamp, *, after: int) -> int:
        """Append to the event log if `after` is still its last sequence (0: if it is empty); the new sequence.

        Raises Conflict when it is not.
        """

    async def post(self, signal: Signal) -> Posted:
        """Append a signal to the room's log. A repeated `key` stores nothing, and gives the first one's sequence."""

    async def follow(self, topic: str, receive: Callable[[LogEntry], None], on_gap: Callable[[], None]) -> Following:
        """Call `receive` for every entry committed from now on, in the log's order; when this returns, none is missed.

        `on_gap` is called when entries may have been lost (reconnected, slow consumer): read on from the last one seen.
        `topic` is a live subject of `shared.broker.subjects`. Neither callable may raise or block.
        """

    async def read(self, subject: str, *, after: int, limit: int) -> list[LogEntry]:
        """Up to `limit` entries of a log subject (wildcards allowed) above `after`, oldest first. May lag an append."""

    async def last(self, subjects: Sequence[str]) -> list[LogEntry]:
        """The newest entry of each of these log subjects that has any (at most 1,000 subjects). May lag an append."""

    async def position(self, subject: str) -> int:
        """The sequence of the newest entry among all subjects that match, 0 if there is none; does not lag."""

    async def newest_of_each(self, subject: str) -> list[LogEntry]:
        """The newest entry of every subject that matches, however many; oldest first."""

    async def trim(self, room_id: RoomId) -> None:
        """Delete a room's event log but for its last entry, which shows that the room was there and how it ended."""

    async def arm(self, timer: Timer, *, after: int | None = None) -> int:
        """Have the broker hold a timer until it is due, in place of one of the same name; its position.

        With `after`, only if that is still the position of the one before (0: none waits). Raises Conflict when it is not.
        """

    async def armed(self, timer: Timer) -> int | None:
        """The position of the waiting timer of this name, if one waits. May lag."""

    async def take_timers(self, handle: TimerHandler, retry_seconds: float) -> Following:
        """Hand every due timer to `handle`, in one of the processes that take them; again when that one died or raised.

        Many at once, in no order; a second time after a second when it was refused, else after `retry_seconds`.
        """

    async def note_room(self, gateway: GatewayId, room_id: RoomId) -> None:
        """Note that participants of a gateway may be in a room."""

    async def noted_rooms(self, gateway: GatewayId) -> list[RoomId]:
        """The rooms noted of a gateway. May lag."""

    async def forget_rooms(self, gateway: GatewayId) -> None:
        """Forget what was noted of a gateway."""

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep this as the room's snapshot. A cache: losing it only makes loading slower."""

    async def load_snapshot(self, room_id: RoomId) -> Snapshot | None:
        """The room's snapshot, if there is one of this incarnation."""

    async def check(self) -> None:
        """Prove that the broker answers and stores now (for readiness). Raises `Refused(unavailable)`."""

    async def close(self) -> None:
        """Finish what is being answered, then disconnect."""


def with_deadline(request: Request, until: float) -> Request:
    """A command has to happen before whoever asked stops waiting. `until` is Unix seconds."""
    if isinstance(request, Command) and request.deadline is None:
        return request.model_copy(update={"deadline": until})
    return request


def internal_error() -> Refused:
    """What is told outside of a bug."""
    return Refused(Code.INTERNAL, "something went wrong here; it has been recorded")
