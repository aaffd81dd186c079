"""The broker's double in memory, shared by all processes of a test. It makes the same promises as NATS, but durability."""

import time
from collections.abc import Callable
from typing import Any

from shared.broker.log import Draft, Item, LogFormat
from shared.broker.memory.lease_queue import LeaseQueue
from shared.broker.memory.stream import MemoryStream
from shared.broker.memory.timer_queue import TimerQueue
from shared.broker.requests import Handler
from shared.broker.room_log import ROOM_LOG, RoomDraft, RoomEntry
from shared.broker.subjects import LOG_STREAM, TIMER_STREAM, Endpoint
from shared.broker.watch import Change
from shared.values.ids import GatewayId, RoomId
from shared.values.position import NOWHERE, Position


class MemoryBroker:
    """The services, streams, notes, snapshots and timers of a test. `clock` gives Unix seconds.

    `down`: no process reaches the broker. `full`: its logs refuse appends and signals. `size`: how many bytes of
    bodies the log of rooms takes; 0 is without a limit.
    """

    def __init__(self, incarnation: str = "memory", clock: Callable[[], float] = time.time) -> None:
        self.incarnation = incarnation
        self.clock = clock
        self.timers = TimerQueue(clock)
        self.leases = LeaseQueue(clock)
        self.snapshots: dict[RoomId, bytes] = {}
        self.notes: dict[GatewayId, dict[RoomId, None]] = {}
        # by subject, then by the process that answers; the one that was asked longest ago comes first
        self.answering: dict[str, dict[int, tuple[Endpoint[Any, Any], Handler]]] = {}
        self.watching: list[Callable[[str, Change], None]] = []
        self.down = False
        self.full = False
        self.size = 0
        self._logs = 0  # how often the log of rooms became another one
        self._streams: dict[str, MemoryStream[Any, Any]] = {}

    @property
    def stored(self) -> int:
        """The bytes in the log of rooms."""
        return sum(len(message.body) for message in self.rooms.messages)

    def takes(self, body: bytes) -> bool:
        """Whether the log of rooms has space for this."""
        return not self.full and (not self.size or self.stored + len(body) <= self.size)

    def stream(self, log_format: LogFormat[Draft, Item]) -> MemoryStream[Draft, Item]:
        """The stream of a log. It is made when it is first asked for."""
        if log_format.stream not in self._streams:
            self._streams[log_format.stream] = self._new_stream(log_format)
        return self._streams[log_format.stream]

    def _new_stream(self, log_format: LogFormat[Draft, Item]) -> MemoryStream[Draft, Item]:
        return MemoryStream(log_format, self.incarnation)

    def lose_timers(self) -> None:
        """Timers and notes are gone, as with NATS' stream, which is made anew."""
        self.timers.lose()
        self.notes.clear()
        self._tell(TIMER_STREAM, Change.ANEW)

    def lose_leases(self) -> None:
        """All leases are gone, with the marks beside them, as when NATS' stream is purged."""
        self.leases.lose()

    def lose_log(self, back_to: Position = NOWHERE) -> None:
        """The log of rooms was put back to this position, or is gone and made anew, as NATS' stream may be."""
        self._logs += 1
        self.rooms.go_back(back_to, f"{self.incarnation}-{self._logs}")
        self._tell(LOG_STREAM, Change.BACK if back_to else Change.ANEW)

    def _tell(self, stream: str, change: Change) -> None:
        for heard in self.watching:
            heard(stream, change)

    @property
    def rooms(self) -> MemoryStream[RoomDraft, RoomEntry]:
        """The stream of the log of rooms."""
        return self.stream(ROOM_LOG)
