"""The broker's double in memory: the same claims as `nats_bus`, for tests and simulation. Nothing is durable.

One `MemoryBroker` stands for the NATS server, one `MemoryBus` for a process's connection to it.
"""

import asyncio
import bisect
import itertools
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from shared.broker.bus import (
    Conflict,
    Following,
    Handler,
    LogEntry,
    Posted,
    Reply,
    Request,
    Service,
    Signal,
    TimerHandler,
    internal_error,
    with_deadline,
)
from shared.broker.memory.timers import MemoryTimers
from shared.broker.subjects import Endpoint, LogSubject, event_log, signal_log
from shared.rooms.events import RoomEvent, Stamp, encode
from shared.rooms.roster import Snapshot
from shared.rooms.timers import Timer
from shared.values.errors import Code, Refused, unavailable
from shared.values.ids import GatewayId, RoomId

REQUEST_SECONDS = 5.0  # until an answer is no longer of use


def matches(pattern: str, subject: str) -> bool:
    """Whether a NATS subject matches a pattern with `*` (one token) and `>` (the rest)."""
    tokens = subject.split(".")
    for i, part in enumerate(pattern.split(".")):
        if part == ">":
            return len(tokens) > i
        if i >= len(tokens) or part not in ("*", tokens[i]):
            return False
    return len(tokens) == len(pattern.split("."))


@dataclass
class _Follower:
    topic: str
    receive: Callable[[LogEntry], None]
    on_gap: Callable[[], None]
    broker: "MemoryBroker"

    async def stop(self) -> None:
        """Stop following."""
        if self in self.broker.followers:
            self.broker.followers.remove(self)


class MemoryBroker:
    """What all buses of one test share: the log, the snapshots, who answers, who follows."""

    def __init__(self, incarnation: str = "memory", clock: Callable[[], float] = time.time) -> None:
        self.incarnation = incarnation
        self.clock = clock
        self.timers = MemoryTimers(clock)
        self._sequence = 0
        self.log: list[tuple[str, LogEntry]] = []
        self.keys: dict[str, int] = {}
        self._newest: dict[str, LogEntry] = {}
        self.snapshots: dict[RoomId, bytes] = {}
        self.answering: dict[str, OrderedDict[int, tuple[Endpoint[Any, Any], Handler]]] = {}
        self.followers: list[_Follower] = []
        self.held: dict[GatewayId, dict[RoomId, None]] = {}
        self.down = False
        self.full = False

    def store(self, subject: str, headers: dict[str, str], body: bytes) -> int:
        """Commit an entry, then let its followers see it, in order and never inside the writer's call."""
        parsed = LogSubject.parse(subject)
        if parsed is None:
            raise ValueError("not a subject of the log")
        before = {"Nats-Last-Sequence": str(self.last_of(subject))}  # as the stream's republished copies have it
        self._sequence += 1
        entry = LogEntry(self._sequence, parsed, headers | before, body)
        self.log.append((subject, entry))
        self._newest[subject] = entry
        live = subject.replace("agentlink.log.", "agentlink.room.", 1)
        for follower in self.followers:
            if matches(follower.topic, live):
                asyncio.get_running_loop().call_soon(self._tell, follower, entry)
        return entry.sequence

    def _tell(self, follower: _Follower, entry: LogEntry) -> None:
        if follower in self.followers:
            follower.receive(entry)

    def last_of(self, subject: str) -> int:
        """The last sequence of one subject, 0 for none."""
        newest = self._newest.get(subject)
        return newest.sequence if newest else 0

    def read(self, pattern: str, after: int, up_to: int) -> Iterator[LogEntry]:
        """The entries whose subject matches, from above `after` to `up_to`, oldest first."""
        start = bisect.bisect_right(self.log, after, key=lambda stored: stored[1].sequence)
        for index in range(start, len(self.log)):
            subject, entry = self.log[index]
            if entry.sequence > up_to:
                return
            if matches(pattern, subject):
                yield entry

    def newest(self, patterns: Sequence[str]) -> list[LogEntry]:
        """The newest entry of every subject that matches one of these, oldest first."""
        found = [e for name, e in self._newest.items() if any(matches(pattern, name) for pattern in patterns)]
        return sorted(found, key=lambda entry: entry.sequence)

    @property
    def sequence(self) -> int:
        """Of the newest entry."""
        return self._sequence

    def trim(self, subject: str) -> None:
        """Delete all entries of a subject but the last."""
        last = self.last_of(subject)
        self.log = [(name, entry) for name, entry in self.log if name != subject or entry.sequence == last]


class MemoryBus:
    """One process's connection to a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self._served: list[str] = []

    @property
    def incarnation(self) -> str:
        """See Bus."""
        return self.broker.incarnation

    def _reach(self) -> None:
        if self.broker.down:
            raise unavailable("the broker")

    async def request(self, endpoint: Endpoint[Request, Reply], request: Request) -> Reply:
        """See Bus. Whoever was asked longest ago answers."""
        await asyncio.sleep(0)
        self._reach()
        answering = self.broker.answering.get(endpoint.subject)
        if not answering:
            raise unavailable(endpoint.name.partition(".")[0])
        request = with_deadline(request, self.broker.clock() + REQUEST_SECONDS)
        key, (served, handler) = next(iter(answering.items()))
        answering.move_to_end(key)
        try:
            asked = served.request.model_validate_json(request.model_dump_json(by_alias=True), extra="ignore")
        except ValidationError as error:
            raise Refused(Code.BAD_MESSAGE, "the request does not fit its schema") from error
        try:
            reply = await handler(asked)
        except Refused:
            raise
        except Exception as error:
            raise internal_error() from error
        return endpoint.reply.model_validate_json(reply.model_dump_json(by_alias=True), extra="ignore")

    async def serve(self, service: Service) -> None:
        """See Bus."""
        for endpoint, handler in service.endpoints:
            self.broker.answering.setdefault(endpoint.subject, OrderedDict())[id(self)] = (endpoint, handler)
            self._served.append(endpoint.subject)

    async def append(self, room_id: RoomId, events: Sequence[RoomEvent], stamp: Stamp, *, after: int) -> int:
        """See Bus."""
        await asyncio.sleep(0)
        self._reach()
        subject = event_log(room_id)
        if self.broker.full:
            raise unavailable("the log")
        if self.broker.last_of(subject) != after:
            raise Conflict
        sequence = self.broker.store(subject, stamp.headers(), encode(events))
        await asyncio.sleep(0)
        return sequence

    async def post(self, signal: Signal) -> Posted:
        """See Bus."""
        await asyncio.sleep(0)
        self._reach()
        if self.broker.full:
            raise unavailable("the log")
        if signal.key is not None and signal.key in self.broker.keys:
            return Posted(self.broker.keys[signal.key], again=True)
        sequence = self.broker.store(signal_log(signal.room_id, signal.to), signal.headers(), signal.body)
        if signal.key is not None:
            self.broker.keys[signal.key] = sequence
        return Posted(sequence)

    async def follow(self, topic: str, receive: Callable[[LogEntry], None], on_gap: Callable[[], None]) -> Following:
        """See Bus."""
        self._reach()
        follower = _Follower(topic, receive, on_gap, self.broker)
        self.broker.followers.append(follower)
        await asyncio.sleep(0)
        return follower

    async def read(self, subject: str, *, after: int, limit: int) -> list[LogEntry]:
        """See Bus."""
        await asyncio.sleep(0)
        self._reach()
        return list(itertools.islice(self.broker.read(subject, after, self.broker.sequence), limit))

    async def last(self, subjects: Sequence[str]) -> list[LogEntry]:
        """See Bus."""
        await asyncio.sleep(0)
        self._reach()
        return self.broker.newest(subjects)

    async def position(self, subject: str) -> int:
        """See Bus."""
        await asyncio.sleep(0)
        self._reach()
        return max((entry.sequence for name, entry in self.broker.log if matches(subject, name)), default=0)

    async def newest_of_each(self, subject: str) -> list[LogEntry]:
        """See Bus."""
        return await self.last([subject])

    async def trim(self, room_id: RoomId) -> None:
        """See Bus."""
        await asyncio.sleep(0)
        self._reach()
        self.broker.trim(event_log(room_id))

    async def arm(self, timer: Timer, *, after: int | None = None) -> int:
        """See Bus."""
        await asyncio.sleep(0)
        self._reach()
        return self.broker.timers.arm(timer, after)

    async def armed(self, timer: Timer) -> int | None:
        """See Bus."""
        await asyncio.sleep(0)
        self._reach()
        return self.broker.timers.armed(timer)

    async def take_timers(self, handle: TimerHandler, retry_seconds: float) -> Following:
        """See Bus."""
        self._reach()
        return self.broker.timers.take(handle, retry_seconds, lambda: self.broker.down)

    async def note_room(self, gateway: GatewayId, room_id: RoomId) -> None:
        """See Bus."""
        await asyncio.sleep(0)
        self._reach()
        self.broker.held.setdefault(gateway, {})[room_id] = None

    async def noted_rooms(self, gateway: GatewayId) -> list[RoomId]:
        """See Bus."""
        await asyncio.sleep(0)
        self._reach()
        return list(self.broker.held.get(gateway, {}))

    async def forget_rooms(self, gateway: GatewayId) -> None:
        """See Bus."""
        await asyncio.sleep(0)
        self._reach()
        self.broker.held.pop(gateway, None)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """See Bus."""
        self._reach()
        self.broker.snapshots[snapshot.room_id] = snapshot.model_dump_json(by_alias=True).encode()

    async def load_snapshot(self, room_id: RoomId) -> Snapshot | None:
        """See Bus."""
        self._reach()
        stored = self.broker.snapshots.get(room_id)
        snapshot = Snapshot.model_validate_json(stored, extra="ignore") if stored else None
        return snapshot if snapshot and snapshot.incarnation == self.incarnation else None

    async def check(self) -> None:
        """See Bus."""
        self._reach()

    async def close(self) -> None:
        """See Bus."""
        for subject in self._served:
            self.broker.answering.get(subject, OrderedDict()).pop(id(self), None)
